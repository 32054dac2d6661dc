/**
 * Keeps libp2p's moving averages on monotonic time. Theirs read the wall clock: once that goes back by an hour, an average is not a number for good, no
 * timeout can be made of it, every request of the directory fails, and the connection monitor ends every connection that it pings.
 */
import { MovingAverage } from '@libp2p/utils'

const push = MovingAverage.prototype.push

/** To be called before a node is made; again is harmless. Also for averages that exist. */
export function averageByMonotonicTime (): void {
  MovingAverage.prototype.push = function (value: number): void { push.call(this, value, performance.now()) }
}
