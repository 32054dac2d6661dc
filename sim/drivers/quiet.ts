/** How the simulator knows that all promises that can go on have done so. */
import type { Quiet } from '../world/timeline.ts'

/** The event loop turns at least each so many events: finalisers, progress and signals want their turn. */
const TURN_EVERY = 2_048

/**
 * Node runs what was given to `nextTick` from within a microtask only once the queue of microtasks is empty, and before anything else. So this is exact,
 * as long as nothing but promises is waited for, and costs a tenth of a turn of the event loop.
 */
export function microtaskQuiet (): Quiet {
  let calls = 0
  return (then) => {
    if (++calls % TURN_EVERY === 0) setImmediate(then)
    else queueMicrotask(() => { process.nextTick(then) })
  }
}
