/** A clone from a served disk; when it cannot be started from that, from files once all has come. */
import { expect, test } from 'vitest'
import { PlantError, type GoldenId, type VmId } from '../../protocols/kit/index.ts'
import { cloned } from '../../node/plant/clone.ts'
import type { LateHold } from '../../node/plant/images/late-disks.ts'
import { phases } from '../../node/plant/phases.ts'
import type { CloneRequest, LiveMachine } from '../../node/lines/line.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'

const request = { vmId: 'v1' as VmId, golden: { goldenId: 'g' as GoldenId }, mac: '', diskMiB: 1 } as CloneRequest

function run (clone: (request: CloneRequest) => LiveMachine, signal = new AbortController().signal): { said: string[], live: Promise<LiveMachine> } {
  const said: string[] = []
  const late: LateHold = {
    goldenId: 'g' as GoldenId,
    serve: async () => ({ goldenDir: 'some', socketPath: 'socket' }),
    runs: () => { said.push('runs') },
    whole: async () => { said.push('whole') },
    release: () => { said.push('released') }
  }
  const line = { clone: async (asked: CloneRequest) => { said.push(`${asked.goldenDir} ${asked.disk?.socketPath ?? 'file'}`); return clone(asked) } }
  return { said, live: cloned(request, late, { log: fakeLog(), line, warehouse: { verified: async () => 'all' } }, phases(new FakeClock(), () => {}), signal) }
}

test('a machine that starts from a served disk is told of it, and keeps it', async () => {
  const { said, live } = run(() => ({}) as LiveMachine)
  await live
  expect(said).toEqual(['some socket', 'runs'])
})

test('one that does not start from it is started when all has come, and lets it go', async () => {
  const { said, live } = run(({ disk }) => { if (disk !== undefined) throw new PlantError('AGENT_SILENT'); return {} as LiveMachine })
  await live
  expect(said).toEqual(['some socket', 'whole', 'released', 'all file'])
})

test('one that is called off is not tried again', async () => {
  const stop = new AbortController()
  const { said, live } = run(() => { stop.abort(new PlantError('INTERRUPTED')); throw new PlantError('AGENT_SILENT') }, stop.signal)
  await expect(live).rejects.toMatchObject({ code: 'INTERRUPTED' })
  expect(said).toEqual(['some socket'])
})
