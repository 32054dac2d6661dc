/**
 * In which order machines first read a golden machine's disk: as machines of this plant did, else as plants that hold it tell. What others tell is advice:
 * it is kept in memory only, so that no plant tells what it has not seen itself, and nobody waits long for it.
 */
import type { Clock, GoldenId } from '../../../protocols/kit/index.ts'
import type { MeshImages, ReadRuns } from '../../../protocols/image/index.ts'
import { ByteCache } from '../../../protocols/image/byte-cache.ts'
import { orAborted } from '../or-aborted.ts'
import type { LateDiskParts } from './late-disks.ts'

export interface BootOrdersComponents {
  clock: Clock
  mesh: Pick<MeshImages, 'traces'>
  parts: Pick<LateDiskParts, 'file' | 'traces'>
  /** The plant's end. */
  signal: AbortSignal
}

/** How long a bid waits for what others tell: an answer is one small message, and a bid without it only counts more. */
export const TOLD_WAIT_MS = 300
/** Others are asked about the same golden machine only after this: they may have seen a boot meanwhile. */
const ASKED_EVERY_MS = 60_000
/** Golden machines that are asked about at the same time. */
const ASKING_MAX = 32
/** What others told, all golden machines together. */
const TOLD_BYTES_MAX = 8 * 2 ** 20
/** Of one run in memory, and of an answer that has none. */
const RUN_BYTES = 64

/** See the head of this file. */
export class BootOrders {
  readonly #c: BootOrdersComponents
  readonly #told = new ByteCache<GoldenId, { runs: ReadRuns | undefined, atMs: number }>(TOLD_BYTES_MAX)
  readonly #asking = new Map<GoldenId, Promise<void>>()

  constructor (components: BootOrdersComponents) { this.#c = components }

  /** What is known at once, unchecked: runs, or undefined. Never throws. */
  async known (goldenId: GoldenId): Promise<unknown> {
    const { traces, file } = this.#c.parts
    return await traces.get(goldenId, file) ?? this.#told.get(goldenId)?.runs
  }

  /** As `known`, once others have been asked or TOLD_WAIT_MS are over. Throws the signal's reason only. */
  async told (goldenId: GoldenId, signal: AbortSignal): Promise<unknown> {
    const known = await this.known(goldenId)
    if (known !== undefined) return known
    const late = Promise.withResolvers<void>()
    const cancel = this.#c.clock.after(TOLD_WAIT_MS, late.resolve)
    await orAborted(Promise.race([this.ask(goldenId), late.promise]), signal).finally(cancel)
    return this.#told.get(goldenId)?.runs
  }

  /** Asks others, unless they were lately; resolves when they have answered, or their time is over. Never rejects. */
  async ask (goldenId: GoldenId): Promise<void> {
    const under = this.#asking.get(goldenId)
    if (under !== undefined) return under
    const before = this.#told.get(goldenId)
    if (this.#asking.size >= ASKING_MAX || (before !== undefined && this.#nowMs() - before.atMs < ASKED_EVERY_MS)) return
    const asking = this.#ask(goldenId, before?.runs).catch(() => {}).finally(() => { this.#asking.delete(goldenId) }) // The plant ends.
    this.#asking.set(goldenId, asking)
    return asking
  }

  /** Machines of this plant read it so: kept, unless it is the beginning of a boot only and more is known. Never throws. */
  async saw (goldenId: GoldenId, runs: ReadRuns, isWhole: boolean): Promise<void> {
    if (runs.length === 0 || (!isWhole && await this.known(goldenId) !== undefined)) return
    await this.#c.parts.traces.put(goldenId, this.#c.parts.file, runs)
  }

  async #ask (goldenId: GoldenId, before: ReadRuns | undefined): Promise<void> {
    const { mesh, parts, signal } = this.#c
    const runs = middleOf(await mesh.traces(goldenId, parts.file, signal)) ?? before
    this.#told.set(goldenId, { runs, atMs: this.#nowMs() }, RUN_BYTES * (1 + (runs?.length ?? 0)))
  }

  #nowMs (): number { return this.#c.clock.monotonicMs() }
}

/** Of several that of middle length, of two the longer: one plant that tells too little has nobody bid too low, and one of three that tells too much is not heard. */
export function middleOf (told: readonly ReadRuns[]): ReadRuns | undefined {
  const pieces = (runs: ReadRuns): number => runs.reduce((sum, [, count]) => sum + count, 0)
  return told.toSorted((a, b) => pieces(a) - pieces(b))[Math.floor(told.length / 2)]
}
