/** The distributed hash table over kad-dht (the port Directory): bounded in time, provided again while held. */
import { passthroughMapper, kadDHT } from '@libp2p/kad-dht'
import type { KadDHT, KadDHTComponents, QueryEvent } from '@libp2p/kad-dht'
import type { Multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { fromString } from 'uint8arrays'
import { Lifetime, PlantError, limiter } from '../../protocols/kit/index.ts'
import type { Cancel, Clock, Directory, Limiter, Log, PeerId } from '../../protocols/kit/index.ts'
import type { Admission } from './mesh-admission.ts'
import {
  DIRECTORY_HELD_MAX, DIRECTORY_KEY_CHARS_MAX, DIRECTORY_TIMEOUT_MS, DIRECTORY_VALUE_BYTES_MAX, PROVIDES_AT_ONCE_MAX, REPROVIDE_LIVES, REPROVIDE_MS
} from './mesh-limits.ts'

/** What may be kept under keys of one namespace (the key's first segment). */
export interface RecordRules {
  /** Throws when the value does not belong to the key. */
  validate (key: string, value: Uint8Array): void
  /** Index of the best of several valid values. */
  select (key: string, values: Uint8Array[]): number
}

export interface MeshDirectoryInit {
  rules: Record<string, RecordRules>
  reprovideMs?: number
  /** The address of the gateway that this plant stands behind. */
  behind?: Multiaddr
}

/**
 * kad-dht under the mesh's own protocol id. Everyone who can be reached serves: were all in client mode, or with the default mapper, tables would stay
 * empty in silence. A plant behind a gateway only asks: others would have to go through the relay for every step of a query. What it hears of
 * peers it may have to reach through its gateway.
 */
export function meshKad (mesh: string, init: MeshDirectoryInit): (components: KadDHTComponents) => KadDHT {
  const { behind } = init
  const validityMs = (init.reprovideMs ?? REPROVIDE_MS) * REPROVIDE_LIVES
  return kadDHT({
    protocol: `/plantmesh/${mesh}/kad/1.0.0`,
    clientMode: behind !== undefined,
    peerInfoMapper: behind === undefined ? passthroughMapper : (info) => ({ ...info, multiaddrs: [...info.multiaddrs, behind.encapsulate(`/p2p-circuit/p2p/${info.id.toString()}`)] }),
    allowQueryWithZeroPeers: true,
    maxInboundStreams: 64,
    reprovide: { validity: validityMs, interval: validityMs / REPROVIDE_LIVES, threshold: 0 },
    providers: { provideValidity: validityMs / 1_000 },
    validators: Object.fromEntries(Object.entries(init.rules).map(([space, rules]) => [space, (key: Uint8Array, value: Uint8Array) => {
      if (value.length > DIRECTORY_VALUE_BYTES_MAX) throw new PlantError('MESSAGE_INVALID', { path: 'value', problem: 'too long' })
      rules.validate(keyText(key), value)
    }])),
    selectors: Object.fromEntries(Object.entries(init.rules).map(([space, rules]) => [space, (key: Uint8Array, values: Uint8Array[]) => rules.select(keyText(key), values)]))
  })
}

export interface MeshDirectoryComponents { kad: KadDHT, self: PeerId, admission: Admission, clock: Clock, log: Log }

/** The directory over kad-dht; held keys are provided again until withdrawn. */
export class MeshDirectory implements Directory {
  readonly #c: MeshDirectoryComponents
  readonly #reprovideMs: number
  readonly #lifetime = new Lifetime()
  /** Keys held, and whether another peer has been told. */
  readonly #held = new Map<string, { told: boolean }>()
  readonly #gate: Limiter = limiter(PROVIDES_AT_ONCE_MAX, DIRECTORY_HELD_MAX)
  #cancelRound: Cancel = () => {}
  #inRound = false

  constructor (components: MeshDirectoryComponents, init: MeshDirectoryInit) {
    this.#c = components
    this.#reprovideMs = init.reprovideMs ?? REPROVIDE_MS
    this.#lifetime.own(components.admission.onNeighbour((_peer, change) => { if (change === 'joined') this.#onJoined() }))
    this.#nextRound(this.#reprovideMs)
  }

  /** Peers in the routing table now. */
  get tableSize (): number {
    const table: unknown = 'routingTable' in this.#c.kad ? this.#c.kad.routingTable : undefined
    return typeof table === 'object' && table !== null && 'size' in table && typeof table.size === 'number' ? table.size : 0
  }

  async provide (key: string, signal?: AbortSignal): Promise<void> {
    const name = checkKey(key)
    if (!this.#held.has(name) && this.#held.size >= DIRECTORY_HELD_MAX) throw new PlantError('LIMIT', { bound: 'keys held', max: DIRECTORY_HELD_MAX })
    this.#held.set(name, { told: false })
    await this.#gate.run(async () => this.#tell(name, signal), signal)
  }

  withdraw (key: string): void {
    if (!this.#held.delete(key)) return
    void cidOf(key).then(async (cid) => this.#c.kad.cancelReprovide(cid))
      .catch((error: unknown) => { this.#c.log.debug({ key, error }, 'could not withdraw a key') })
  }

  async find (key: string, max: number, signal?: AbortSignal): Promise<PeerId[]> {
    const cid = await cidOf(checkKey(key))
    const found = new Set<PeerId>()
    await this.#query(signal, (querySignal) => this.#c.kad.findProviders(cid, { signal: querySignal }), (event) => {
      if (event.name !== 'PROVIDER') return false
      for (const provider of event.providers) found.add(provider.id.toString() as PeerId)
      return found.size >= max
    })
    if (!this.#held.has(key)) found.delete(this.#c.self) // Withdrawn here; others may still say so.
    return [...found].slice(0, max)
  }

  async put (key: string, value: Uint8Array, signal?: AbortSignal): Promise<void> {
    if (value.length > DIRECTORY_VALUE_BYTES_MAX) throw new PlantError('LIMIT', { bound: 'value', bytesMax: DIRECTORY_VALUE_BYTES_MAX })
    const name = fromString(`/${checkKey(key)}`)
    await this.#query(signal, (querySignal) => this.#c.kad.put(name, value, { signal: querySignal }), () => false)
  }

  async get (key: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const name = fromString(`/${checkKey(key)}`)
    let best: Uint8Array | undefined
    await this.#query(signal, (querySignal) => this.#c.kad.get(name, { signal: querySignal }), (event) => {
      if (event.name === 'VALUE') best = event.value
      return false
    })
    return best
  }

  async stop (): Promise<void> {
    this.#cancelRound()
    this.#held.clear()
    await this.#lifetime.end()
  }

  /** Tells the peers closest to the key; alone there is no one to tell, and the first neighbour will be told. */
  async #tell (key: string, signal?: AbortSignal): Promise<void> {
    const held = this.#held.get(key)
    if (held === undefined) return
    const cid = await cidOf(key)
    await this.#tablePeer(signal)
    let tellings = 0
    await this.#query(signal, (querySignal) => this.#c.kad.provide(cid, { signal: querySignal }), (event) => {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') tellings++
      return false
    })
    held.told = tellings > 0
    if (!this.#held.has(key)) await this.#c.kad.cancelReprovide(cid) // Withdrawn meanwhile.
    else if (!held.told && this.#c.admission.count > 0) this.#nextRound(1_000)
  }

  /** A neighbour enters the routing table a moment after it has joined: waits for that, but not when there is no neighbour. */
  async #tablePeer (signal?: AbortSignal): Promise<void> {
    const untilMs = this.#c.clock.monotonicMs() + DIRECTORY_TIMEOUT_MS
    while (this.tableSize === 0 && this.#c.admission.count > 0 && this.#c.clock.monotonicMs() < untilMs) {
      signal?.throwIfAborted()
      if (this.#lifetime.ended) return
      await new Promise<void>((resolve) => { this.#c.clock.after(50, resolve) })
    }
  }

  /** Runs a query to its end, until `onEvent` says enough, or until its time is over: then what was found is the answer. */
  async #query (signal: AbortSignal | undefined, run: (signal: AbortSignal) => AsyncIterable<QueryEvent>, onEvent: (event: QueryEvent) => boolean): Promise<void> {
    signal?.throwIfAborted()
    const ours = new AbortController()
    const cancel = this.#c.clock.after(DIRECTORY_TIMEOUT_MS, () => { ours.abort(new Error('the query took too long')) })
    const signals = [ours.signal, this.#lifetime.signal, ...(signal === undefined ? [] : [signal])]
    try {
      for await (const event of run(AbortSignal.any(signals))) {
        if (onEvent(event)) break
      }
    } catch (error) {
      signal?.throwIfAborted()
      // Not found, out of time, or peers that failed: all mean that no more is to be had.
      this.#c.log.debug({ error }, 'a directory query ended early')
    } finally {
      cancel()
      ours.abort(new Error('the query is over'))
    }
  }

  #onJoined (): void {
    if ([...this.#held.values()].some((held) => !held.told)) this.#nextRound(100)
  }

  /** Plans the next round of telling; a sooner one replaces a later one. */
  #nextRound (ms: number): void {
    if (this.#lifetime.ended) return
    this.#cancelRound()
    this.#cancelRound = this.#c.clock.after(ms, () => { void this.#round(ms >= this.#reprovideMs) })
  }

  /** Tells all keys again, or those of which no other peer knows. */
  async #round (all: boolean): Promise<void> {
    if (this.#inRound || this.#lifetime.ended) return
    this.#inRound = true
    const keys = [...this.#held].filter(([, held]) => all || !held.told).map(([key]) => key)
    try {
      await Promise.all(keys.map(async (key) => this.#gate.run(async () => this.#tell(key), this.#lifetime.signal)))
    } catch (error) {
      this.#c.log.debug({ error }, 'a round of telling was cut short')
    }
    this.#inRound = false
    const untold = this.#c.admission.count > 0 && [...this.#held.values()].some((held) => !held.told)
    this.#nextRound(untold ? Math.min(1_000, this.#reprovideMs) : this.#reprovideMs)
  }
}

/** Keys are hashed: what others see is where it lies, not what it is. */
async function cidOf (key: string): Promise<CID> {
  return CID.createV1(raw.code, await sha256.digest(fromString(key)))
}

function checkKey (key: string): string {
  if (key.length === 0 || key.length > DIRECTORY_KEY_CHARS_MAX) throw new PlantError('LIMIT', { bound: 'directory key', charsMax: DIRECTORY_KEY_CHARS_MAX })
  return key
}

function keyText (key: Uint8Array): string {
  return new TextDecoder().decode(key).replace(/^\//, '')
}
