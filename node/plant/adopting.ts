/**
 * Machines that ran when their plant ended are found again, each on its own and in the background: one whose VMM does not answer for a while
 * is still somebody's machine with somebody's disk, and is asked again until it answers or its process is gone.
 */
import { asPlantError, type Clock, type GoldenId, type Log, type VmId } from '../../protocols/kit/index.ts'
import type { MachineRecord } from '../../storage/records/records.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { LiveMachine, ProductionLine } from '../lines/line.ts'
import type { LateDisks } from './images/late-disks.ts'
import type { MachineNetworks } from './networks.ts'
import { LateAgain } from './late-again.ts'
import { orAborted } from './or-aborted.ts'

export interface AdoptingComponents {
  clock: Clock
  log: Log
  line: Pick<ProductionLine, 'adopt' | 'sweep' | 'diskSocketOf'>
  /** Serves disks that had not come whole when the plant ended. */
  images?: { late: Pick<LateDisks, 'again'> | undefined }
  warehouse: Pick<Warehouse, 'get' | 'pin'>
  /** Puts machines back on their networks; absent where nothing carries frames. */
  networks?: Pick<MachineNetworks, 'again'>
}

/** What becomes of a machine; each is called once, unless its adoption is stopped before. */
export interface AdoptingEnds {
  adopted: (vmId: VmId, machine: LiveMachine, unpin: () => void) => void
  /** It has no process any more; what it left has been removed. */
  gone: (vmId: VmId) => Promise<void>
}

/** Between two attempts; a machine that ends meanwhile is known to have within this, below the 2 s promised. */
const AGAIN_MS = 1_000

interface Job { stop: AbortController, tried: Promise<void>, ended: Promise<void> }

/** Adoptions under way; see the head of this file. */
export class Adopting {
  readonly #c: AdoptingComponents
  readonly #ends: AdoptingEnds
  readonly #jobs = new Map<VmId, Job>()

  constructor (components: AdoptingComponents, ends: AdoptingEnds) {
    this.#c = components
    this.#ends = ends
  }

  get size (): number { return this.#jobs.size }
  has (vmId: VmId): boolean { return this.#jobs.has(vmId) }

  /** Returns at once; the golden machine that the clone reads from is pinned by then. */
  begin (record: MachineRecord): void {
    const { vmId, plan } = record
    const goldenId = plan?.goldenId as GoldenId | undefined
    const pinned = goldenId !== undefined && this.#c.warehouse.get(goldenId) !== undefined ? this.#c.warehouse.pin(goldenId) : () => {}
    const late = new LateAgain(goldenId, this.#c)
    const unpin = (): void => {
      late.release()
      pinned()
    }
    const stop = new AbortController()
    const tried = Promise.withResolvers<void>()
    const ended = this.#adopt(record, late, unpin, tried.resolve, stop.signal).catch((error: unknown) => {
      this.#c.log.error({ vmId, error: String(error) }, 'what was left of a machine could not be cleared away')
    }).finally(() => {
      this.#jobs.delete(vmId)
      tried.resolve()
    })
    this.#jobs.set(vmId, { stop, tried: tried.promise, ended })
  }

  /** Waits until the machine has been asked once, whatever it answered; throws the signal's reason. */
  async tried (vmId: VmId, signal: AbortSignal): Promise<void> {
    const job = this.#jobs.get(vmId)
    if (job === undefined) return
    await orAborted(job.tried, signal)
  }

  /** Ends a machine's adoption; the machine is left as it is. */
  async stop (vmId: VmId): Promise<void> {
    const job = this.#jobs.get(vmId)
    job?.stop.abort()
    await job?.ended
  }

  /** Ends all of them. */
  async stopAll (): Promise<void> { await Promise.all([...this.#jobs.keys()].map(async (vmId) => this.stop(vmId))) }

  async #adopt (record: MachineRecord, late: LateAgain, unpin: () => void, tried: () => void, stop: AbortSignal): Promise<void> {
    const { line, log, clock, networks } = this.#c
    const { vmId } = record
    for (let tries = 1; ; tries++) {
      try {
        stop.throwIfAborted()
        await late.serve(vmId, stop)
        const machine = await line.adopt(vmId, stop)
        if (stop.aborted) await machine?.release()
        else if (machine !== undefined) {
          late.runs(machine)
          this.#ends.adopted(vmId, machine, unpin)
          networks?.again(record, machine)
          log.info({ vmId, tries }, 'adopted a running machine')
          return
        } else {
          await line.sweep(vmId)
          await this.#ends.gone(vmId)
        }
        return unpin()
      } catch (error) {
        if (stop.aborted) return unpin()
        const { code, details } = asPlantError(error)
        log[tries === 1 ? 'warn' : 'debug']({ vmId, tries, code, ...details }, 'a machine runs but does not answer its plant; it is asked again')
      }
      tried()
      const again = Promise.withResolvers<void>()
      const cancel = clock.after(AGAIN_MS, again.resolve)
      await orAborted(again.promise, stop).catch(cancel) // Stopped: the next attempt sees it.
    }
  }
}
