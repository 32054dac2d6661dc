/** A network that this plant is on: its switch, its own stations, its members and their tunnels, until the last station leaves. */
import { Lifetime, type Cancel, type PeerId } from '../kit/index.ts'
import { MEMBERS_MAX, NAMED_MAX, PROOF_RECHECK_MS } from './constants.ts'
import { Members } from './core.ts'
import type { MemberView, NetworkView, NetworksComponents, PortView } from './index.ts'
import { Links } from './links.ts'
import { MacOwners } from './mac-owners.ts'
import { OwnStations, ranked, type OwnStation } from './own-stations.ts'
import { checkProof, type Membership } from './proof.ts'
import type { PortStation } from './switch-core.ts'
import type { Device, MembershipProof, NetworkId, NetworkName, Station } from './types.ts'
import { VirtualNetwork } from './virtual-network.ts'

export interface JoinedInit {
  id: NetworkId
  network: NetworkName
  addressing: 'mesh' | 'external'
  onRefused (code: string): void
  /** A station's proof has ended, or was revoked. */
  onEnded (own: OwnStation): void
}

/** See the head of this file. Made with the first station, and left with the last. */
export class JoinedNetwork {
  readonly init: JoinedInit
  readonly own = new OwnStations()
  readonly switch: VirtualNetwork
  readonly links: Links
  readonly #c: NetworksComponents
  readonly #lifetime = new Lifetime()
  readonly #members: Members
  readonly #macs = new MacOwners()
  readonly #key: string
  /** Multiaddrs that orders named. */
  readonly #addresses = new Map<PeerId, string>()
  #cancelWake: Cancel = () => {}
  #wakeMs = Infinity

