/** A spare becomes an order's machine, or is given up so that the order is cloned. */
import { expect, test } from 'vitest'
import { PlantError, type GoldenId, type VmId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { Identity, LiveMachine, SpareMachine } from '../../node/lines/line.ts'
import { begun } from '../../node/plant/begun.ts'
import { timeToDoneCost, FIGURES_AT_FIRST } from '../../node/plant/cost/index.ts'
import { phases } from '../../node/plant/phases.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'

const golden = { goldenId: 'g' as GoldenId, hardware: { cpus: 1, memoryMiB: 64, diskMiB: 1 } } as Golden
const identity: Identity = { mac: 'order', hostName: 'h', machineId: 'm', seed: new Uint8Array() }
const hangs = (signal?: AbortSignal): Promise<never> => new Promise((_resolve, reject) => { signal?.addEventListener('abort', () => { reject(signal.reason) }) })

type HandOut = SpareMachine['handOut']

function run (handOut: HandOut | undefined, identify: (signal?: AbortSignal) => Promise<object> = async () => ({}), room: () => Promise<void> = async () => {}) {
  const said: string[] = []
  const clock = new FakeClock()
  const stop = new AbortController()
  const machine = (name: string): LiveMachine => ({
    mac: name, died: new Promise(() => {}),
    identify: async (told: Identity, signal?: AbortSignal) => {
      said.push(`${name} is told ${told.mac}`)
      return name === 'spare' ? identify(signal) : {}
    },
    destroy: async () => { said.push(`${name} ended`) }
  }) as unknown as LiveMachine
  const spares = {
    ordered: () => { said.push('ordered') },
    take: () => handOut && { machine: { handOut: async (request, signal) => { await handOut(request, signal); return machine('spare') } } as SpareMachine, unpin: () => { said.push('unpinned') } },
    served: (_goldenId: GoldenId, well: boolean) => { said.push(well ? 'served' : 'failed') },
    room: async () => { said.push('room'); await room() }
  }
  const time = phases(clock, (phase) => { said.push(phase) })
  const line = { clone: async () => machine('clone') }
  const made = begun({ vmId: 'v' as VmId, golden, hardware: golden.hardware, identity }, undefined, { clock, log: fakeLog(), line, warehouse: { verified: async () => '' }, spares }, time, { onCard: ({ mac }) => { said.push(`${mac} has a card`) }, onRuns: ({ mac }) => { said.push(`${mac} runs`) } }, stop.signal)
  made.catch(() => {})
  return { said, clock, stop, made }
}
const CLONED = ['room', 'clone', 'clone has a card', 'clone runs', 'identity', 'clone is told order']
const fine = async (): Promise<LiveMachine> => ({}) as LiveMachine

test('a spare is handed out, keeps its own address, and makes room for its lease', async () => {
  const { said, made, clock } = run(fine)
  expect(await made).toMatchObject({ spare: true, live: { mac: 'spare' } })
  expect(said).toEqual(['ordered', 'spare', 'spare has a card', 'identity', 'spare is told spare', 'served', 'unpinned', 'room', 'spare runs'])
  expect(clock.pending).toBe(0)
})

test('without a spare it is cloned, after room was made', async () => {
  const { said, made } = run(undefined)
  expect(await made).toMatchObject({ spare: false, live: { mac: 'clone' } })
  expect(said).toEqual(['ordered', ...CLONED])
})

test('a spare that cannot be handed out, refuses its identity or is silent is given up, and the order is cloned', async () => {
  const dead = run(async () => { throw new PlantError('VM_DIED') })
  expect(await dead.made).toMatchObject({ spare: false })
  expect(dead.said).toEqual(['ordered', 'spare', 'failed', 'unpinned', ...CLONED])
  const refusing = run(fine, async () => { throw new PlantError('IDENTITY_FAILED') })
  expect(await refusing.made).toMatchObject({ spare: false })
  expect(refusing.said).toEqual(['ordered', 'spare', 'spare has a card', 'identity', 'spare is told spare', 'spare ended', 'failed', 'unpinned', ...CLONED])
  const silent = run(fine, hangs)
  await silent.clock.advance(3_000)
  expect(await silent.made).toMatchObject({ spare: false })
  expect(silent.said).toContain('spare ended')
})

test('an order that is called off leaves no machine, wherever it is', async () => {
  const during = run(fine, hangs)
  await during.clock.advance(10)
  during.stop.abort(new PlantError('INTERRUPTED'))
  await expect(during.made).rejects.toMatchObject({ code: 'INTERRUPTED' })
  expect(during.said).toEqual(['ordered', 'spare', 'spare has a card', 'identity', 'spare is told spare', 'spare ended', 'unpinned'])
  const after = run(fine, undefined, async () => { throw new PlantError('INTERRUPTED') })
  await expect(after.made).rejects.toMatchObject({ code: 'INTERRUPTED' })
  expect(after.said.slice(-2)).toEqual(['room', 'spare ended'])
})

test('a plant with a spare bids the time that handing it out takes', () => {
  const capacity = { cpus: 1, memoryMiB: 1, diskMiB: 1, machines: 1, networks: 1 }
  const price = (spare: boolean): string[] => timeToDoneCost().price({
    need: { cpus: 1, memoryMiB: 1, diskMiB: 1, networks: [] }, capacity, used: capacity, freshNetworks: 0,
    plan: { goldenId: 'g', actionsLeft: 0, fetchBytes: 0, resize: false, spare }, load: 0, learned: FIGURES_AT_FIRST
  }).map(({ item, cost }) => `${item} ${cost}`)
  expect(price(true)[0]).toBe(`spare ${FIGURES_AT_FIRST.spareMs}`)
  expect(price(false)[0]).toBe(`clone ${FIGURES_AT_FIRST.cloneMs}`)
})
