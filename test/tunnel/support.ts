/** Plants with networks on a fake network and clock; a plant can be killed and started again with what its records would have kept. */
import { PlantError, asPlantError, type Cancel, type Directory, type MessageStream, type PeerId } from '../../protocols/kit/index.ts'
import { TUNNEL_LIMITS, TUNNEL_PROTOCOL, networkIdOf, networks, type Addressing, type Attachment, type Device, type Frame, type Gateway, type MembershipProof, type NetworkId, type NetworkName, type Networks, type Station, type WantedStation } from '../../protocols/tunnel/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog, type FakeLog } from '../support/fake-log.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { FakeNetwork, type FakeNetworkInit, type FakeTransport } from '../support/fake-transport.ts'
import { macText, packet } from './frames.ts'
import { arpAnswer, arpOf } from '../../protocols/tunnel/arp.ts'
import { decodeControl, encodeControl } from '../../protocols/tunnel/messages.ts'
import { START_MS, crypto, lanOf, machineOf, noGrants, party, proofOf, type Party, type SignedMachine } from './people.ts'

/** A card or a TAP: keeps what it was sent, and lets the test speak. */
export class FakeDevice implements Device {
  readonly takesOffload: boolean
  readonly got: Uint8Array[] = []
  readonly #closed = new AbortController()
  #listener: (frame: Frame) => void = () => {}

  constructor (takesOffload = false) { this.takesOffload = takesOffload }

