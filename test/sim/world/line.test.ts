/** The contract of production lines, run against the simulated one: its world goes on by itself while tests wait. */
import { expect, test } from 'vitest'
import { CLONE_ANSWERS_WITHIN_MS as REAL_ANSWERS_WITHIN_MS } from '../../../node/lines/qemu/limits.ts'
import { microtaskQuiet } from '../../../sim/drivers/quiet.ts'
import { RandomStream } from '../../../sim/kernel/index.ts'
import { vmTimings } from '../../../sim/timings/index.ts'
import { HostClock } from '../../../sim/world/clock.ts'
import { KeyRing } from '../../../sim/world/crypto.ts'
import { SimHost, SOUND_GUEST, type GuestNature } from '../../../sim/world/host/host.ts'
import { CLONE_ANSWERS_WITHIN_MS, SimLine } from '../../../sim/world/host/line.ts'
import { Life } from '../../../sim/world/life.ts'
import { goldenOf } from '../../../sim/world/orders.ts'
import { Timeline, usOf } from '../../../sim/world/timeline.ts'
import { describeLineLife, type LineLifeUnderTest } from '../../contracts/line-life.ts'
import { describeLineSpares } from '../../contracts/line-spares.ts'
import { scenarioOf } from './support.ts'

const watch = { actionMs: (_vmId: string, script: string) => script.startsWith('sleep') ? 1_000_000 : undefined, phases () {}, begun () {} }

function hostOn (timeline: Timeline, nature: GuestNature = SOUND_GUEST): SimHost {
  const ring = new KeyRing()
  const random = new RandomStream('line')
  return new SimHost({
    name: 'h', group: 'h', site: 's', key: ring.make(random), capacity: { cpus: 8, memoryMiB: 8_192, diskMiB: 8_192, machines: 8, networks: 4 }, cpus: 2, memoryMiB: 8_192,
    clock: new HostClock(timeline, { offsetMs: 0, driftPpm: 0 }), timeline, timings: vmTimings(scenarioOf({}).timings), random, nature: () => nature,
    goldens: [goldenOf({ name: 'linux', cpus: 1, memoryMiB: 256, diskMiB: 512, actionsDone: [] }, ring)]
  })
}

const open = async (): Promise<LineLifeUnderTest> => {
  const timeline = new Timeline()
  const host = hostOn(timeline)
  const [{ golden } = { golden: undefined }] = host.shelf.values()
  if (golden === undefined) throw new Error('a golden machine')
  const quiet = microtaskQuiet()
  let going = true
  const pump = (async () => {
    while (going) {
      await timeline.run(timeline.nowUs + usOf(5), quiet)
      await new Promise((resolve) => { setImmediate(resolve) })
    }
  })()
  const line = (): SimLine => new SimLine(host, new Life(0, () => {}), watch)
  return {
    line: line(), golden, goldenDir: '/golden',
    reopen: async () => line(),
    kill: ({ vmId }) => {
      const machine = host.machines.get(vmId)
      if (machine !== undefined) host.kill(machine, 'killed')
    },
    processes: async () => [...host.machines.values()].filter(({ alive }) => alive).map(({ pid }) => pid),
    remains: async () => [...host.machines.keys()],
    after: (ms, fn) => timeline.after(usOf(ms), fn),
    scratch: async () => host.newDraft(),
    clean: async () => {
      going = false
      await pump
    }
  }
}

describeLineLife('sim', open)
describeLineSpares('sim', open)

