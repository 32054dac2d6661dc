/** Names of a trace's jobs: each is there once, as results are joined with the trace by them. */
import { PlantError } from '../../protocols/kit/index.ts'
import { foundText } from '../../protocols/order/problems.ts'

/** The names that were read so far, with their lines. */
export class TraceIds {
  readonly #lines = new Map<string, number>()

  /** Throws TRACE_INVALID, with both lines, for a name that is there already. */
  add (id: string, line: number): void {
    const before = this.#lines.get(id)
    if (before !== undefined) throw new PlantError('TRACE_INVALID', { line, found: `the job ${foundText(id)} a second time, first in line ${before}`, allowed: 'each job once' })
    this.#lines.set(id, line)
  }
}