  get closed (): AbortSignal { return this.#closed.signal }
  send ({ bytes }: Frame): void { this.got.push(bytes) }
  onFrame (fn: (frame: Frame) => void): void { this.#listener = fn }
  close (): void { this.#closed.abort() }
  says (bytes: Uint8Array, offload?: Uint8Array): void { this.#listener(offload === undefined ? { bytes } : { bytes, offload }) }
}

/** Who provides what, for all; finds at once. */
export class FakeRendezvous {
  readonly provided = new Map<string, Set<PeerId>>()
  down = false

  of (self: PeerId): Directory {
    const check = (): void => { if (this.down) throw new Error('the directory is down') }
    return {
      provide: async (key) => {
        check()
        this.provided.set(key, (this.provided.get(key) ?? new Set()).add(self))
      },
      withdraw: (key) => { this.provided.get(key)?.delete(self) },
      find: async (key, max) => {
        check()
        return [...this.provided.get(key) ?? []].slice(0, max)
      },
      put: async () => {},
      get: async () => undefined
    }
  }
}

/** Gives addresses of all networks from one table, as a whole mesh would; none of 10.199.0.0/16. */
export class FakeAddressing implements Addressing {
  readonly taken = new Map<string, string>()
  readonly #lost = new Set<Parameters<Addressing['onLost']>[0]>()
  #next = 10

  async allot (networkId: NetworkId, { address, ...station }: WantedStation, signal: AbortSignal): Promise<Station> {
    signal.throwIfAborted()
    const given = address ?? `10.192.0.${this.#next++}`
    const key = `${networkId} ${given}`
    if ((this.taken.get(key) ?? station.mac) !== station.mac) throw new PlantError('LIMIT', { address: given, problem: 'taken' })
    this.taken.set(key, station.mac)
    return { ...station, addresses: [given], given: { sinceMs: 1, prefixBits: 10 } }
  }

  mayHave (_networkId: NetworkId, _vmId: unknown, address: string): boolean { return !address.startsWith('10.199.') }
  keep (networkId: NetworkId, { addresses, mac }: Station): void { for (const address of addresses) this.taken.set(`${networkId} ${address}`, mac) }
  release (networkId: NetworkId, { addresses }: Station): void { for (const address of addresses) this.taken.delete(`${networkId} ${address}`) }
  onLost (fn: Parameters<Addressing['onLost']>[0]): Cancel {
    this.#lost.add(fn)
    return () => { this.#lost.delete(fn) }
  }

  /** A cut was mended, and the address is another's. */
  lose (networkId: NetworkId, station: Station): void { for (const fn of this.#lost) fn({ networkId, station, address: station.addresses[0] ?? '' }) }
}

/** Answers ARP for the network's first address, and nothing else. */
export class FakeGateway implements Gateway {
  readonly mac = '02:70:6d:67:77:01'
  readonly address = '10.192.0.1'
  setStations (): void {}
  onFrame (_station: Station, frame: Uint8Array): Uint8Array[] {
    return arpOf(frame, 14) === undefined ? [] : [arpAnswer(frame, 14, 0x02_70_6d_67_77_01)]
  }
}

export interface FakeWorld {
  clock: FakeClock
  network: FakeNetwork
  rendezvous: FakeRendezvous
  addressing: FakeAddressing
}

export function fakeWorld (init: Partial<FakeNetworkInit> = {}): FakeWorld {
  const clock = new FakeClock(START_MS)
  return { clock, network: new FakeNetwork({ clock, ...init }), rendezvous: new FakeRendezvous(), addressing: new FakeAddressing() }
}

export interface FakePlant {
  party: Party
  id: PeerId
  networks: Networks
  transport: FakeTransport
  log: FakeLog
}

/** A plant that serves tunnels; given a party, that plant again. */
export async function startPlant (world: FakeWorld, who = party(), grants = noGrants): Promise<FakePlant> {
  const { clock, network, rendezvous, addressing } = world
  const log = fakeLog()
  const transport = network.peer(who.id)
  const made = networks()({ transport, directory: rendezvous.of(who.id), clock, random: new FakeRandom([...who.id].reduce((sum, char) => sum * 31 + char.charCodeAt(0) | 0, 7)), crypto, log, grants, addressing, gateway: () => new FakeGateway() })
  await made.start()
  return { party: who, id: who.id, networks: made, transport, log }
}

export interface FakeMachine { machine: SignedMachine, proof: MembershipProof, device: FakeDevice, attachment: Attachment, network: NetworkName, mac: number }

export interface MachineOn { owner: Party, n: number, network?: NetworkName, addressing?: 'mesh' | 'external', shop?: Party, via?: string }

/** A machine of the owner's network, with the card `macBytes(n)`, on a plant. */
export async function startMachine (world: FakeWorld, plant: FakePlant, { owner, n, network = lanOf(owner), addressing = 'mesh', shop = party(), via }: MachineOn): Promise<FakeMachine> {
  const machine = machineOf({ owner, shop, network, orderId: `o-${n}` })
  return attachAgain(world, plant, { machine, proof: proofOf(machine, plant.id), network, mac: n }, addressing, via)
}

/** Puts a machine of the records on its network, as a plant does that was started again. */
export async function attachAgain (
  world: FakeWorld, plant: FakePlant, of: Pick<FakeMachine, 'machine' | 'proof' | 'network' | 'mac'> & { station?: Station }, addressing: 'mesh' | 'external' = 'mesh', via?: string
): Promise<FakeMachine> {
  const { machine, proof, network, mac } = of
  const device = new FakeDevice()
  const station = of.station ?? { mac: macText(mac), vmId: machine.vmId, name: `m${mac}` }
  const attaching = plant.networks.attach({ network, addressing, proof, ...(via !== undefined && { via }) }, station, device, new AbortController().signal)
  return { machine, proof, device, attachment: await world.clock.settle(attaching), network, mac }
}

/** The peers that a plant has tunnels with on its one network. */
export function upAt (plant: FakePlant): PeerId[] {
  return plant.networks.list().flatMap(({ members }) => members.filter(({ state }) => state === 'up').map(({ peer }) => peer)).sort()
}

/** The names of all stations that a plant knows. */
export function namesAt (plant: FakePlant): string[] {
  return plant.networks.list().flatMap(({ stations }) => stations.map(({ name, mac }) => name ?? mac)).sort()
}

/** The marks of the packets that a machine got. */
export function marks ({ device }: Pick<FakeMachine, 'device'>): number[] {
  return device.got.filter((frame) => frame[12] === 8 && frame[13] === 0).map((frame) => frame[42] ?? -1)
}

export function addressOf ({ attachment }: FakeMachine): string { return attachment.station.addresses[0] ?? '' }

/** A packet from one to the other. */
export function says (from: FakeMachine, to: FakeMachine, mark = 0): void {
  from.device.says(packet({ from: from.mac, to: to.mac, sourceIp: addressOf(from), destinationIp: addressOf(to), mark }))
}

/** A packet to all. */
export function broadcast (from: FakeMachine, mark = 0): Uint8Array {
  const frame = packet({ from: from.mac, to: 0, sourceIp: addressOf(from), destinationIp: '255.255.255.255', mark })
  frame.fill(0xff, 0, 6)
  return frame
}

/** How it ends: the code of its failure, or `done`. */
export async function codeOf (work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'done'
  } catch (error) { return asPlantError(error).code }
}

/** A peer that says what it likes. */
export async function rawTunnel (world: FakeWorld, from: Party, to: FakePlant): Promise<MessageStream> {
  return world.network.peer(from.id).open(to.id, TUNNEL_PROTOCOL, { ...TUNNEL_LIMITS, messageBytesMax: 10_000_000, idleTimeoutMs: 1e9 })
}

export interface RawMember { who: Party, machine: SignedMachine, proof: MembershipProof, stream: MessageStream }

/** A member in the right, which greets and then says what it likes. */
export async function rawMember (world: FakeWorld, to: FakePlant, network: NetworkName, owner: Party, mac: number): Promise<RawMember> {
  const who = party()
  const machine = machineOf({ owner, shop: party(), network, orderId: `raw-${mac}` })
  const proof = proofOf(machine, who.id)
  const stream = await rawTunnel(world, who, to)
  await stream.send(encodeControl({ t: 'hello', network: networkIdOf(crypto, network), uplink: false, proof }))
  const welcome = await world.clock.settle(stream.receive())
  if (welcome === undefined || decodeControl(welcome).t !== 'welcome') throw new Error('not welcome')
  await stream.send(encodeControl({ t: 'stations', add: [{ station: { mac: macText(mac), addresses: [`10.192.0.${mac}`], vmId: machine.vmId }, proof }], remove: [], uplink: false, snapshot: 'end' }))
  await world.clock.advance(100)
  return { who, machine, proof, stream }
}
