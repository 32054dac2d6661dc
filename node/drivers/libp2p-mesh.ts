/**
 * The mesh: one libp2p node that fulfils the ports Transport, PubSub and Directory. Connections are TCP, encrypted and authenticated by TLS or
 * noise, multiplexed by yamux. See README.md for what a peer of another mesh, or a hostile one, gets.
 */
import { noise } from '@chainsafe/libp2p-noise'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { mdns } from '@libp2p/mdns'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import type { KadDHT } from '@libp2p/kad-dht'
import type { Connection, Libp2p, PeerInfo } from '@libp2p/interface'
import type { Libp2pOptions } from 'libp2p'
import { createLibp2p } from 'libp2p'
import { multiaddr } from '@multiformats/multiaddr'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { Lifetime, PlantError } from '../../protocols/kit/index.ts'
import type { Clock, Log, PeerId, Random, Signer } from '../../protocols/kit/index.ts'
import { socketOf, tuneSocket } from '../net/socket-options.ts'
import { BoundedDatastore } from './bounded-datastore.ts'
import { GossipStreams } from './gossip-streams.ts'
import { Admission } from './mesh-admission.ts'
import { MeshDirectory, meshKad } from './mesh-directory.ts'
import type { RecordRules } from './mesh-directory.ts'
import {
  BEHIND_ADDRESS_TIMEOUT_MS, CONNECTIONS_MAX, FAREWELL_MS, INBOUND_CONNECTIONS_PER_S, INBOUND_PENDING_MAX, NEGOTIATION_TIMEOUT_MS, STREAMS_PER_CONNECTION_MAX, STREAM_WINDOW_BYTES_MAX
} from './mesh-limits.ts'
import { sparingYamux } from './mesh-muxer.ts'
import { MeshPaths } from './mesh-paths.ts'
import { MeshPubSub, meshGossip } from './mesh-pubsub.ts'
import { Pulse } from './mesh-pulse.ts'
import { Redialler } from './mesh-redial.ts'
import { MeshRelay, peerOf } from './mesh-relay.ts'
import { MeshTransport } from './mesh-transport.ts'
import { agentOf, checkSite, placeOrLate, siteRelayOf, tellAddresses } from './mesh-site.ts'
import type { SiteRelay } from './site-relay.ts'
import { socketTls } from './socket-tls.ts'
import { averageByMonotonicTime } from './steady-averages.ts'
import { SystemRandom } from './system-random.ts'

export interface MeshInit {
  /** The plant's key; its public half is the peer id. */
  key: Signer & { seed (): Uint8Array }
  /** Multiaddrs to listen at, such as `/ip4/0.0.0.0/tcp/0`. */
  listen: string[]
  /** Multiaddrs of peers to join by, with or without `/p2p/…`; dialled until they answer. */
  bootstrap: string[]
  /** The site that this plant is of; none when empty. */
  site?: string
  /** Relay for plants of the site that stand in its private network. */
  gateway?: boolean
  /** Ranges (CIDR) that plants of the site come from; private addresses by default. */
  inside?: string[]
  /** The address, with `/p2p/…`, of the gateway by which alone this plant can be reached. */
  behind?: string
  /** Addresses that others are told beside those that it listens at: libp2p keeps public ones to itself until they are confirmed. */
  announce?: string[]
  /** The gateway by which alone a peer can be reached, as far as is known. */
  gatewayOf?: (peer: PeerId) => PeerId | undefined
  /** Name of the mesh; plants of another name are never joined. */
  mesh: string
  /** Find others on the local network by multicast. */
  mdns: boolean
  clock: Clock
  random?: Random
  log: Log
  /** Stops the mesh when aborted, also while it starts. */
  signal?: AbortSignal
  /** Topics that may be subscribed to: peers may speak of no others. `capacity` by default. */
  topics?: string[]
  /** Rules for `Directory.put`, by the key's first segment. */
  records?: Record<string, RecordRules>
  /** How often held keys are provided again; five minutes by default. */
  reprovideMs?: number
}

