/**
 * The book of spares: what there is of each golden machine, what there should be, what has to go. Pure: times and ids are handed in.
 *
 *   making ──made──> ready ──take──> (an order's machine)
 *     └──end──┐        └──end──┐
 *             └────> ending <──┘ ──gone──> (nothing)          making ──gone──> (nothing): it failed
 *
 * Invariant: spares that are there or being made never take more than the budget, and none is begun for which the ledger has no room. What the ledger awards
 * later comes first: `surplus` and `yielded` name what goes for it.
 */
import type { GoldenId, VmId } from '../../../protocols/kit/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import { allot, fits, type Room, type Wish } from './allot.ts'
import { ORDERS_REMEMBERED, forecast } from './forecast.ts'

interface Spare { readonly spareId: VmId, readonly goldenId: GoldenId, readonly takes: Room, readonly state: 'making' | 'ready' | 'ending' }

interface Kind {
  readonly golden: Golden
  readonly orderedAtMs: number[]
  /** What a spare takes: the whole of its memory, until one was measured. */
  memoryMiB: number
  makeMs: number
  failures: number
  notBeforeMs: number
}

/** What there is of spares of one golden machine, and why. */
export interface SpareView {
  ready: number
  making: number
  target: number
  ordersPerHour: number
  /** Of this golden machine's spares, and what all spares may take. */
  memoryMiB: number
  budgetMiB: number
  why: string
}

/** Golden machines whose orders are remembered; the one ordered longest ago goes first. */
const KINDS_MAX = 64
/** Before one was made. */
const MAKE_MS_AT_FIRST = 1_000
const NEWEST_WEIGHT = 0.2
/** After a spare failed or died; twice as long each time. */
const AGAIN_AFTER_MS = 2_000
const AGAIN_AFTER_MS_MAX = 300_000

const MIB_BYTES = 2 ** 20

/** See the head of this file. */
export class Stock {
  readonly budgetMiB: number
  readonly #kinds = new Map<GoldenId, Kind>()
  readonly #spares = new Map<VmId, Spare>()

  constructor (budgetMiB: number) { this.budgetMiB = budgetMiB }