  constructor (components: NetworksComponents, init: JoinedInit) {
    this.#c = components
    this.init = init
    this.#key = `net/${init.id}`
    const { transport, clock, random, crypto, grants, log } = components
    const { id: networkId, network, addressing, onRefused } = init
    this.#members = new Members(transport.self, random, clock.monotonicMs())
    const onLease = (mac: string, address: string): void => {
      const own = this.own.of(mac)
      own?.onStation?.({ ...own.station, addresses: [address] })
    }
    this.switch = new VirtualNetwork({ clock, log, onLease, stations: () => this.stations(), ...(addressing === 'mesh' && { gateway: components.gateway(network) }) })
    this.links = new Links({
      transport, clock, random, crypto, grants, log, networkId, network, onRefused,
      members: this.#members,
      macs: this.#macs,
      onOwners: (macs) => { this.#rank(macs) },
      greeting: () => {
        const proof = this.own.proof(clock.nowMs())
        return proof && { proof, uplink: this.own.hasUplink }
      },
      mayHave: (vmId, address, ordered) => components.addressing.mayHave(networkId, vmId, address, ordered),
      snapshot: () => this.own.snapshot(),
      addPeer: (peer, send) => this.switch.addPeer(peer, send),
      onChange: () => {
        this.switch.stationsChanged()
        this.#wakeLater()
      }
    })
  }

  /** Says in the directory that it is here, and looks for others. */
  join (): void {
    const { directory, clock, log } = this.#c
    void directory.provide(this.#key, this.#lifetime.signal).catch((error: unknown) => { log.debug({ error, networkId: this.init.id }, 'could not say in the directory that this plant is on a network; the driver does so again') })
    this.#lifetime.own(this.#c.transport.onNeighbour((peer, change) => {
      if (change !== 'joined') return
      this.#members.onNear(peer, clock.monotonicMs())
      this.#wakeLater()
    }))
    this.#lifetime.own(() => { this.#cancelWake() })
    const recheck = (): void => {
      this.#lifetime.own(clock.after(PROOF_RECHECK_MS, () => { void this.#recheck().finally(() => { if (!this.#lifetime.ended) recheck() }) }))
    }
    recheck()
    this.#wakeLater()
  }

  /** Tells the members, and ends. */
  async leave (): Promise<void> {
    // At once: a network that is joined anew meanwhile says under the same key that it is here.
    this.#c.directory.withdraw(this.#key)
    await this.links.leave()
    await this.#lifetime.end()
  }

  /** A member that an order names, and where it is. */
  joinBy (peer: PeerId, address: string): void {
    if (peer === this.#c.transport.self || (this.#addresses.size >= NAMED_MAX && !this.#addresses.has(peer))) return
    this.#members.onNames([peer], this.#c.clock.monotonicMs(), { named: true })
    this.#addresses.set(peer, address)
    this.#wakeLater()
  }

  /**
   * A station of ours comes, behind its device; undefined when there is no port left. Its frames are taken from now on. Where the client's own LAN gives the addresses, those
   * that it brings are what that LAN gave it before.
   */
  add (comes: Station, proof: MembershipProof, membership: Membership, device: Device): OwnStation | undefined {
    const { self } = this.#c.transport
    const station = this.init.addressing === 'external' ? { ...comes, addresses: [] } : comes
    // A proof that is of a machine is of one that is here, with the card that it was made with.
    const taken = this.#macs.enter(station, self, membership.vmId !== undefined)
    const port = this.switch.addDevice(membership.vmId === undefined ? 'uplink' : 'machine', this.#ranked(station, membership), device)
    if (port === undefined) {
      this.#macs.leave(station, self)
      return undefined
    }
    if (taken) this.#rank(new Set([station.mac]))
    const own: OwnStation = { station, proof, membership, device, port }
    this.own.put(own)
    const leased = comes.addresses[0]
    if (this.init.addressing === 'external' && leased !== undefined) this.switch.restoreLease(station.mac, leased)
    this.#told(own)
    return own
  }

  /** A station of ours has changed: its address, or its proof. */
  change (own: OwnStation): void {
    own.port.setStation(this.#ranked(own.station, own.membership))
    this.#told(own)
  }

  #ranked (station: Station, { sinceMs }: Membership): PortStation { return ranked(this.#macs, { ...station, sinceMs }, this.#c.transport.self) }

  /** Stations with these cards, here and at members, are ranked anew. */
  #rank (macs: ReadonlySet<string>): void {
    for (const mac of macs) {
      const own = this.own.of(mac)
      own?.port.setStation(this.#ranked(own.station, own.membership))
    }
    this.links.rank(macs)
  }

  #told (own: OwnStation): void {
    this.links.tell(this.own.change(own))
    this.switch.stationsChanged()
  }

  /** A station of ours is gone. */
  remove (own: OwnStation): void {
    this.own.delete(own)
    own.port.remove()
    if (this.#macs.leave(own.station, this.#c.transport.self)) this.#rank(new Set([own.station.mac]))
    this.links.tell(this.own.removal(own.station.mac))
    this.switch.stationsChanged()
  }

  * stations (): Generator<Station & { at: PeerId }> {
    const { self } = this.#c.transport
    for (const { station } of this.own.all()) {
      const leased = this.switch.leaseOf(station.mac)
      yield { ...station, ...(leased !== undefined && { addresses: [leased] }), at: self }
    }
    yield * this.links.stations()
  }

  view (): NetworkView {
    const { id, network, addressing } = this.init
    const links = new Map(this.links.views().map((link) => [link.peer as string, link]))
    const members = this.#members.states().map(({ peer, state }): MemberView => ({ peer, state, relayed: links.get(peer)?.relayed ?? false, queuedBytes: links.get(peer)?.queuedBytes ?? 0 }))
    const ports = this.switch.ports().map((port): PortView => {
      const queue = port.kind === 'peer' ? links.get(port.name)?.drops : undefined
      return queue === undefined ? port : { ...port, drops: { ...port.drops, ...(queue.late > 0 && { QUEUE_LATE: queue.late }), ...(queue.full > 0 && { QUEUE_FULL: queue.full }) } }
    })
    return { id, network, addressing, members, stations: [...this.stations()], ports }
  }

  /** Wakes when the members' core has something to do next; a sooner time replaces a later one. */
  #wakeLater (): void {
    if (this.#lifetime.ended) return
    const nextMs = this.#members.nextMs()
    if (nextMs === this.#wakeMs) return
    this.#cancelWake()
    this.#wakeMs = nextMs
    this.#cancelWake = this.#c.clock.after(Math.max(0, nextMs - this.#c.clock.monotonicMs()), () => {
      this.#wakeMs = Infinity
      this.#wake()
    })
  }

  #wake (): void {
    for (const due of this.#members.due(this.#c.clock.monotonicMs())) {
      if (due.t === 'look') void this.#look()
      else void this.#dial(due.peer)
    }
    this.#wakeLater()
  }

  async #dial (peer: PeerId): Promise<void> {
    const address = this.#addresses.get(peer)
    await this.links.dial(peer, address === undefined ? {} : { address })
    this.#wakeLater()
  }

  async #look (): Promise<void> {
    try {
      const peers = await this.#c.directory.find(this.#key, MEMBERS_MAX, this.#lifetime.signal)
      this.#members.onNames(peers, this.#c.clock.monotonicMs())
    } catch (error) {
      this.#c.log.debug({ error, networkId: this.init.id }, 'could not ask the directory who is on a network')
    }
    this.#wakeLater()
  }

  /** What has ended by its own terms, or was revoked, here and at the members. */
  async #recheck (): Promise<void> {
    const { clock, transport } = this.#c
    for (const own of this.own.all()) {
      const { membership, proof } = own
      const over = membership.untilMs <= clock.nowMs()
      if (over || (membership.granted && !await this.#holds(proof, transport.self))) this.init.onEnded(own)
    }
    await this.links.recheck()
  }

  async #holds (proof: OwnStation['proof'], self: PeerId): Promise<boolean> {
    try {
      await checkProof(this.#c, proof, self, this.init.network, this.#c.clock.nowMs(), this.#lifetime.signal)
      return true
    } catch {
      return this.#lifetime.ended // Left meanwhile; otherwise it does not hold, which is the answer.
    }
  }
}
