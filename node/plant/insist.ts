/** Writing down what has happened: with a full disk it is tried again until it is done, as it must not be forgotten. */
import { asPlantError, type Clock, type Log } from '../../protocols/kit/index.ts'

/** Long enough for somebody to free room, short enough that a record does not lag much behind. */
const AGAIN_MS = 5_000

/** Does the work until it succeeds or `stopped` says that there is no use any more. What is no fault of the disk is thrown. */
export async function insist (c: { clock: Clock, log: Log }, stopped: () => boolean, work: () => void | Promise<void>): Promise<void> {
  while (!stopped()) {
    try {
      await work()
      return
    } catch (error) {
      const { code, details } = asPlantError(error)
      if (code !== 'DISK_FULL' && code !== 'RECORDS_BROKEN') throw error
      c.log.error({ code, ...details }, 'what happened to a machine cannot be written down; tried again')
      await new Promise<void>((resolve) => { c.clock.after(AGAIN_MS, resolve) })
    }
  }
}
