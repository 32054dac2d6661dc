/** Plants that give addresses out, on a fake network and clock, with tunnels that tell each other of their stations as long as no cut lies between them. */
import { NodeCrypto } from '../../../node/drivers/node-crypto.ts'
import { YOUNG_MS, claiming, type Claiming } from '../../../protocols/claim/index.ts'
import { PlantError, type PeerId, type VmId } from '../../../protocols/kit/index.ts'
import { addressing, type LostAddress, type MeshAddressing } from '../../../protocols/tunnel/address/index.ts'
import type { NetworkId, Station } from '../../../protocols/tunnel/types.ts'
import { FakeClaimStore } from '../../claim/support.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { fakeLog } from '../../support/fake-log.ts'
import { FakeRandom } from '../../support/fake-random.ts'
import { FakeNetwork } from '../../support/fake-transport.ts'

export const lab = 'ab'.repeat(16) as NetworkId
export const vm = (n: number): VmId => n.toString(16).padStart(32, '0') as VmId
export const macOf = (n: number): string => `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`
export const wanted = (n: number, address?: string): { vmId: VmId, mac: string, name: string, address?: string } => ({ vmId: vm(n), mac: macOf(n), name: `m${n}`, ...(address !== undefined && { address }) })

/** One machine of the records, by network. */
export interface Kept { networkId: NetworkId, station: Station }

export interface AddressPlant {
  id: PeerId
  claims: Claiming
  addresses: MeshAddressing
  store: FakeClaimStore
  /** What is in its records: stays when it is killed. */
  records: Map<VmId, Kept>
  lost: LostAddress[]
  life: { dead: boolean }
}

export class AddressMesh {
  readonly clock = new FakeClock()
  readonly plants = new Map<string, AddressPlant>()
  readonly #random: FakeRandom
  readonly #network: FakeNetwork
  /** Which side of a cut each plant is on; all on none when the mesh is whole. */
  sides = new Map<string, number>()

  constructor (seed: number) {
    this.#random = new FakeRandom(seed)
    this.#network = new FakeNetwork({ clock: this.clock, reachable: (from, to) => this.reaches(from, to) })
  }

  reaches (from: string, to: string): boolean { return this.sides.get(from) === this.sides.get(to) && this.plants.get(to)?.life.dead === false }

  async begin (ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map(async (id) => this.start(id, ids)))
    await this.clock.advance(YOUNG_MS)
  }

  /** Starts a plant, or starts it again with its disk as it was. */
  async start (id: string, all: readonly string[]): Promise<AddressPlant> {
    const before = this.plants.get(id)
    const store = before?.store ?? new FakeClaimStore()
    const records = before?.records ?? new Map<VmId, Kept>()
    const life = { dead: false }
    const transport = this.#network.peer(id)
    const claims: Claiming = claiming()({
      transport: {
        self: transport.self,
        open: async (...args) => {
          if (life.dead) throw new PlantError('PEER_UNREACHABLE', { problem: 'killed' })
          return transport.open(...args)
        },
        handle: async (...args) => transport.handle(...args), connected: () => transport.connected(), onNeighbour: (fn) => transport.onNeighbour(fn)
      },
      clock: this.clock, random: this.#random, crypto: new NodeCrypto(), log: fakeLog(),
      store: {
        claims: () => store.claims(), knownPlants: () => store.knownPlants(),
        saveClaims: (changes) => { if (!life.dead) store.saveClaims(changes) }, saveKnownPlants: (known) => { if (!life.dead) store.saveKnownPlants(known) }
      },
      peers: () => all.filter((other) => this.reaches(id, other)) as PeerId[],
      knowledge: (key, prover) => addresses.knowledge(key, prover),
      ordersDiffer: (key) => addresses.isAddress(key)
    })
    const addresses = addressing()({ self: id as PeerId, crypto: new NodeCrypto(), clock: this.clock, log: fakeLog(), claims, stations: (networkId) => this.#stationsSeenBy(id, networkId) })
    const plant: AddressPlant = { id: id as PeerId, claims, addresses, store, records, lost: [], life }
    addresses.onLost((lost) => {
      if (life.dead) return
      plant.lost.push(lost)
      if (lost.station.vmId === undefined) return
      records.delete(lost.station.vmId)
      const { addresses: _lost, given: _given, ...again } = lost.station
      void addresses.allot(lost.networkId, again, new AbortController().signal).then((station) => { if (!life.dead && station.vmId !== undefined) records.set(station.vmId, { networkId: lost.networkId, station }) })
    })
    this.plants.set(id, plant)
    for (const { networkId, station } of records.values()) addresses.keep(networkId, station)
    await claims.start()
    return plant
  }

  kill (id: string): void {
    const plant = this.at(id)
    plant.life.dead = true
    this.#network.kill(id)
  }

  at (id: string): AddressPlant {
    const plant = this.plants.get(id)
    if (plant === undefined) throw new Error(`no plant ${id}`)
    return plant
  }

  /** What a plant does with an order: an address, then the record. */
  async make (id: string, n: number, address?: string, networkId = lab): Promise<Station> {
    const plant = this.at(id)
    const station = await plant.addresses.allot(networkId, wanted(n, address), new AbortController().signal)
    if (!plant.life.dead) plant.records.set(vm(n), { networkId, station })
    return station
  }

  collect (id: string, n: number): void {
    const plant = this.at(id)
    const kept = plant.records.get(vm(n))
    if (kept === undefined) return
    plant.records.delete(vm(n))
    plant.addresses.release(kept.networkId, kept.station)
  }

  /** All machines' addresses of a network, on plants that live; each as often as it is had. */
  given (networkId = lab): string[] {
    return [...this.plants.values()].filter(({ life }) => !life.dead).flatMap(({ records }) => [...records.values()].filter((kept) => kept.networkId === networkId).flatMap(({ station }) => station.addresses))
  }

  * #stationsSeenBy (id: string, networkId: NetworkId): Generator<Station & { at: PeerId }> {
    for (const other of this.plants.values()) {
      if (other.life.dead || !this.reaches(id, other.id)) continue
      for (const kept of other.records.values()) if (kept.networkId === networkId) yield { ...kept.station, at: other.id }
    }
  }
}
