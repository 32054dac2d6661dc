/** Actions begin when the guest has its addresses, or has had its time to take them. */
import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { PlantError } from '../../protocols/kit/index.ts'
import type { LiveMachine, ScriptRun } from '../../node/lines/line.ts'
import { guestAddressed } from '../../node/plant/guest-addressed.ts'
import { fakeLog } from '../support/fake-log.ts'

const never = new AbortController().signal
function machineThat (run: (script: ScriptRun) => void): LiveMachine {
  return { vmId: 'v', channel: () => ({ run: async (script: ScriptRun) => { run(script); return { status: 0 } } }) } as unknown as LiveMachine
}

test('a guest is waited for until it has all its addresses: what it runs sees those that a kernel has, and no others', async () => {
  const runs: ScriptRun[] = []
  await guestAddressed(machineThat((run) => { runs.push(run) }), ['127.0.0.1', '127.255.255.255'], fakeLog(), never)
  await guestAddressed(machineThat((run) => { runs.push(run) }), [], fakeLog(), never)
  expect(runs).toHaveLength(1)
  const here = (addresses: string): string => {
    try {
      execFileSync('timeout', ['1', 'sh', '-c', runs[0]?.script ?? ''], { env: { ...process.env, ADDRESSES: addresses } })
      return 'has them'
    } catch {
      return 'waits'
    }
  }
  expect(here(runs[0]?.parameters['ADDRESSES'] ?? '')).toBe('has them')
  for (const none of ['203.0.113.7', '27.0.0.1', '127.0.0.11']) expect(here(none)).toBe('waits')
})

test('a guest that takes no address is given its time, and then its actions run; whatever else goes wrong is told', async () => {
  const log = fakeLog()
  await guestAddressed(machineThat(() => { throw new PlantError('ACTION_TIMEOUT') }), ['10.192.0.2'], log, never)
  expect(log.lines).toHaveLength(1)
  await expect(guestAddressed(machineThat(() => { throw new PlantError('VM_DIED') }), ['10.192.0.2'], log, never)).rejects.toMatchObject({ code: 'VM_DIED' })
})
