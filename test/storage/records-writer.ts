/** Writes records and says which are durable, until it is killed: `node records-writer.ts FILE`. */
import { writeSync } from 'node:fs'
import type { KeyId } from '../../protocols/kit/index.ts'
import { openRecords } from '../../storage/drivers/sqlite-records.ts'
import { FakeStandingClock, machineRecord } from './records-support.ts'

const records = openRecords(process.argv[2] ?? '', { clock: new FakeStandingClock() })
for (let n = 1; ; n++) {
  records.putMachine(machineRecord(n))
  records.saveClaims([{ vmId: machineRecord(n).vmId, entry: Uint8Array.of(n & 255) }])
  if (!records.seenCall({ caller: 'caller' as KeyId, nonce: `nonce-${n}` }, 1e12)) throw new Error('seen')
  // Straight to the pipe: what is read there was acknowledged.
  writeSync(1, `${n}\n`)
}
