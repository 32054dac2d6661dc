/** The disk of one machine that is adopted, when it had not come whole: served again before the machine is asked for anything. */
import { PlantError, type GoldenId, type VmId } from '../../protocols/kit/index.ts'
import type { LiveMachine, ProductionLine } from '../lines/line.ts'
import type { LateDisks, LateHold } from './images/late-disks.ts'

export interface LateAgainComponents {
  line: Pick<ProductionLine, 'diskSocketOf'>
  images?: { late: Pick<LateDisks, 'again'> | undefined }
}

/** Nothing happens for a machine whose disk is here. */
export class LateAgain {
  readonly #goldenId: GoldenId | undefined
  readonly #c: LateAgainComponents
  #hold: LateHold | undefined

  constructor (goldenId: GoldenId | undefined, components: LateAgainComponents) {
    this.#goldenId = goldenId
    this.#c = components
  }

  /** Before each attempt to adopt it; once served it stays so. Throws what serving does, to be tried again; what is not here cannot be served. */
  async serve (vmId: VmId, signal: AbortSignal): Promise<void> {
    const late = this.#c.images?.late
    if (this.#hold !== undefined || late === undefined || this.#goldenId === undefined) return
    if (await this.#c.line.diskSocketOf(vmId) !== undefined) this.#hold = await late.again(this.#goldenId, signal).catch(unlessUnknown)
  }

  runs (machine: LiveMachine): void { this.#hold?.runs(machine) }

  release (): void { this.#hold?.release() }
}

/** The machine may have been switched before its plant ended; it itself says whether it still reads what nobody can serve. */
function unlessUnknown (error: unknown): undefined {
  if (!(error instanceof PlantError) || error.code !== 'GOLDEN_UNKNOWN') throw error
}
