/** Runs one plant on this host: the drivers of the real world under the composition that the simulator runs too. */
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { multiaddr } from '@multiformats/multiaddr'
import { PlantError, keyIdOf, type Log, type PeerId } from '../../protocols/kit/index.ts'
import type { Device } from '../../protocols/tunnel/index.ts'
import { CAPACITY_TOPIC } from '../../protocols/capacity/index.ts'
import { HOLDINGS_TOPIC } from '../../protocols/image/index.ts'
import { GRANT_SPACE, GRANT_TOPIC, grantRules } from '../../protocols/member/index.ts'
import { TEMPLATE_TOPIC } from '../../protocols/template/index.ts'
import { lockData } from '../../storage/drivers/data-lock.ts'
import { openRecords } from '../../storage/drivers/sqlite-records.ts'
import { openWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { swarm, type SwarmInit } from '../../storage/swarm/index.ts'
import { LIFE_DEFAULTS, type LifePolicy } from '../../storage/templates/life-policy.ts'
import { startPlantNode, type PlantNode } from '../composition/plant-node.ts'
import { loadOrMakeKey } from '../drivers/key-file.ts'
import { makeDirs } from '../drivers/make-dirs.ts'
import { NodeCrypto } from '../drivers/node-crypto.ts'
import { SystemClock } from '../drivers/system-clock.ts'
import { SystemRandom } from '../drivers/system-random.ts'
import { keepNurserySmall } from '../drivers/small-nursery.ts'
import { probeHost, type HostFigures } from '../drivers/host-probe.ts'
import { BittorrentWire } from '../drivers/swarm-wire.ts'
import { startMesh } from '../drivers/libp2p-mesh.ts'
import { peerOf } from '../drivers/mesh-relay.ts'
import { egressDevice, type EgressDevice } from '../net/egress-device.ts'
import { egressPolicy, type EgressRanges } from '../net/egress-policy.ts'
import { machineCard } from '../net/machine-card.ts'
import { ownAddresses } from '../net/own-addresses.ts'
import { qemuLine } from '../lines/qemu/index.ts'
import { userNetworks } from '../lines/qemu/user-network.ts'
import type { Capacity, HostSize } from '../plant/capacity.ts'
import { joinNetwork, type NetworkJoinComponents } from '../plant/network-join.ts'
import { SteadyLoad } from '../plant/steady-load.ts'
import { serveApi, type ApiComponents } from '../portal/api.ts'
import { cacheDirOf } from '../setup/places.ts'
import { ensureQemu } from '../setup/qemu.ts'
import { goldenMesh } from './golden-mesh.ts'
import { goldenShelf } from './golden-shelf.ts'
import { lateDiskParts } from './late-disk.ts'
import { openPlainPort } from './plain-port.ts'
import { VERSION } from './version.ts'

export interface RunPlantInit {
  dataDir: string
  listen: string[]
  bootstrap: string[]
  mesh: string
  mdns: boolean
  /** What the plant offers, given what the host has. */
  capacity: (host: HostSize) => Capacity
  site: string
  /** The plant is its site's gateway. */
  gateway: boolean
  /** Ranges that the plants of its site come from. */
  inside?: string[]
  /** The address of the gateway that it stands behind. */
  behind?: string
  /** Addresses that others are told beside those of `listen`. */
  announce: string[]
  costModel: string
  /** Caps on golden machines' bytes to and from other plants. */
  swarm: SwarmInit
  /** How templates are copied and given up; `storage/templates` has the defaults. */
  life: Partial<LifePolicy>
  /** Where BitTorrent clients of others are let in; absent: nowhere. */
  bittorrent?: { host: string, port: number }
  /** What machines may take that are made before they are ordered. */
  spareMemoryMiB: number
  /** The domains that are served, by key or name; absent: all. */
  serves?: readonly string[]
  /** Where machines may connect to that ask for it; absent: nowhere outside. */
  egress?: EgressRanges
  /** Warehouse directories of this host whose golden machines are taken over. */
  importFrom: string[]
  log: Log
}

export interface RunningPlant {
  peerId: PeerId
  addresses: () => string[]
  /** Path of the API's socket. */
  api: string
  stop: (options: { collect: boolean }) => Promise<void>
}

/** How often the host's load and free disk are looked at anew for the advert. */
const PROBE_EVERY_MS = 5_000
/** Of what is free on the disk when the plant starts, copies of others' golden machines take no more than this ahead of use, unless the owner says otherwise. */
const COPIES_DISK_SHARE = 0.1
/** What is to be undone, last first, when the plant stops or a later part of its start fails. */
type Undo = Array<() => Promise<void> | void>

/** Starts a plant; resolves when it can take orders. Whatever was started is stopped again when a later part fails. */
export async function runPlant (init: RunPlantInit, signal: AbortSignal): Promise<RunningPlant> {
  keepNurserySmall() // All modules are loaded by now.
  const undo: Undo = []
  const unwind = async (): Promise<void> => { for (const step of undo.splice(0).reverse()) await step() }
  try {
    const { node, peerId, api, addresses, closeDoors } = await compose(init, signal, undo)
    return {
      peerId,
      api,
      addresses,
      async stop (options) {
        try {
          for (const step of closeDoors) await step() // No order comes in while the last machines go.
          if (options.collect) await node.plant.collectAll()
        } finally {
          await unwind()
        }
      }
    }
  } catch (error) {
    await unwind()
    throw error
  }
}

/** Part by part. The mesh is not given the signal: what stops the plant must not end the mesh before the others were told goodbye. */
async function compose (init: RunPlantInit, signal: AbortSignal, undo: Undo): Promise<{ node: PlantNode, peerId: PeerId, api: string, addresses: () => string[], closeDoors: Undo }> {
  const { log } = init
  const base = await openBase(init, signal, undo)
  const { dataDir, clock, random, crypto, key, self, records, warehouse, line, host } = base
  const capacity = init.capacity(host)
  const later: { node?: PlantNode } = {}
  const mesh = await startMesh({ ...init, key, clock, random, log, gatewayOf: (peer) => later.node?.adOf(peer)?.behind, topics: [CAPACITY_TOPIC, GRANT_TOPIC, HOLDINGS_TOPIC, TEMPLATE_TOPIC], records: { [GRANT_SPACE]: grantRules(crypto) } })
  undo.push(async () => mesh.stop())
  const { transport, pubsub, directory } = mesh
  const behind = init.behind === undefined ? undefined : peerOf(multiaddr(init.behind))
  const node = await startPlantNode({ site: init.site, ...(init.gateway && { gateway: mesh.hasPlace }), ...(behind && { behind }), costModel: init.costModel, capacity, cpus: host.cpus, load: host.load, spareMemoryMiB: init.spareMemoryMiB, policy: { ...(init.serves !== undefined && { serves: init.serves }), egress: init.egress !== undefined }, life: { copyBytesMax: Math.min(LIFE_DEFAULTS.copyBytesMax, host.freeDiskMiB * 2 ** 20 * COPIES_DISK_SHARE), ...init.life } }, {
    clock, random, crypto, signer: key, log, transport, pubsub, directory, records, warehouse, line,
    images: { store: warehouse, swarm: swarm(init.swarm)({ transport, wire: (stream) => new BittorrentWire(stream, self), clock, random, log }), lateDisk: lateDiskParts({ dataDir, warehouse, log }) },
    deviceOf: machineCard,
    ...wayOut(init.egress, { dataDir, log }),
    media: async (name) => mediaFile(join(dataDir, 'media', name))
  }, signal)
  undo.push(async () => node.stop())
  later.node = node
  const steady = new SteadyLoad()
  const onHost = ({ load, freeDiskMiB }: Pick<HostFigures, 'load' | 'freeDiskMiB'>): void => { node.onHost(steady.of(load), freeDiskMiB * 2 ** 20) }
  onHost(host)
  undo.push(watchHost(base, onHost))
  const plain = await openPlainPort({ warehouse, store: warehouse, log, ...(init.bittorrent !== undefined && { at: init.bittorrent }), ...(init.swarm.uploadBytesPerS !== undefined && { uploadBytesPerS: init.swarm.uploadBytesPerS }) })
  undo.push(async () => plain.stop())
  const api = join(dataDir, 'api.sock')
  const served = await serveApi(api, {
    shop: node.shop,
    golden: { ...goldenShelf({ warehouse, line, clock }), ...goldenMesh(node.images), torrents: async (name) => plain.torrents(name) },
    templates: node.templates,
    life: node.life,
    grant: async (signed, until) => node.grant(signed, until),
    ...proxiesOf(node, { self, crypto }),
    networks: () => node.networks?.list() ?? [],
    self: () => ({ peerId: self, addresses: mesh.addresses(), mesh: init.mesh, version: VERSION, accelerator: line.accelerator, fingerprint: line.fingerprint, capacity }),
    log
  })
  undo.push(async () => served.stop())
  return { node, peerId: self, api, addresses: () => mesh.addresses(), closeDoors: [async () => served.stop(), async () => node.closeDoors()] }
}

/** What leads machines out of their networks, within what the plant's owner allows. */
function wayOut (ranges: EgressRanges | undefined, { dataDir, log }: { dataDir: string, log: Log }): { wayOut?: (card: Device) => EgressDevice } {
  if (ranges === undefined) return {}
  const allows = egressPolicy(ranges, ownAddresses())
  const start = userNetworks(dataDir)
  return { wayOut: (card) => egressDevice(card, { allows, start, log }) }
}

/** Where machines have networks, clients may join them. */
function proxiesOf ({ networks }: Pick<PlantNode, 'networks'>, c: Omit<NetworkJoinComponents, 'networks'>): Pick<ApiComponents, 'proxies'> {
  return networks === undefined ? {} : { proxies: { join: async (signedCall, addressing, station, device, until) => joinNetwork({ ...c, networks }, signedCall, addressing, station, device, until) } }
}

/** What the plant stands on: its directory, key, records, golden machines and VMM. */
async function openBase (init: RunPlantInit, signal: AbortSignal, undo: Undo) {
  const { log } = init
  const dataDir = resolve(init.dataDir)
  try {
    makeDirs(dataDir, 0o700)
  } catch (cause) {
    throw new PlantError('CONFIG_INVALID', { data: dataDir, problem: `the directory cannot be made: ${(cause as Error).message}` }, { cause })
  }
  undo.push(lockData(dataDir))
  const clock = new SystemClock()
  const random = new SystemRandom()
  const crypto = new NodeCrypto()
  const key = loadOrMakeKey(join(dataDir, 'key'), log)
  const records = openRecords(join(dataDir, 'records.sqlite'), { clock })
  undo.push(() => { records.close() })
  const warehouse = await openWarehouse({ dir: join(dataDir, 'warehouse'), clock, log, crypto, signer: key })
  undo.push(async () => warehouse.close())
  for (const from of init.importFrom) await warehouse.importFrom(from, signal)
  // In the background, so that neither the start nor the first order waits for it.
  warehouse.verifyAll(signal).catch((error: unknown) => { log.warn({ error: String(error) }, 'golden machines could not be verified') })
  const { qemuDir } = await ensureQemu({ dataDir, onStep: (text) => { log.info({ text }, 'setting up QEMU') }, signal })
  const line = await qemuLine({ dataDir, cacheDir: cacheDirOf(), ...(qemuDir !== undefined && { qemuDir }), log })
  return { dataDir, clock, random, crypto, key, self: keyIdOf(key.publicKey) as string as PeerId, records, warehouse, line, host: await probeHost(dataDir), log }
}

/** Looks at the host again and again; returns what stops it. */
function watchHost ({ dataDir, log }: { dataDir: string, log: Log }, onFigures: (figures: HostFigures) => void): () => void {
  const timer = setInterval(() => {
    probeHost(dataDir).then(onFigures, (error: unknown) => { log.warn({ error: String(error) }, 'the host could not be probed') })
  }, PROBE_EVERY_MS)
  return () => { clearInterval(timer) }
}

async function mediaFile (path: string): Promise<string | undefined> {
  return stat(path).then((found) => found.isFile() ? path : undefined, () => undefined)
}
