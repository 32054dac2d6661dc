/**
 * The distributed hash table between simulated processes (the port Directory), after kad-dht as `node/drivers/mesh-directory.ts` sets it up. What is said
 * lies with the k peers closest to the key that can be reached, in their memory, and ends after a while unless said again. A lookup asks
 * them in rounds of three: each round takes the slowest answer, and one that does not answer costs the rest of the query's time. Routing tables
 * are taken for complete: what is not modelled is a lookup that ends at the wrong peers.
 */
import { PlantError, limiter, type Cancel, type Clock, type Crypto, type Directory, type Limiter, type PeerId } from '../../../protocols/kit/index.ts'
import { never, type Life } from '../life.ts'
import { usOf, type Timeline } from '../timeline.ts'
import { DIRECTORY_ALPHA, DIRECTORY_HELD_MAX, DIRECTORY_K, DIRECTORY_KEY_CHARS_MAX, DIRECTORY_TIMEOUT_MS, DIRECTORY_VALUE_BYTES_MAX, REPROVIDE_LIVES, REPROVIDE_MS, STORE_ENTRIES_MAX } from './constants.ts'
import type { Links } from './links.ts'

/** What may be kept under keys of one namespace, as the real driver asks for it. */
export interface RecordRules {
  validate (key: string, value: Uint8Array): void
  select (key: string, values: Uint8Array[]): number
}

export interface DirectoryParts {
  self: PeerId
  life: Life
  clock: Clock
  crypto: Crypto
  timeline: Timeline
  links: Links
  rules: Record<string, RecordRules>
  neighbours (): number
  onNeighbour (fn: (peer: PeerId, change: 'joined' | 'left') => void): Cancel
  /** Peers of the mesh, running or not, as routing tables know them. */
  peers (): PeerId[]
  /** The directory of a peer that runs. */
  at (peer: PeerId): SimDirectory | undefined
  onAsk (what: 'provide' | 'find' | 'put' | 'get', key: string): void
}

const PROVIDES_AT_ONCE_MAX = 8

/** One process's part of the directory: what it asks, and what it keeps for others. */
export class SimDirectory implements Directory {
  readonly #parts: DirectoryParts
  readonly #held = new Map<string, { told: boolean }>()
  readonly #gate: Limiter = limiter(PROVIDES_AT_ONCE_MAX, DIRECTORY_HELD_MAX)
  /** What others have said here: who provides a key and until when; values. */
  readonly #providers = new Map<string, Map<PeerId, number>>()
  readonly #values = new Map<string, Uint8Array>()
  #cancelRound: Cancel = () => {}
  #inRound = false

