/** Machines are on their networks while they run, and nothing of them stays there when they have ended. */
import { expect, test } from 'vitest'
import { PlantError, type KeyId, type VmId } from '../../protocols/kit/index.ts'
import type { Order } from '../../protocols/order/order.ts'
import type { LiveMachine } from '../../node/lines/line.ts'
import { cardMacOf, macOf } from '../../protocols/tunnel/card-mac.ts'
import { MachineNetworks } from '../../node/plant/networks.ts'
import { orderOf } from '../bid/bidding-plant.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { FakeNetworks } from '../support/fake-networks.ts'

const vmId = '0123456789abcdef0123456789abcdef' as VmId
const domainKey = 'key' as KeyId
const never = new AbortController().signal

function machineOf (mac: string, added: string[]): LiveMachine {
  const network = async (): Promise<never> => ({}) as never
  return { mac, vmId, network, attachCard: async (further: string) => { added.push(further); return { network, detach: async () => {} } } } as unknown as LiveMachine
}

function machines (order: Order = orderOf({}, { network: { name: 'lan', addressing: 'mesh' } })) {
  const clock = new FakeClock()
  const networks = new FakeNetworks()
  const cards: AbortController[] = []
  const added: string[] = []
  const all = new MachineNetworks({
    clock, log: fakeLog(), networks, orderOf: () => order, proofOf: () => ({ kind: 'machine', signedOrder: new Uint8Array(), handOvers: [] }),
    onStation: (_vmId, { name, station }) => { networks.said.push(`${station.mac} on ${name} is noted at ${station.addresses.join()}`) },
    deviceOf: () => {
      const closed = new AbortController()
      cards.push(closed)
      return { takesOffload: false, send () {}, onFrame () {}, closed: closed.signal, close () { closed.abort() } }
    }
  })
  const attach = async (mac: string, signal = never) => all.attach({ vmId, order, domainKey }, machineOf(mac, added), signal)
  return { clock, networks, cards, added, all, attach, order }
}

test('a machine is put on the network of its order, by its name, and gets what it is given', async () => {
  const { attach, networks } = machines()
  expect(await attach('m1')).toEqual([{ name: 'lan', station: { mac: 'm1', vmId, name: 'vm-01234567', addresses: ['10.192.0.2'] } }])
  expect(networks.said).toEqual(['m1 asks for lan', 'm1 has 10.192.0.2'])
})

test('an order without a network is on none, and one with an address asks for it', async () => {
  const none = machines(orderOf())
  expect(await none.attach('m1')).toEqual([])
  expect(none.networks.said).toEqual([])
  const own = machines(orderOf({}, { network: { name: 'lan', addressing: 'mesh', address: '10.1.2.3' } }))
  expect(await own.attach('m1')).toMatchObject([{ station: { addresses: ['10.1.2.3'] } }])
})

test('a machine of several networks has a card on each, all or none', async () => {
  const { attach, networks, added, all, clock } = machines(orderOf({}, { networks: [{ name: 'east', addressing: 'mesh', router: true }, { name: 'west', addressing: 'mesh' }, { name: 'south', addressing: 'mesh' }] }))
  expect((await attach('m1')).map(({ name, station: { mac, addresses, router } }) => [name, mac, addresses, router])).toEqual([
    ['east', 'm1', ['10.192.0.2'], true], ['west', added[0], ['10.192.0.3'], undefined], ['south', added[1], ['10.192.0.4'], undefined]
  ])
  expect(added).toEqual([cardMacOf(vmId, 1), cardMacOf(vmId, 2)])
  expect(new Set([...added, macOf(vmId)]).size).toBe(3)
  all.gone(vmId)
  await clock.advance(0)
  expect(networks.said.filter((text) => text.endsWith('for good'))).toHaveLength(3)
  networks.failures.push(new PlantError('LIMIT'))
  await expect(attach('m1')).rejects.toMatchObject({ code: 'LIMIT' })
  expect(networks.said.filter((text) => text.endsWith('for good'))).toHaveLength(5)
})

test('a machine that has ended is off for good, also when its card went first, and one on its way is called off', async () => {
  const { attach, all, networks, cards, clock } = machines()
  await attach('m1')
  cards[0]?.abort()
  all.gone(vmId)
  await clock.advance(0)
  expect(networks.said.slice(2)).toEqual(['m1 is off', 'm1 is off for good'])
  expect(all.size).toBe(0)
  networks.held = new Promise(() => {})
  const going = attach('m2')
  going.catch(() => {})
  await clock.advance(0)
  all.gone(vmId)
  await expect(going).rejects.toMatchObject({ code: 'VM_STATE' })
  await clock.advance(0)
  expect(all.size).toBe(0)
  expect(cards.map((card) => card.signal.aborted)).toEqual([true, true])
})

test('the clone in place of a spare is put on once the spare is off', async () => {
  const { attach, networks } = machines()
  await attach('spare')
  await attach('clone')
  expect(networks.said.slice(2)).toEqual(['spare is off for good', 'clone asks for lan', 'clone has 10.192.0.3'])
  networks.held = new Promise(() => {})
  const [first, second] = [attach('third'), attach('fourth')]
  await expect(first).rejects.toThrow()
  networks.held = undefined
  second.catch(() => {})
})

test('what refuses a machine is told, and its card is let go of', async () => {
  const { attach, networks, cards } = machines()
  networks.failures.push(new PlantError('LIMIT', {}))
  await expect(attach('m1')).rejects.toMatchObject({ code: 'LIMIT' })
  expect(cards[0]?.signal.aborted).toBe(true)
  expect(await attach('m1')).toHaveLength(1)
})

test('an adopted machine is put back with the address that it had, and tried again until it is', async () => {
  const { all, networks, clock } = machines()
  networks.failures.push(new PlantError('PEER_UNREACHABLE'), new PlantError('PEER_UNREACHABLE'))
  all.again({ vmId, domainKey, networks: [{ name: 'lan', station: { mac: 'm1', addresses: ['10.200.1.1'], vmId } }] }, machineOf('m1', []))
  await clock.advance(10_000)
  expect(networks.said).toEqual(['m1 asks for lan', 'm1 asks for lan', 'm1 asks for lan', 'm1 has 10.200.1.1'])
  expect(clock.pending).toBe(0)
  all.again({ vmId, domainKey }, machineOf('m1', [])) // Made before it was on any.
  await clock.advance(10_000)
  expect(networks.said).toHaveLength(4)
})

test('a plant that stops keeps its machines\' addresses for its next start, and leaves no timer', async () => {
  const { all, attach, networks, clock } = machines()
  await attach('m1')
  await all.stop()
  expect(networks.said.slice(2)).toEqual(['m1 is off'])
  networks.failures.push(...Array.from({ length: 9 }, () => new PlantError('PEER_UNREACHABLE')))
  all.again({ vmId, domainKey, networks: [{ name: 'lan', station: { mac: 'm1', addresses: ['10.200.1.1'], vmId } }] }, machineOf('m1', []))
  await clock.advance(3_500)
  await all.stop()
  expect(clock.pending).toBe(0)
})
