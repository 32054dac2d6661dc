/**
 * Keeps V8's nursery as small as it is at the start. What streams carry lies in buffers outside the heap; they die young, but are only let go when
 * the nursery is collected, and a large nursery is collected so rarely that their bytes set off a full collection of the whole heap first. One
 * pack of 512 MiB between two processes: 115 against 45 MiB/s, 3.7 against 7.1 processor seconds a GiB on the sending side.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * To be called once by a process that serves or fetches packs, when its modules are loaded: loading them has let the nursery grow to 32 MiB. From now
 * on it does not grow, and one collection of the thorough kind shrinks it to the 1 MiB that it began with.
 */
export function keepNurserySmall (): void {
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (how: { type: 'major', execution: 'sync', flavor: 'last-resort' }) => void
  setFlagsFromString('--no-expose-gc')
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
