/** No member speaks for the card of another member's machine, whoever tells of it first. */
import { expect, test } from 'vitest'
import { cardMacOf, macOf } from '../../protocols/tunnel/card-mac.ts'
import { MacOwners } from '../../protocols/tunnel/mac-owners.ts'
import { encodeControl } from '../../protocols/tunnel/messages.ts'
import { macText, packet } from './frames.ts'
import { lanOf, machineOf, party, proofOf } from './people.ts'
import { addressOf, attachAgain, fakeWorld, marks, rawMember, startMachine, startPlant, type FakeMachine, type FakePlant, type FakeWorld } from './support.ts'

const owner = party()
const lan = lanOf(owner)

/** A member tells that its machine has this card, before the machine is there that has it. */
async function squat (world: FakeWorld, at: FakePlant, mac: string): Promise<void> {
  const { stream, machine, proof } = await rawMember(world, at, lan, owner, 9)
  await stream.send(encodeControl({ t: 'stations', add: [{ station: { mac, addresses: [], vmId: machine.vmId }, proof }], remove: [], uplink: false, snapshot: 'end' }))
  await world.clock.advance(100)
}

function sent (from: FakeMachine, mac: string, to: string): Uint8Array {
  const frame = packet({ from: from.mac, to: 0, sourceIp: addressOf(from), destinationIp: to, mark: 5 })
  frame.set(mac.split(':').map((byte) => Number.parseInt(byte, 16)))
  return frame
}

test('a machine here has its card, though a member told of it first', async () => {
  const world = fakeWorld()
  const p = await startPlant(world)
  const a = await startMachine(world, p, { owner, n: 1 })
  await squat(world, p, macText(2))
  const b = await startMachine(world, p, { owner, n: 2 })
  a.device.says(sent(a, macText(2), addressOf(b)))
  await world.clock.advance(10)
  expect(marks(b)).toEqual([5])
})

test('a machine of another member has the card that follows from its VMID, though a third told of it first', async () => {
  const world = fakeWorld()
  const [p, q] = [await startPlant(world), await startPlant(world)] as const
  const a = await startMachine(world, p, { owner, n: 1 })
  const machine = machineOf({ owner, shop: party(), network: lan, orderId: 'b' })
  const mac = macOf(machine.vmId)
  await squat(world, p, mac)
  const station = { mac, vmId: machine.vmId, name: 'b', addresses: ['10.192.0.77'] }
  const b = await attachAgain(world, q, { machine, proof: proofOf(machine, q.id), network: lan, mac: 2, station })
  await world.clock.advance(3_000)
  a.device.says(sent(a, mac, '10.192.0.77'))
  await world.clock.advance(10)
  expect(marks(b)).toEqual([5])
})

test('a card is the machine\'s that is here, then the one\'s from whose VMID it follows, then the first one\'s', () => {
  const [p, q, r] = [party().id, party().id, party().id]
  const [x, y, z] = ['a', 'b', 'c'].map((orderId) => machineOf({ owner, shop: party(), orderId }).vmId)
  if (x === undefined || y === undefined || z === undefined) throw new Error('three')
  for (const mac of [macOf(z), cardMacOf(z, 1), cardMacOf(z, 3)]) {
    const owners = new MacOwners()
    const who = (): unknown => [x, y, z].find((vmId) => owners.owns({ mac, vmId }, p))
    expect([owners.enter({ mac, vmId: x }, p), owners.enter({ mac, vmId: y }, q), who()]).toEqual([false, false, x])
    expect([owners.enter({ mac, vmId: z }, r), who()]).toEqual([true, z])
    expect([owners.enter({ mac, vmId: y }, p, true), who()]).toEqual([true, y])
    expect([owners.leave({ mac, vmId: y }, p), who()]).toEqual([false, y])
    expect([owners.leave({ mac, vmId: y }, q), who()]).toEqual([true, z])
    expect([owners.leave({ mac, vmId: x }, p), owners.leave({ mac, vmId: z }, r), who()]).toEqual([false, false, undefined])
    expect(owners.leave({ mac, vmId: z }, r)).toBe(false)
  }
})
