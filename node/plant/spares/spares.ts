/**
 * Spares: machines that are made before anybody orders them (VMPlants P17), from golden machines that are ordered again and again. The book (stock.ts) says how many;
 * here they are made, watched, handed to orders and ended. They are nobody's: no record names them, so what a crash leaves is swept at the next start.
 */
import { PlantError, asPlantError, toHex, type Cancel, type Clock, type GoldenId, type Log, type Random, type VmId } from '../../../protocols/kit/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import { macOf } from '../../../protocols/tunnel/card-mac.ts'
import type { Warehouse } from '../../../storage/warehouse/warehouse.ts'
import type { ProductionLine, SpareMachine } from '../../lines/line.ts'
import type { Ledger } from '../ledger.ts'
import { orAborted } from '../or-aborted.ts'
import { fits } from './allot.ts'
import { Stock, type SpareView } from './stock.ts'

export interface SparesInit {
  /** What all spares together may take. */
  memoryMiB: number
  /** The host's: no spare is begun while so many machines are being made for orders. */
  cpus: number
}

export interface SparesComponents {
  clock: Clock
  random: Random
  log: Log
  line: Pick<ProductionLine, 'prepare'>
  warehouse: Pick<Warehouse, 'verified' | 'pin' | 'get' | 'onChange'>
  ledger: Pick<Ledger, 'free'>
  /** Machines that are being made for orders, or wait to be. */
  creating: () => number
}

/** How often spares are looked at without anything having happened: what is expected falls with time. */
const LOOK_EVERY_MS = 5_000

interface Entry {
  readonly golden: Golden
  readonly stop: AbortController
  readonly unpin: () => void
  making: Promise<void>
  machine?: SpareMachine
  ended?: Promise<void>
}

/** A spare in the hands of an order; its golden machine stays pinned until `unpin`. */
export interface TakenSpare { machine: SpareMachine, unpin: () => void }

/** See the head of this file. */
export class Spares {
  readonly #c: SparesComponents
  readonly #stock: Stock
  readonly #cpus: number
  readonly #entries = new Map<VmId, Entry>()
  #cancels: Cancel[] = []
  #running = false

  constructor (components: SparesComponents, init: SparesInit) {
    this.#c = components
    this.#cpus = Math.max(1, init.cpus)
    this.#stock = new Stock(init.memoryMiB)
  }

  /** Once machines of before are accounted for: what has no record is swept until then. */
  start (): void {
    this.#running = true
    this.#cancels = [this.#c.warehouse.onChange(() => { this.#look() })]
    const again = (): void => {
      this.#look()
      this.#cancels[1] = this.#c.clock.after(LOOK_EVERY_MS, again)
    }
    again()
  }

