/** Fetches of packs that are under way: images that need pieces of one pack share its fetch. */
import type { PeerId } from '../../../protocols/kit/index.ts'
import type { Fetch, Swarm } from '../../../storage/swarm/index.ts'
import type { WantedPack } from '../../../storage/warehouse/image-store.ts'
import { orAborted } from '../or-aborted.ts'

/** What is used of the swarm. */
export type ImageSwarm = Pick<Swarm, 'start' | 'stop' | 'serve' | 'fetch' | 'onWrong'>

/** Who has a pack, or some of it; asked again while the fetch goes on. */
export type PackProviders = (signal: AbortSignal) => AsyncIterable<PeerId>

interface Running { fetch: Fetch, providers: Set<PackProviders>, stop: AbortController, users: number }

/** See the head of this file. */
export class PackFetches {
  readonly #swarm: Pick<ImageSwarm, 'fetch'>
  readonly #running = new Map<string, Running>()

  /** By pack, pieces that machines wait for, and how many reads do. */
  readonly #urgent = new Map<string, Map<number, number>>()

  constructor (swarm: Pick<ImageSwarm, 'fetch'>) { this.#swarm = swarm }

  /** Resolves when all that is needed of the pack is here. Throws FETCH_STALLED, DISK_FULL, or the signal's reason. The order is that of whoever begins its fetch. */
  async want (wanted: WantedPack, providers: PackProviders, signal: AbortSignal, order?: readonly number[]): Promise<void> {
    while (wanted.missing() > 0) {
      signal.throwIfAborted()
      const running = this.#join(wanted, providers, order)
      running.users++
      try {
        await orAborted(running.fetch.done, signal)
      } finally {
        running.providers.delete(providers)
        if (--running.users === 0) this.#end(wanted, running, signal)
      }
    }
  }

  /** Resolves once the piece is here, before all that nobody waits for: by the fetch of its pack that is under way, or the next one. Throws the signal's reason only. */
  async urgent ({ pack, index }: { pack: WantedPack['pack'], index: number }, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (pack.has(index)) return
    const { infoHash } = pack
    const waiting = this.#urgent.get(infoHash) ?? new Map<number, number>()
    this.#urgent.set(infoHash, waiting)
    waiting.set(index, (waiting.get(index) ?? 0) + 1)
    const here = Promise.withResolvers<void>()
    const cancel = pack.onHave((piece) => { if (piece === index) here.resolve() })
    try {
      const running = this.#running.get(infoHash)
      if (running !== undefined) hurry(running.fetch, index)
      await orAborted(here.promise, signal)
    } finally {
      cancel()
      const left = (waiting.get(index) ?? 1) - 1
      if (left > 0) waiting.set(index, left)
      else waiting.delete(index)
      if (waiting.size === 0) this.#urgent.delete(infoHash)
    }
  }

  #join (wanted: WantedPack, providers: PackProviders, order?: readonly number[]): Running {
    const { infoHash } = wanted.pack
    const there = this.#running.get(infoHash)
    if (there !== undefined) {
      there.providers.add(providers)
      there.fetch.more(missingOf(wanted))
      return there
    }
    const stop = new AbortController()
    const all = new Set([providers])
    const fetch = this.#swarm.fetch(wanted.pack, {
      pieces: missingOf(wanted),
      ...(order !== undefined && { order }),
      providers: async function * (signal) { for (const one of all) yield * one(signal) },
      signal: stop.signal
    })
    const running = { fetch, providers: all, stop, users: 0 }
    this.#running.set(infoHash, running)
    for (const index of this.#urgent.get(infoHash)?.keys() ?? []) hurry(fetch, index)
    const over = (): void => { if (this.#running.get(infoHash) === running) this.#running.delete(infoHash) }
    fetch.done.then(over, over)
    return running
  }

  #end ({ pack }: WantedPack, running: Running, signal: AbortSignal): void {
    if (this.#running.get(pack.infoHash) === running) this.#running.delete(pack.infoHash)
    running.stop.abort(signal.reason instanceof Error ? signal.reason : new Error('nobody waits for it'))
  }
}

/** What a fetch does not bring, as it ends or has too many of these, the next one does, or it comes with the rest. */
function hurry (fetch: Fetch, index: number): void { fetch.urgent(index).catch(() => {}) }

/** Pieces that are needed and not here. */
export function * missingOf ({ pack, needed }: Pick<WantedPack, 'pack' | 'needed'>): Generator<number> {
  for (let index = 0; index < pack.count; index++) {
    const byte = needed[index >> 3] ?? 0
    if ((byte & (0x80 >> (index & 7))) !== 0 && !pack.has(index)) yield index
  }
}
