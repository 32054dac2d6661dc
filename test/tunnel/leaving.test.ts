/** What must not be left of a network, a right or a stream that has ended. */
import { expect, test } from 'vitest'
import { PROOF_RECHECK_MS } from '../../protocols/tunnel/constants.ts'
import { networkIdOf } from '../../protocols/tunnel/index.ts'
import { decodeControl, encodeControl } from '../../protocols/tunnel/messages.ts'
import { macText } from './frames.ts'
import { crypto, joinOf, lanOf, party } from './people.ts'
import { fakeWorld, rawTunnel, startMachine, startPlant, upAt } from './support.ts'

const owner = party()
const lan = lanOf(owner)

test.each([1, 90, 180, 260, 340, 420, 500, 580, 660, 740])('a network that is left %i ms after it was joined leaves no tunnel behind, whoever was greeting', async (ms) => {
  const world = fakeWorld({ fate: () => ({ delayMs: 60 }) })
  const [p, q] = [await startPlant(world), await startPlant(world)] as const
  await startMachine(world, p, { owner, n: 1 })
  await world.clock.advance(2_000)
  const b = await startMachine(world, q, { owner, n: 2 })
  await world.clock.advance(ms)
  b.attachment.detach(true)
  await world.clock.advance(10_000)
  expect(q.networks.list()).toEqual([])
  expect(upAt(p)).toEqual([])
  expect([p.transport.streams, q.transport.streams]).toEqual([0, 0])
})

test('a network that is left and joined again at once is still found in the directory', async () => {
  const world = fakeWorld({ fate: () => ({ delayMs: 60 }) })
  const [p, q] = [await startPlant(world), await startPlant(world)] as const
  await startMachine(world, p, { owner, n: 1 })
  const b = await startMachine(world, q, { owner, n: 2 })
  await world.clock.advance(3_000)
  b.attachment.detach(true)
  await startMachine(world, q, { owner, n: 3 })
  await world.clock.advance(3_000)
  expect(world.rendezvous.provided.get(`net/${networkIdOf(crypto, lan)}`)).toEqual(new Set([p.id, q.id]))
  expect(upAt(p)).toEqual([q.id])
})

test('a member whose grant was revoked loses its tunnel within a minute, though it does not leave', async () => {
  const granted = { yes: true }
  const world = fakeWorld()
  const p = await startPlant(world, party(), { take () {}, holds: async () => granted.yes })
  await startMachine(world, p, { owner, n: 1 })
  const who = party()
  const proof = joinOf(party(), who.id, lan)
  const stream = await rawTunnel(world, who, p)
  await stream.send(encodeControl({ t: 'hello', network: networkIdOf(crypto, lan), uplink: true, proof }))
  const welcome = await world.clock.settle(stream.receive())
  expect(welcome && decodeControl(welcome).t).toBe('welcome')
  await stream.send(encodeControl({ t: 'stations', add: [{ station: { mac: macText(9), addresses: [] }, proof }], remove: [], uplink: true, snapshot: 'end' }))
  await world.clock.advance(1_000)
  expect(upAt(p)).toEqual([who.id])
  granted.yes = false
  await world.clock.advance(2 * PROOF_RECHECK_MS)
  expect(upAt(p)).toEqual([])
  expect(stream.signal.aborted).toBe(true)
})