  /** An order's machine is being made from it, whether a spare will do or not. */
  ordered (golden: Golden): void { this.#stock.ordered(golden, this.#c.clock.monotonicMs()) }

  /** Whether an order would get a spare now. */
  isReady (goldenId: GoldenId): boolean { return this.#stock.readyOf(goldenId) > 0 }

  /** A spare for an order, from now on the caller's. */
  take (goldenId: GoldenId): TakenSpare | undefined {
    const spareId = this.#stock.take(goldenId)
    const entry = spareId === undefined ? undefined : this.#entries.get(spareId)
    if (spareId === undefined || entry?.machine === undefined) return undefined
    this.#entries.delete(spareId)
    return { machine: entry.machine, unpin: entry.unpin }
  }

  /** What became of one that was taken. */
  served (goldenId: GoldenId, well: boolean): void {
    if (well) this.#stock.served(goldenId)
    else this.#stock.failed(goldenId, this.#c.clock.monotonicMs())
  }

  /** Resolves when no spare is in the way of a lease; ends what is. */
  async room (signal: AbortSignal): Promise<void> {
    const free = this.#c.ledger.free()
    if (fits(this.#stock.held(), free)) return
    for (const spareId of this.#stock.yielded(this.#c.clock.monotonicMs(), free)) this.#end(spareId)
    await orAborted(Promise.all([...this.#entries.values()].map(async ({ ended }) => ended)), signal)
  }

  /** A machine was made or has gone: perhaps there is a core, or room, for a spare. Ends none: an order that was just awarded may be about to take it. */
  changed (): void {
    const { clock, ledger, warehouse, creating } = this.#c
    if (!this.#running || creating() >= this.#cpus) return
    const golden = this.#stock.wanted(clock.monotonicMs(), ledger.free(), (goldenId) => warehouse.get(goldenId) !== undefined)
    if (golden !== undefined) this.#make(golden)
  }

  view (goldenId: GoldenId): SpareView { return this.#stock.view(goldenId, this.#c.clock.monotonicMs(), this.#c.ledger.free()) }

  /** Ends all. After the machines of orders have been let go of: none is taken any more. */
  async stop (): Promise<void> {
    this.#running = false
    for (const cancel of this.#cancels.splice(0)) cancel()
    for (const spareId of this.#entries.keys()) {
      this.#stock.end(spareId)
      this.#end(spareId)
    }
    await Promise.all([...this.#entries.values()].map(async ({ ended }) => ended))
  }

  #look (): void {
    if (!this.#running) return
    const { clock, ledger, warehouse } = this.#c
    this.#stock.surplus(clock.monotonicMs(), ledger.free(), (goldenId) => warehouse.get(goldenId) !== undefined)
    for (const spareId of this.#stock.ending()) this.#end(spareId)
    this.changed()
  }

  #make (golden: Golden): void {
    const spareId = toHex(this.#c.random.bytes(16)) as VmId
    this.#stock.begin(spareId, golden)
    const entry: Entry = { golden, stop: new AbortController(), unpin: this.#c.warehouse.pin(golden.goldenId), making: Promise.resolve() }
    this.#entries.set(spareId, entry)
    entry.making = this.#prepare(spareId, entry).then(() => { this.changed() })
  }

  /** Never rejects. */
  async #prepare (spareId: VmId, entry: Entry): Promise<void> {
    const { clock, log, line, warehouse } = this.#c
    const { golden, stop: { signal } } = entry
    const sinceMs = clock.monotonicMs()
    try {
      const goldenDir = await warehouse.verified(golden.goldenId, signal)
      const machine = await line.prepare({ vmId: spareId, golden, goldenDir, mac: macOf(spareId) }, signal)
      entry.machine = machine
      void machine.died.then(({ reason }) => { this.#onDeath(spareId, entry, reason) })
      this.#stock.made(spareId, await machine.memoryBytes(), clock.monotonicMs() - sinceMs)
    } catch (error) {
      if (!signal.aborted) {
        log.warn({ goldenId: golden.goldenId, spareId, code: asPlantError(error).code, error: String(error) }, 'a spare could not be made; tried again later')
        this.#stock.failed(golden.goldenId, clock.monotonicMs())
      }
      this.#stock.end(spareId)
      this.#end(spareId)
    }
  }

  #onDeath (spareId: VmId, entry: Entry, reason: string): void {
    if (this.#entries.get(spareId) !== entry || entry.ended !== undefined) return
    this.#c.log.warn({ goldenId: entry.golden.goldenId, spareId, reason }, 'a spare died')
    this.#stock.failed(entry.golden.goldenId, this.#c.clock.monotonicMs())
    this.#stock.end(spareId)
    this.#end(spareId)
  }

  /** Never rejects; one that cannot be ended just now is tried again at the next look, and counted until it has gone. */
  #end (spareId: VmId): void {
    const entry = this.#entries.get(spareId)
    if (entry === undefined || entry.ended !== undefined) return
    entry.stop.abort(new PlantError('INTERRUPTED'))
    entry.ended = this.#finish(spareId, entry).catch((error: unknown) => {
      delete entry.ended
      this.#c.log.error({ spareId, error: String(error) }, 'a spare could not be ended; tried again')
    })
  }

  async #finish (spareId: VmId, entry: Entry): Promise<void> {
    // From within its making: that is over but for this.
    await Promise.resolve()
    if (entry.machine === undefined) await entry.making
    await entry.machine?.destroy()
    this.#entries.delete(spareId)
    entry.unpin()
    this.#stock.gone(spareId)
    this.changed()
  }
}
