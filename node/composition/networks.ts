/** The plant's tenant networks, composed: the tunnels and addresses of `protocols/tunnel` under what puts machines on them. */
import type { Claiming } from '../../protocols/claim/index.ts'
import { PlantError, fromHex, type Clock, type Crypto, type Directory, type Lifetime, type Log, type PeerId, type Random, type Transport, type VmId } from '../../protocols/kit/index.ts'
import type { NetworkHost } from '../../protocols/machine/index.ts'
import type { Grants } from '../../protocols/member/index.ts'
import type { Order } from '../../protocols/order/index.ts'
import { NetworkGateway, addressing, type MeshAddressing } from '../../protocols/tunnel/address/index.ts'
import { networkIdOf, networks, type Device, type MembershipProof, type NetworkId, type Networks, type Station } from '../../protocols/tunnel/index.ts'
import type { MachineRecord, Records } from '../../storage/records/records.ts'
import { LIVE_STATES } from '../plant/instance.ts'
import { NetworkDesk } from '../plant/network-desk.ts'
import { MachineNetworks, type CardEnd, type OnNetwork, type OpenDevice } from '../plant/networks.ts'

export interface ComposedNetworksComponents {
  transport: Transport
  clock: Clock
  random: Random
  crypto: Crypto
  log: Log
  directory: Directory
  records: Records
  /** The other end of a machine's card as what frames come out of; absent: the plant's machines are on no network. */
  deviceOf?: (card: CardEnd) => Device
  /** Gives a machine's card a way out of its network; absent: no machine goes out. */
  wayOut?: (card: Device) => OpenDevice
  grants: Grants
  /** Not started yet: it is told of the addresses of the machines of the records first. */
  claims: Claiming
  orderOf: (vmId: VmId) => Order
}

/** Nothing of it where the plant has no cards to put on networks. */
export interface ComposedNetworks {
  networks?: Networks
  machines?: MachineNetworks
  host?: NetworkHost
  addresses?: MeshAddressing
  /** The machine is no more: it is on no network, and its addresses are free, also when it was never put back since the plant's start. */
  gone (record: MachineRecord): void
}

/** Starts them; machines come when they are adopted or made. */
export async function startNetworks (c: ComposedNetworksComponents, lifetime: Lifetime): Promise<ComposedNetworks> {
  const { transport, clock, random, crypto, log, directory, records, deviceOf, wayOut, grants, claims, orderOf } = c
  if (deviceOf === undefined) return { gone: () => {} }
  const addresses = addressing()({ self: transport.self, crypto, clock, log, claims, stations: (id) => all.stations(id) })
  const all: Networks = networks()({ transport, directory, clock, random, crypto, log, grants, addressing: addresses, gateway: ({ name }) => new NetworkGateway({ network: name, clock }) })
  for (const record of records.machines(LIVE_STATES)) for (const [id, station] of givenTo(crypto, record)) addresses.keep(id, station)
  lifetime.own(async () => all.stop())
  await all.start()
  const machines = new MachineNetworks({ clock, log, networks: all, deviceOf, ...(wayOut !== undefined && { wayOut }), orderOf, proofOf: (vmId) => proofOf(records, vmId), onStation: (vmId, on) => { note(records, vmId, on) } })
  lifetime.own(async () => machines.stop())
  return {
    networks: all, machines, addresses,
    gone: (record) => {
      machines.gone(record.vmId)
      for (const [id, station] of givenTo(crypto, record)) addresses.release(id, station)
    },
    host: new NetworkDesk({ self: transport.self, clock, networks: all, records, mayCall: async (whose, caller, signal) => grants.mayCall(whose, caller, signal) })
  }
}

/** What tells claims of addresses from those of machines, of which it knows nothing. */
export function addressClaims (addresses: () => MeshAddressing | undefined): { knowledge (id: VmId, prover: PeerId): Uint8Array | undefined, ordersDiffer (id: VmId): boolean } {
  return {
    knowledge: (id, prover) => addresses()?.knowledge(id, prover),
    ordersDiffer: (id) => addresses()?.isAddress(id) ?? false
  }
}

/** The addresses that the mesh gave to a machine; what its client's own LAN gave it is not the mesh's to keep. */
function givenTo (crypto: Crypto, { domain, domainKey, networks: on = [] }: MachineRecord): Array<[NetworkId, Station]> {
  return on.filter(({ station }) => station.given !== undefined).map(({ name, station }) => [networkIdOf(crypto, { domainKey, domain, name }), station])
}

function proofOf (records: Records, vmId: VmId): MembershipProof {
  const signedOrder = records.signedOrder(vmId)
  if (signedOrder === undefined) throw new PlantError('VM_STATE', { vmId, problem: 'it has ended' })
  return { kind: 'machine', signedOrder, handOvers: records.machine(vmId)?.handOvers.map(fromHex) ?? [] }
}

/** A machine has another address than its record says; one that is being made has none there yet. */
function note (records: Records, vmId: VmId, { name, station }: OnNetwork): void {
  const record = records.machine(vmId)
  if (record?.networks?.some((on) => on.name === name) !== true) return
  records.putMachine({ ...record, networks: record.networks.map((on) => on.name === name ? { name, station } : on) })
}
