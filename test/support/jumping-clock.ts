/**
 * A wall clock that jumps, for a real plant in a process of its own: loaded by `node --import`, it makes this process's Date as wrong as the file
 * JUMPING_CLOCK_FILE says (milliseconds, 0 when there is none). Monotonic time and the guests' host clock stay as they are, as when NTP or a user
 * sets a host's clock.
 */
import { readFileSync } from 'node:fs'

const path = process.env['JUMPING_CLOCK_FILE'] ?? ''
const RealDate = Date

function offsetMs (): number {
  try {
    return Number(readFileSync(path, 'utf8'))
  } catch {
    return 0
  }
}

class JumpingDate extends RealDate {
  constructor (...args: unknown[]) {
    if (args.length === 0) super(JumpingDate.now())
    else super(...args as [number])
  }

  static override now (): number { return RealDate.now() + offsetMs() }
}
globalThis.Date = JumpingDate as DateConstructor
