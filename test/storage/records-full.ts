/** Writes records until there is no room (its parent limits the size of its files): prints the error's code, then `kept` when nothing was lost. */
import { PlantError } from '../../protocols/kit/index.ts'
import { openRecords } from '../../storage/drivers/sqlite-records.ts'
import { FakeStandingClock, machineRecord } from './records-support.ts'

const records = openRecords(process.argv[2] ?? '', { clock: new FakeStandingClock() })
let written = 0
try {
  for (let n = 1; n < 10_000; n++) {
    records.putMachine(machineRecord(n, { name: 'x'.repeat(10_000) }), Uint8Array.of(1))
    written = n
  }
} catch (error) {
  console.log(error instanceof PlantError ? error.code : error)
}
console.log(written > 0 && records.machines().length === written ? 'kept' : `lost some of ${written}`)
