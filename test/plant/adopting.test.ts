/** Machines that ran when their plant ended: asked until they answer or are gone, and never removed while they run. */
import { expect, test } from 'vitest'
import { PlantError, type VmId } from '../../protocols/kit/index.ts'
import type { LiveMachine } from '../../node/lines/line.ts'
import { Adopting } from '../../node/plant/adopting.ts'
import type { MachineRecord } from '../../storage/records/records.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'

const vmId = 'v1' as VmId
const record = { vmId, plan: { goldenId: 'g', goldenName: 'tiny', actionsDone: [], actionsRun: [] } } as unknown as MachineRecord
const machine = { vmId } as LiveMachine
const silent = async (): Promise<never> => { throw new PlantError('VM_STATE', { problem: 'QEMU does not answer' }) }
type Answer = () => Promise<LiveMachine | undefined>

function adopting (answers: Answer[]): { adoption: Adopting, said: string[], clock: FakeClock } {
  const said: string[] = []
  const clock = new FakeClock()
  const line = {
    adopt: async () => (answers.length > 1 ? answers.shift() : answers[0])?.(),
    sweep: async () => { said.push('swept') },
    diskSocketOf: async () => undefined
  }
  const warehouse = { get: () => ({}) as never, pin: () => { said.push('pinned'); return () => { said.push('unpinned') } } }
  const adoption = new Adopting({ clock, log: fakeLog(), line, warehouse }, {
    adopted: () => { said.push('adopted') },
    gone: async () => { said.push('gone') }
  })
  return { adoption, said, clock }
}

test('a machine that does not answer is asked until it does, and is left alone meanwhile', async () => {
  const { adoption, said, clock } = adopting([silent, silent, async () => machine])
  adoption.begin(record)
  expect(said).toEqual(['pinned'])
  await adoption.tried(vmId, new AbortController().signal)
  expect(adoption.has(vmId)).toBe(true)
  await clock.advance(10_000)
  expect(said).toEqual(['pinned', 'adopted'])
  expect(adoption.has(vmId)).toBe(false)
  expect(clock.pending).toBe(0)
})

test('a machine that has no process any more is swept, and only then', async () => {
  const { adoption, said, clock } = adopting([silent, async () => undefined])
  adoption.begin(record)
  await clock.advance(0)
  expect(said).toEqual(['pinned'])
  await clock.advance(10_000)
  expect(said).toEqual(['pinned', 'swept', 'gone', 'unpinned'])
})

test('an adoption that is stopped leaves the machine as it is, and no timer', async () => {
  const { adoption, said, clock } = adopting([silent])
  adoption.begin(record)
  await clock.advance(5_000)
  await adoption.stop(vmId)
  expect(said).toEqual(['pinned', 'unpinned'])
  expect(adoption.has(vmId)).toBe(false)
  expect(clock.pending).toBe(0)
})