  constructor (parts: DirectoryParts) {
    this.#parts = parts
    parts.onNeighbour((_peer, change) => { if (change === 'joined' && [...this.#held.values()].some((held) => !held.told)) this.#nextRound(100, false) })
    this.#nextRound(REPROVIDE_MS, true)
  }

  /** What this peer says it holds. */
  get keys (): Iterable<string> { return this.#held.keys() }
  /** Keys held by this peer, and entries kept for others. */
  get held (): number { return this.#held.size }
  get kept (): number { return this.#providers.size + this.#values.size }

  async provide (key: string, signal?: AbortSignal): Promise<void> {
    if (!this.#parts.life.may('directory')) return never()
    checkKey(key)
    if (!this.#held.has(key) && this.#held.size >= DIRECTORY_HELD_MAX) throw new PlantError('LIMIT', { bound: 'keys held', max: DIRECTORY_HELD_MAX })
    this.#held.set(key, { told: false })
    await this.#gate.run(async () => this.#tell(key, signal), signal)
  }

  withdraw (key: string): void { this.#held.delete(key) }

  async find (key: string, max: number, signal?: AbortSignal): Promise<PeerId[]> {
    if (!this.#parts.life.may('directory')) return never()
    checkKey(key)
    this.#parts.onAsk('find', key)
    const found = new Set<PeerId>()
    const collect = (store: SimDirectory): boolean => {
      for (const peer of store.#providersOf(key)) found.add(peer)
      return found.size >= max
    }
    collect(this)
    await this.#query(key, signal, collect)
    if (!this.#held.has(key)) found.delete(this.#parts.self) // Withdrawn here; others may still say so.
    return [...found].slice(0, max)
  }

  async put (key: string, value: Uint8Array, signal?: AbortSignal): Promise<void> {
    if (!this.#parts.life.may('directory')) return never()
    if (value.length > DIRECTORY_VALUE_BYTES_MAX) throw new PlantError('LIMIT', { bound: 'value', bytesMax: DIRECTORY_VALUE_BYTES_MAX })
    checkKey(key)
    this.#parts.onAsk('put', key)
    this.#keep(key, value)
    await this.#query(key, signal, (store) => {
      store.#keep(key, value)
      return false
    })
  }

  async get (key: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    if (!this.#parts.life.may('directory')) return never()
    checkKey(key)
    this.#parts.onAsk('get', key)
    const values: Uint8Array[] = []
    const collect = (store: SimDirectory): boolean => {
      const value = store.#values.get(key)
      if (value !== undefined) values.push(value)
      return false
    }
    collect(this)
    await this.#query(key, signal, collect)
    return values.length === 0 ? undefined : values[this.#rulesOf(key)?.select(key, values) ?? 0]
  }

  #providersOf (key: string): PeerId[] {
    const all = this.#providers.get(key)
    if (all === undefined) return []
    for (const [peer, untilUs] of all) if (untilUs <= this.#parts.timeline.nowUs) all.delete(peer)
    if (all.size === 0) this.#providers.delete(key)
    return [...all.keys()]
  }

  #provided (key: string, by: PeerId): void {
    const all = this.#providers.get(key) ?? new Map<PeerId, number>()
    if (!this.#providers.has(key) && this.#providers.size >= STORE_ENTRIES_MAX) return
    this.#providers.set(key, all)
    all.set(by, this.#parts.timeline.nowUs + usOf(REPROVIDE_MS * REPROVIDE_LIVES))
  }

  #keep (key: string, value: Uint8Array): void {
    const rules = this.#rulesOf(key)
    if (rules === undefined || (!this.#values.has(key) && this.#values.size >= STORE_ENTRIES_MAX)) return
    try {
      rules.validate(key, value)
    } catch {
      return // What does not belong to its key is not kept; that is all there is to it.
    }
    const known = this.#values.get(key)
    if (known === undefined || rules.select(key, [known, value]) === 1) this.#values.set(key, value)
  }

  #rulesOf (key: string): RecordRules | undefined { return this.#parts.rules[key.split('/')[0] ?? ''] }

  /** Tells the peers closest to the key; alone there is no one to tell, and the first neighbour will be told. */
  async #tell (key: string, signal?: AbortSignal): Promise<void> {
    const held = this.#held.get(key)
    if (held === undefined) return
    this.#parts.onAsk('provide', key)
    let tellings = 0
    await this.#query(key, signal, (store) => {
      store.#provided(key, this.#parts.self)
      tellings++
      return false
    })
    held.told = tellings > 0
    if (!held.told && this.#held.has(key) && this.#parts.neighbours() > 0) this.#nextRound(1_000, false)
  }

  /** Asks the peers closest to a key, in rounds, until `visit` says enough, all were asked, or the time is over. */
  async #query (key: string, signal: AbortSignal | undefined, visit: (store: SimDirectory) => boolean): Promise<void> {
    signal?.throwIfAborted()
    const { self, life, timeline, links } = this.#parts
    if (this.#parts.neighbours() === 0) return
    const untilUs = timeline.nowUs + usOf(DIRECTORY_TIMEOUT_MS)
    const closest = this.#closest(key)
    for (let at = 0; at < closest.length && timeline.nowUs < untilUs; at += DIRECTORY_ALPHA) {
      const round = closest.slice(at, at + DIRECTORY_ALPHA)
      const answering = round.filter((peer) => this.#parts.at(peer) !== undefined && !links.isBroken(self, peer))
      const slowestUs = answering.reduce((most, peer) => Math.max(most, usOf(links.of(self, peer).latencyMs + links.of(peer, self).latencyMs)), 0)
      // A silent one holds up its own place among the three, not the others: together they take a third of its time.
      const silentUs = (round.length - answering.length) * usOf(DIRECTORY_TIMEOUT_MS / DIRECTORY_ALPHA)
      await this.#wait(Math.min(Math.max(slowestUs, silentUs), untilUs - timeline.nowUs), signal)
      for (const peer of answering) {
        const store = this.#parts.at(peer)
        if (store === undefined || store.#parts.life.dead || links.isBroken(self, peer)) continue
        if (visit(store)) return
      }
    }
    if (life.dead) return never()
  }

  #closest (key: string): PeerId[] {
    const { crypto, self } = this.#parts
    const text = new TextEncoder()
    const place = crypto.sha256(text.encode(key))
    const far = new Map(this.#parts.peers().filter((peer) => peer !== self).map((peer) => [peer, crypto.sha256(text.encode(peer)).map((byte, i) => byte ^ (place[i] ?? 0))]))
    return [...far].sort(([, a], [, b]) => compare(a, b)).slice(0, DIRECTORY_K).map(([peer]) => peer)
  }

  async #wait (us: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        cancel()
        reject(signal?.reason)
      }
      const cancel = this.#parts.timeline.after(us, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, this.#parts.life)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Plans the next round of telling; a sooner one replaces a later one. */
  #nextRound (ms: number, all: boolean): void {
    this.#cancelRound()
    this.#cancelRound = this.#parts.clock.after(ms, () => { void this.#round(all) })
  }

  async #round (all: boolean): Promise<void> {
    if (this.#inRound) return
    this.#inRound = true
    const keys = [...this.#held].filter(([, held]) => all || !held.told).map(([key]) => key)
    await Promise.all(keys.map(async (key) => this.#gate.run(async () => this.#tell(key))))
    this.#inRound = false
    const untold = this.#parts.neighbours() > 0 && [...this.#held.values()].some((held) => !held.told)
    this.#nextRound(untold ? 1_000 : REPROVIDE_MS, !untold)
  }
}

function compare (a: Uint8Array, b: Uint8Array): number {
  for (const [i, byte] of a.entries()) {
    const other = b[i] ?? 0
    if (byte !== other) return byte - other
  }
  return 0
}

function checkKey (key: string): void {
  if (key.length === 0 || key.length > DIRECTORY_KEY_CHARS_MAX) throw new PlantError('LIMIT', { bound: 'directory key', charsMax: DIRECTORY_KEY_CHARS_MAX })
}
