/** What faults did: counted where network, hosts, clocks and liars apply them, so that a fault that strikes and changes nothing is noticed. */
import type { Fault } from '../scenario/index.ts'
import type { ExtraFault } from './faults.ts'
import type { Lie } from './liar.ts'

/** A fault's kind, a lie, one that was aimed (sim/fuzz), or what of a link was worse than by nature. */
export type Strike = Exclude<Fault['kind'] | ExtraFault['kind'], 'lie' | 'partition' | 'slowLink' | 'heal' | 'liar'> | `lie ${Lie}` | `aim ${string}` | LinkStrike | 'askedTwice' | 'clientLeft' | 'flawedGuest' | 'published' | 'removed'
/**
 * `partition`: a message was held up by a cut of both directions. `oneWay`: by a cut of its own direction only; `otherWay`: one passed meanwhile in the direction
 * that was not cut. `loss`: segments lost on slow links, and `lossExpected` what their shares make of those sent there. `latency`, `bandwidth`: messages that a slow
 * link held up so.
 */
export type LinkStrike = 'partition' | 'oneWay' | 'otherWay' | 'loss' | 'lossExpected' | 'latency' | 'bandwidth'

/** Counts of one run. */
export class Strikes {
  readonly counts = new Map<Strike, number>()

  add (what: Strike, times = 1): void { this.counts.set(what, (this.counts.get(what) ?? 0) + times) }
}