export interface Mesh {
  transport: MeshTransport
  pubsub: MeshPubSub
  directory: MeshDirectory
  /** Where this plant can be reached, each with `/p2p/<peer id>`. */
  addresses (): string[]
  /** How many connections there are with a peer. */
  connections (peer: PeerId): number
  /** How many relayed connections this gateway joins now. */
  relayed (): number
  /** Whether a plant of the site has its place at this gateway. */
  hasPlace (peer: PeerId): boolean
  /** Leaves the mesh and closes everything; twice does nothing. */
  stop (): Promise<void>
}

const MESH_NAME = /^[A-Za-z0-9](?:[._-]?[A-Za-z0-9])*$/
/** With its prefix the name must fit a DNS label of 63 bytes. */
const MESH_NAME_CHARS_MAX = 40

/** Starts a libp2p node and joins the mesh; resolves when it listens. Throws CONFIG_INVALID for a bad name or address. */
export async function startMesh (init: MeshInit): Promise<Mesh> {
  checkInit(init)
  init.signal?.throwIfAborted()
  const lifetime = new Lifetime()
  const { clock, log, mesh } = init
  const random = init.random ?? new SystemRandom()
  const topics = init.topics ?? ['capacity']
  const behind = init.behind === undefined ? undefined : multiaddr(init.behind)
  const directoryInit = { rules: init.records ?? {}, ...(init.reprovideMs === undefined ? {} : { reprovideMs: init.reprovideMs }), ...(behind && { behind }) }
  const admission: Admission = new Admission({
    clock,
    log,
    greet: async (connection, signal) => { await node.services.identify.identify(connection, { signal }) },
    forget: async (peer) => { await node.peerStore.delete(peer) }
  })
  const relay: MeshRelay = new MeshRelay({ admission, clock, random, log, self: (): string => node.peerId.toString(), connections: (): Connection[] => node.getConnections(), onAddresses: () => { tellAddresses(node, log) } }, behind && peerOf(behind))
  const siteRelay: SiteRelay | undefined = init.gateway === true ? siteRelayOf(init, admission, log, (): Libp2p => node, (peer): Connection[] => transport.ordinary(peer)) : undefined
  averageByMonotonicTime()
  const node = await createLibp2p({
    ...baseOptions(init, admission, relay, siteRelay),
    services: {
      identify: identify({ protocolPrefix: `plantmesh/${mesh}`, runOnConnectionOpen: false }),
      ping: ping(),
      pubsub: meshGossip(mesh, topics),
      kad: meshKad(mesh, directoryInit),
      ...(siteRelay && { relay: siteRelay.service })
    }
  })
  const redialler = new Redialler({ node, admission, clock, random, log, closeTo: (key, signal) => closeTo(node.services.kad, key, signal) })
  const pulse = new Pulse({ node, clock, log })
  const paths = new MeshPaths({ node, admission, clock, log, gatewayOf: init.gatewayOf ?? (() => undefined) }, behind)
  const transport: MeshTransport = new MeshTransport({ node, admission, paths, clock, log })
  const directory = new MeshDirectory({ kad: node.services.kad, self: transport.self, admission, clock, log }, directoryInit)
  node.addEventListener('connection:open', (event) => {
    const socket = socketOf(event.detail)
    if (socket !== undefined) log.debug({ peer: event.detail.remotePeer.toString(), ...tuneSocket(socket) }, 'a connection stands')
    void admission.admitted(event.detail).then((admitted) => { if (admitted) paths.opened(event.detail) })
  })
  node.addEventListener('connection:close', (event) => { admission.closed(event.detail) })
  node.addEventListener('peer:discovery', (event) => { redialler.discovered(event.detail.id) })

  lifetime.own(async () => { await node.stop() })
  lifetime.own(async () => { if (admission.count > 0) await new Promise<void>((resolve) => { clock.after(FAREWELL_MS, resolve) }) })
  lifetime.own(async () => { await redialler.stop() })
  lifetime.own(async () => { await paths.stop() })
  const gossipStreams = new GossipStreams({ gossip: node.services.pubsub, admission, clock, connections: (peer) => transport.ordinary(peer) })
  lifetime.own(async () => { await gossipStreams.stop() })
  lifetime.own(async () => { await relay.stop() })
  lifetime.own(() => { pulse.stop() })
  lifetime.own(async () => { await directory.stop() })
  const stop = async (): Promise<void> => lifetime.end()
  try {
    await node.start()
  } catch (cause) {
    await stop().catch(() => {}) // The failure to start is the one to report.
    throw new PlantError('CONFIG_INVALID', { field: 'listen', found: init.listen, problem: cause instanceof Error ? cause.message : 'cannot listen' }, { cause })
  }
  const onAbort = (): void => { void stop().catch((error: unknown) => { log.warn({ error }, 'the mesh did not stop in order') }) }
  init.signal?.addEventListener('abort', onAbort, { once: true })
  lifetime.own(() => { init.signal?.removeEventListener('abort', onAbort) })
  if (init.signal?.aborted === true) {
    await stop()
    init.signal.throwIfAborted()
  }
  relay.start()
  redialler.start([...(init.behind === undefined ? [] : [init.behind]), ...init.bootstrap])
  if (behind !== undefined) await placeOrLate(relay, clock, log, lifetime)
  pulse.start()
  return { transport, directory, pubsub: new MeshPubSub(node.services.pubsub, mesh, topics, log), addresses: () => node.getMultiaddrs().map(String), connections: (peer) => node.getConnections(peerIdFromString(peer)).length, relayed: () => siteRelay?.relayed ?? 0, hasPlace: (peer) => siteRelay?.hasPlace(peer) ?? false, stop }
}

