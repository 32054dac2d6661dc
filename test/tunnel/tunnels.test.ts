import { describe, expect, test } from 'vitest'
import { GREETING_MS, SILENT_MS, networkIdOf } from '../../protocols/tunnel/index.ts'
import { packet } from './frames.ts'
import { crypto, lanOf, party } from './people.ts'
import { addressOf, fakeWorld, marks, rawMember, says, startMachine, startPlant, upAt } from './support.ts'

const owner = party()

describe('a tunnel', () => {
  test('to a member that does not read drops what is for it, and holds up no other', async () => {
    const world = fakeWorld()
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, q, { owner, n: 2 })
    const { who: mute } = await rawMember(world, p, lanOf(owner), owner, 9)
    await world.clock.advance(3_000)
    for (let i = 0; i < 3_000; i++) {
      a.device.says(packet({ from: 1, to: 9, sourceIp: addressOf(a), destinationIp: '10.192.0.9', payloadBytes: 1_400 }))
      if (i % 100 === 0) says(a, b, i / 100)
      if (i % 100 === 0) await world.clock.advance(1)
    }
    await world.clock.advance(10)
    expect(marks(b)).toEqual(Array.from({ length: 30 }, (_, i) => i))
    const [view] = p.networks.list()
    expect(view?.members.find(({ peer }) => peer === mute.id)?.queuedBytes).toBeLessThanOrEqual(2 * 1024 * 1024)
    expect(view?.ports.find(({ name }) => name === mute.id)?.drops['QUEUE_FULL']).toBeGreaterThan(100)
    await world.clock.advance(SILENT_MS + GREETING_MS)
    expect(upAt(p)).toEqual([q.id])
  })

  test('moves from a relay to a direct way and back without a frame being lost in between', async () => {
    const way = { relayed: true }
    const world = fakeWorld({ relayed: () => way.relayed })
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    expect(p.networks.list()[0]?.members.map(({ relayed }) => relayed)).toEqual([true])
    way.relayed = false
    for (let i = 0; i < 200; i++) {
      says(a, b, i)
      says(b, a, i)
      await world.clock.advance(500)
    }
    expect(p.networks.list()[0]?.members.map(({ relayed }) => relayed)).toEqual([false])
    const all = Array.from({ length: 200 }, (_, i) => i)
    expect(marks(b)).toEqual(all)
    expect(marks(a)).toEqual(all)
    expect(p.transport.streams).toBe(1)
    // The direct connection breaks, and only the relay is left.
    way.relayed = true
    p.transport.breakAll()
    await world.clock.advance(3_000)
    expect(p.networks.list()[0]?.members.map(({ relayed, state }) => [relayed, state])).toEqual([[true, 'up']])
  })

  test('that breaks is there again within seconds, however often', async () => {
    const world = fakeWorld({ fate: () => ({ delayMs: 10 }) })
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    for (let i = 0; i < 10; i++) {
      (i % 2 === 0 ? p : q).transport.breakAll()
      await world.clock.advance(2_000)
      says(a, b, i)
      await world.clock.advance(20)
    }
    expect(marks(b)).toEqual(Array.from({ length: 10 }, (_, i) => i))
  })
})

describe('a capture', () => {
  test('gets what the switch takes in until it is ended, and cannot break it', async () => {
    const world = fakeWorld()
    const p = await startPlant(world)
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, p, { owner, n: 2 })
    const id = a.attachment.networkId
    const got: number[] = []
    const end = p.networks.capture(id, (atMs, frame) => { got.push(frame[42] ?? -1, atMs) })
    p.networks.capture(id, () => { throw new Error('broken') })
    says(a, b, 1)
    says(b, a, 2)
    end()
    says(a, b, 3)
    expect(got).toEqual([1, world.clock.nowMs(), 2, world.clock.nowMs()])
    expect(marks(b)).toEqual([1, 3])
    expect(p.log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1)
    p.networks.capture(networkIdOf(crypto, lanOf(owner, 'none')), () => {})()
  })
})
