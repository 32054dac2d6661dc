/** Finding among many templates without holding up the plant: an expression may take milliseconds for each. */
import { PlantError, type Clock } from '../../../protocols/kit/index.ts'
import { templateTest } from '../../../storage/templates/find.ts'
import type { Template } from '../../../storage/templates/template.ts'

/** After so long other work has its turn. */
const TURN_MS = 20
/** One search takes so long at most, waiting included. */
export const SEARCH_TIMEOUT_MS = 8_000

/** Templates for which the expression holds. Throws EXPRESSION_INVALID, LIMIT when it takes too long, or the signal's reason. */
export async function searchTemplates (templates: readonly Template[], text: string, clock: Pick<Clock, 'monotonicMs' | 'after'>, signal: AbortSignal): Promise<Template[]> {
  const test = templateTest(text)
  const found: Template[] = []
  const beganMs = clock.monotonicMs()
  let turnMs = beganMs
  for (const template of templates) {
    if (test(template)) found.push(template)
    const nowMs = clock.monotonicMs()
    if (nowMs - beganMs >= SEARCH_TIMEOUT_MS) throw new PlantError('LIMIT', { bound: 'time of one search', maxMs: SEARCH_TIMEOUT_MS })
    if (nowMs - turnMs < TURN_MS) continue
    await new Promise<void>((resolve) => { clock.after(0, resolve) })
    signal.throwIfAborted()
    turnMs = clock.monotonicMs()
  }
  return found
}