  /** A machine is being made from this golden machine. */
  ordered (golden: Golden, nowMs: number): void {
    const { goldenId } = golden
    const kind = this.#kinds.get(goldenId) ?? { golden, orderedAtMs: [], memoryMiB: golden.hardware.memoryMiB, makeMs: MAKE_MS_AT_FIRST, failures: 0, notBeforeMs: 0 }
    kind.orderedAtMs.push(nowMs)
    if (kind.orderedAtMs.length > ORDERS_REMEMBERED) kind.orderedAtMs.shift()
    // Anew, so that the map stays in the order of the last orders.
    this.#kinds.delete(goldenId)
    this.#kinds.set(goldenId, kind)
    const [oldest] = this.#kinds.keys()
    if (this.#kinds.size > KINDS_MAX && oldest !== undefined) this.#kinds.delete(oldest)
  }

  /** What spares take now: also those that are going, until they have gone. */
  held (): Room { return sumOf([...this.#spares.values()]) }

  readyOf (goldenId: GoldenId): number { return this.#count(goldenId, 'ready') }

  /** Those that are to be ended, or whose end is to be tried again. */
  ending (): VmId[] { return [...this.#spares.values()].flatMap(({ spareId, state }) => state === 'ending' ? spareId : []) }

  /** The golden machine of which a spare should be begun next; undefined while one is being made. */
  wanted (nowMs: number, free: Room, has: (goldenId: GoldenId) => boolean): Golden | undefined {
    if ([...this.#spares.values()].some(({ state }) => state === 'making')) return undefined
    for (const [goldenId, count] of this.#allotted(nowMs, free, has)) {
      const kind = this.#kinds.get(goldenId)
      if (kind !== undefined && count > this.#staying(goldenId).length && kind.notBeforeMs <= nowMs && this.#isRoom(kind, free)) return kind.golden
    }
    return undefined
  }

  /** Beside all that spares take now: one that gives way to it has to have gone first. */
  #isRoom ({ golden, memoryMiB }: Kind, free: Room): boolean {
    const held = this.held()
    const takes = { memoryMiB: held.memoryMiB + memoryMiB, diskMiB: held.diskMiB + golden.hardware.diskMiB, machines: held.machines + 1 }
    return fits(takes, { ...free, memoryMiB: Math.min(this.budgetMiB, free.memoryMiB) })
  }

  /** Spares that nobody is expected to want, or that have no room any more; from now on they are ending. */
  surplus (nowMs: number, free: Room, has: (goldenId: GoldenId) => boolean): VmId[] {
    const counts = this.#allotted(nowMs, free, has)
    const ids = new Set([...this.#spares.values()].map(({ goldenId }) => goldenId))
    return [...ids].flatMap((goldenId) => this.#end(this.#staying(goldenId).slice(counts.get(goldenId) ?? 0)))
  }

  /** Spares that are ended so that all of the ledger's leases have what they were promised: the least useful first. */
  yielded (nowMs: number, free: Room): VmId[] {
    const staying = this.#order(nowMs)
    const going: Spare[] = []
    while (staying.length > 0 && !fits(sumOf(staying), free)) going.push(...staying.splice(-1))
    return this.#end(going)
  }

  begin (spareId: VmId, golden: Golden): void {
    const takes = { memoryMiB: this.#kinds.get(golden.goldenId)?.memoryMiB ?? golden.hardware.memoryMiB, diskMiB: golden.hardware.diskMiB, machines: 1 }
    this.#spares.set(spareId, { spareId, goldenId: golden.goldenId, takes, state: 'making' })
  }

  /** It stands by; what it takes is known. One that is to be ended stays so. */
  made (spareId: VmId, memoryBytes: number, tookMs: number): void {
    const spare = this.#spares.get(spareId)
    if (spare === undefined) return
    const memoryMiB = Math.ceil(memoryBytes / MIB_BYTES)
    const kind = this.#kinds.get(spare.goldenId)
    if (kind !== undefined) {
      kind.memoryMiB = memoryMiB
      kind.makeMs += NEWEST_WEIGHT * (tookMs - kind.makeMs)
    }
    this.#spares.set(spareId, { ...spare, takes: { ...spare.takes, memoryMiB }, state: spare.state === 'making' ? 'ready' : spare.state })
  }

  /** A spare for an order; it is in the book no longer. */
  take (goldenId: GoldenId): VmId | undefined {
    const spare = [...this.#spares.values()].find((one) => one.goldenId === goldenId && one.state === 'ready')
    if (spare !== undefined) this.#spares.delete(spare.spareId)
    return spare?.spareId
  }

  /** One that was taken did its work: those before it failed by chance. */
  served (goldenId: GoldenId): void {
    const kind = this.#kinds.get(goldenId)
    if (kind !== undefined) kind.failures = 0
  }

  /** One could not be made, died, or was of no use: the next is made after a while, which grows. */
  failed (goldenId: GoldenId, nowMs: number): void {
    const kind = this.#kinds.get(goldenId)
    if (kind === undefined) return
    kind.notBeforeMs = nowMs + Math.min(AGAIN_AFTER_MS_MAX, AGAIN_AFTER_MS * 2 ** kind.failures)
    kind.failures = Math.min(kind.failures + 1, 16)
  }

  end (spareId: VmId): void {
    const spare = this.#spares.get(spareId)
    if (spare !== undefined) this.#end([spare])
  }

  /** Nothing is left of it. */
  gone (spareId: VmId): void { this.#spares.delete(spareId) }

  view (goldenId: GoldenId, nowMs: number, free: Room): SpareView {
    const kind = this.#kinds.get(goldenId)
    const { ordersPerHour, target } = forecast(kind?.orderedAtMs ?? [], nowMs, kind?.makeMs ?? MAKE_MS_AT_FIRST)
    const allotted = this.#allotted(nowMs, free, () => true).get(goldenId) ?? 0
    const { memoryMiB } = sumOf([...this.#spares.values()].filter((spare) => spare.goldenId === goldenId))
    const [ready, making] = [this.readyOf(goldenId), this.#count(goldenId, 'making')]
    return { ready, making, target, ordersPerHour: Math.round(ordersPerHour * 10) / 10, memoryMiB, budgetMiB: this.budgetMiB, why: whyOf({ kind, target, allotted, staying: ready + making, nowMs }) }
  }

  #allotted (nowMs: number, free: Room, has: (goldenId: GoldenId) => boolean): Map<GoldenId, number> {
    const going = sumOf([...this.#spares.values()].filter(({ state }) => state === 'ending'))
    const room = { memoryMiB: Math.min(this.budgetMiB, free.memoryMiB) - going.memoryMiB, diskMiB: free.diskMiB - going.diskMiB, machines: free.machines - going.machines }
    return allot([...this.#kinds].flatMap(([goldenId, kind]) => has(goldenId) ? this.#wish(kind, nowMs) : []), room)
  }

  #wish ({ golden, orderedAtMs, makeMs, memoryMiB }: Kind, nowMs: number): Wish {
    const { target, useful } = forecast(orderedAtMs, nowMs, makeMs)
    return { goldenId: golden.goldenId, target, have: this.#staying(golden.goldenId).length, useful, each: { memoryMiB, diskMiB: golden.hardware.diskMiB, machines: 1 } }
  }

  /** Those that stay, the most useful first. */
  #order (nowMs: number): Spare[] {
    const share = new Map<VmId, number>()
    for (const { golden, orderedAtMs, makeMs } of this.#kinds.values()) {
      const { useful } = forecast(orderedAtMs, nowMs, makeMs)
      for (const [k, { spareId }] of this.#staying(golden.goldenId).entries()) share.set(spareId, useful[k] ?? 0)
    }
    const shareOf = ({ spareId }: Spare): number => share.get(spareId) ?? 0
    return [...this.#spares.values()].filter(({ state }) => state !== 'ending').sort((a, b) => shareOf(b) - shareOf(a))
  }

  /** Ready ones first: what is being made goes first when one is too many. */
  #staying (goldenId: GoldenId): Spare[] {
    const ofIt = [...this.#spares.values()].filter((spare) => spare.goldenId === goldenId)
    return [...ofIt.filter(({ state }) => state === 'ready'), ...ofIt.filter(({ state }) => state === 'making')]
  }

  #end (spares: Spare[]): VmId[] {
    for (const spare of spares) this.#spares.set(spare.spareId, { ...spare, state: 'ending' })
    return spares.map(({ spareId }) => spareId)
  }

  #count (goldenId: GoldenId, state: Spare['state']): number {
    return [...this.#spares.values()].filter((spare) => spare.goldenId === goldenId && spare.state === state).length
  }
}

function sumOf (spares: Spare[]): Room {
  return spares.reduce((sum, { takes }) => ({ memoryMiB: sum.memoryMiB + takes.memoryMiB, diskMiB: sum.diskMiB + takes.diskMiB, machines: sum.machines + takes.machines }), { memoryMiB: 0, diskMiB: 0, machines: 0 })
}

function whyOf ({ kind, target, allotted, staying, nowMs }: { kind: Kind | undefined, target: number, allotted: number, staying: number, nowMs: number }): string {
  if (kind === undefined || target === 0) return 'not ordered twice within ten minutes'
  if (allotted < target) return `${target} are expected to be of use, and there is room for ${allotted}: the budget, or what leases leave`
  if (kind.notBeforeMs > nowMs) return `the last one failed; the next is made in ${Math.ceil((kind.notBeforeMs - nowMs) / 1_000)} s`
  if (staying < target) return `${target} are expected to be of use; they are made one at a time, while a core is free`
  return 'more orders than this are not expected before another could be made (in 19 of 20 cases)'
}
