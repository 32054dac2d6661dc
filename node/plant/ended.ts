/** Machines that have ended: remembered for a while, in the bounds of the records. */
import type { Clock, Directory } from '../../protocols/kit/index.ts'
import type { MachineRecord, Records } from '../../storage/records/records.ts'

/** For a day, so that an order asked again is told how it ended. */
const ENDED_KEPT_MS = 24 * 3_600_000

/** Forgets those that ended long ago, and the oldest where there are too many: nobody is led to them any more. */
export function forgetEnded (c: { clock: Clock, records: Records, directory: Directory, forgotten: (record: MachineRecord) => void }): void {
  for (const record of c.records.forget(c.clock.nowMs() - ENDED_KEPT_MS)) {
    c.directory.withdraw(`vm/${record.vmId}`)
    c.forgotten(record)
  }
}