/** What a query for the peers near a key brings, as it comes. */
async function * closeTo (kad: KadDHT, key: Uint8Array, signal: AbortSignal): AsyncGenerator<PeerInfo[]> {
  for await (const event of kad.getClosestPeers(key, { signal })) {
    if (event.name === 'PEER_RESPONSE') yield event.closer
    else if (event.name === 'FINAL_PEER') yield [event.peer]
  }
}

function baseOptions (init: MeshInit, admission: Admission, relay: MeshRelay, siteRelay: SiteRelay | undefined): Libp2pOptions {
  const privateKey = privateKeyFromRaw(Buffer.concat([init.key.seed(), init.key.publicKey]))
  const peerId = peerIdFromPrivateKey(privateKey)
  return {
    start: false,
    privateKey,
    datastore: new BoundedDatastore(peerId.toCID().toString()),
    nodeInfo: { name: 'plantmesh', version: '1', userAgent: agentOf(init.site) },
    addresses: { listen: init.listen, appendAnnounce: init.announce ?? [], announceFilter: relay.announced },
    transports: [tcp(), relay.transport],
    connectionEncrypters: [socketTls(), noise()],
    streamMuxers: [sparingYamux({
      maxInboundStreams: STREAMS_PER_CONNECTION_MAX,
      maxOutboundStreams: STREAMS_PER_CONNECTION_MAX,
      streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX }
    })],
    connectionGater: { ...admission.gater, ...relay.gater, ...siteRelay?.gater },
    connectionManager: {
      maxConnections: CONNECTIONS_MAX,
      inboundConnectionThreshold: INBOUND_CONNECTIONS_PER_S,
      maxIncomingPendingConnections: INBOUND_PENDING_MAX,
      inboundStreamProtocolNegotiationTimeout: NEGOTIATION_TIMEOUT_MS,
      outboundStreamProtocolNegotiationTimeout: NEGOTIATION_TIMEOUT_MS,
      ...(init.behind !== undefined && { addressDialTimeout: BEHIND_ADDRESS_TIMEOUT_MS })
    },
    connectionMonitor: { enabled: false }, // See mesh-pulse.ts.
    peerDiscovery: init.mdns ? [mdns({ serviceTag: `_plantmesh-${init.mesh}._udp.local`, interval: 10_000 })] : []
  }
}

function checkInit (init: MeshInit): void {
  if (!MESH_NAME.test(init.mesh) || init.mesh.length > MESH_NAME_CHARS_MAX) {
    throw new PlantError('CONFIG_INVALID', { field: 'mesh', found: init.mesh.slice(0, 100), allowed: `letters, digits, single . _ - between them, at most ${MESH_NAME_CHARS_MAX}` })
  }
  for (const field of ['listen', 'bootstrap', 'announce', 'behind'] as const) {
    for (const text of [init[field] ?? []].flat()) {
      try {
        multiaddr(text)
      } catch (cause) {
        throw new PlantError('CONFIG_INVALID', { field, found: text.slice(0, 200), allowed: 'a multiaddr such as /ip4/192.0.2.1/tcp/4001' }, { cause })
      }
    }
  }
  checkSite(init)
}