async function outcome (nature: GuestNature, withinMs: number): Promise<{ code: string, atMs: number, left: number }> {
  const timeline = new Timeline()
  const host = hostOn(timeline, nature)
  const [{ golden } = { golden: undefined }] = host.shelf.values()
  if (golden === undefined) throw new Error('a golden machine')
  const request = { vmId: 'f'.repeat(32) as never, golden, goldenDir: '', mac: '02:00:00:00:00:01', diskMiB: 512 }
  let found = { code: 'open', atMs: 0 }
  const line = new SimLine(host, new Life(0, () => {}), watch)
  line.clone(request).then(async (machine) => {
    await machine.identify({ mac: request.mac, hostName: 'h', machineId: request.vmId, seed: new Uint8Array(32) })
    const { status } = await machine.channel('agent').run({ script: 'true', parameters: {}, files: {}, timeoutMs: 5_000 })
    return `status ${status}`
  }).then((code) => { found = { code, atMs: timeline.nowMs } }, (error: { code: string }) => { found = { code: error.code, atMs: timeline.nowMs } })
  await timeline.run(usOf(withinMs), microtaskQuiet())
  return { ...found, left: host.machines.size }
}

test('guests fail as their nature says, within the real line\'s times', async () => {
  expect(CLONE_ANSWERS_WITHIN_MS).toBe(REAL_ANSWERS_WITHIN_MS)
  expect(await outcome(SOUND_GUEST, 10_000)).toMatchObject({ code: 'status 0', left: 1 })
  expect(await outcome({ ...SOUND_GUEST, start: 'fails' }, 10_000)).toMatchObject({ code: 'VM_START_FAILED', left: 0 })
  const silent = await outcome({ ...SOUND_GUEST, start: 'silent' }, 100_000)
  expect(silent).toMatchObject({ code: 'AGENT_SILENT', left: 0 })
  expect(silent.atMs).toBeGreaterThan(CLONE_ANSWERS_WITHIN_MS)
  const late = await outcome({ ...SOUND_GUEST, lateMs: 20_000 }, 100_000)
  expect(late.code).toBe('status 0')
  expect(late.atMs).toBeGreaterThan(20_000)
  expect(await outcome({ ...SOUND_GUEST, identity: 'refused' }, 10_000)).toMatchObject({ code: 'IDENTITY_FAILED' })
  expect(await outcome({ ...SOUND_GUEST, actions: 'hang' }, 20_000)).toMatchObject({ code: 'ACTION_TIMEOUT' })
  expect((await outcome({ ...SOUND_GUEST, actions: 'fail' }, 10_000)).code).toMatch(/status [1-9]/)
  expect(await outcome({ ...SOUND_GUEST, diesAfterMs: 50 }, 10_000)).toMatchObject({ code: 'VM_START_FAILED', left: 0 })
})

test('a machine outlives the process that made it, and half a machine is no machine to the next', async () => {
  const timeline = new Timeline()
  const host = hostOn(timeline)
  const [{ golden } = { golden: undefined }] = host.shelf.values()
  if (golden === undefined) throw new Error('a golden machine')
  const quiet = microtaskQuiet()
  const first = new Life(0, () => {})
  const line = new SimLine(host, first, watch)
  const request = (n: number): Parameters<SimLine['clone']>[0] => ({ vmId: String(n).repeat(32) as never, golden, goldenDir: '', mac: `02:00:00:00:00:0${n}`, diskMiB: 512 })
  let died = 0
  line.clone(request(1)).then((machine) => { void machine.died.then(() => { died++ }) }, () => {})
  await timeline.run(usOf(5_000), quiet)
  line.clone(request(2)).catch(() => {})
  await timeline.run(usOf(5_020), quiet)
  first.die()
  await timeline.run(usOf(20_000), quiet)
  expect([...host.machines.values()].map(({ alive, made }) => ({ alive, made }))).toEqual([{ alive: true, made: true }, { alive: true, made: false }])
  const next = new SimLine(host, new Life(1, () => {}), watch)
  const adopted = Promise.all([next.adopt(request(1).vmId), next.adopt(request(2).vmId)])
  await timeline.run(usOf(30_000), quiet)
  expect((await adopted).map((machine) => machine?.vmId)).toEqual([request(1).vmId, undefined])
  const [machine] = host.machines.values()
  if (machine !== undefined) host.kill(machine, 'killed')
  await timeline.run(usOf(40_000), quiet)
  expect(died).toBe(0) // Told to the living only.
})
