import { expect, test } from 'vitest'
import type { VmId } from '../../protocols/kit/index.ts'
import type { MachineRecord, Records } from '../../storage/records/records.ts'
import { forgetEnded } from '../../node/plant/ended.ts'
import { FakeDirectory } from '../member/support.ts'
import { machineRecord } from '../storage/records-support.ts'
import { FakeClock } from '../support/fake-clock.ts'

test('machines that ended over a day ago are forgotten, and nobody is led to them', () => {
  const clock = new FakeClock()
  const directory = new FakeDirectory()
  const withdrawn: string[] = []
  directory.withdraw = (key?: string) => { withdrawn.push(key ?? '') }
  const old = machineRecord(1, { state: 'failed' })
  let before = 0
  const records = { forget: (endedBeforeMs: number) => { before = endedBeforeMs; return [old] } } as unknown as Records
  const told: MachineRecord[] = []
  forgetEnded({ clock, records, directory, forgotten: (record) => { told.push(record) } })
  expect(clock.nowMs() - before).toBe(86_400_000)
  expect(withdrawn).toEqual([`vm/${old.vmId satisfies VmId}`])
  expect(told).toEqual([old])
})
