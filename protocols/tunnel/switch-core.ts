/**
 * The switch of one network at one plant: for each frame, where it goes. Pure; the caller moves the bytes. There are no loops among members, since what
 * came out of a tunnel never goes into one, and every member has a tunnel to every other.
 */
import { arpAnswer, arpOf } from './arp.ts'
import { SWITCH_PORTS_MAX } from './constants.ts'
import { dhcpOf, isFromDhcpServer, isToDhcpServer } from './dhcp-view.ts'
import type { DropReason } from './drops.ts'
import { FrameView, formatMac, ipv4Number, ipv4Text, isGroup, parseMac } from './ethernet.ts'
import { Floods, floodTo, type Flood } from './floods.ts'
import { lengthProblem } from './frame-length.ts'
import { Guard } from './guard.ts'
import { LearntHosts } from './learnt.ts'
import { Leases } from './leases.ts'
import { LinkLocals } from './link-locals.ts'
import { isUnspecified, macOfLinkLocal, neighbourAnswer, neighbourOf } from './neighbour.ts'
import { Rings } from './rings.ts'
import { Stations, isHostAddress, type PortStation, type StationChange, type StationRecord } from './stations.ts'
import { SwitchPort, type PortId, type PortKind, type PortView } from './switch-port.ts'
import type { Frame } from './types.ts'

export type { PortStation, StationChange, StationRefusal } from './stations.ts'
export type { PortId, PortKind, PortView, Traffic } from './switch-port.ts'

/** What a switch is told of its network. */
export interface SwitchInit {
  /** `external`: the client's LAN gives addresses; they are learnt from what its DHCP server says. */
  addressing: 'mesh' | 'external'
  /** The longest IP packet. */
  mtuBytes: number
  /** The network's own gateway, which each plant answers for; without one (an external LAN) nothing is for it. */
  gateway?: { mac: string, address: string }
}

/** An address that the LAN gave to a machine here; `forMs` from now. */
export interface LeaseView { mac: string, address: string, forMs: number }

/**
 * What becomes of a frame: it goes to the ports in `to`, and to the plant's own gateway when `gateway`. `answer` goes back to the port that it came from.
 * `drop` says why it goes nowhere. `lease` is news: a machine here has this address from now on. The value is the switch's own: not written to.
 */
export interface Verdict { readonly to: readonly PortId[], readonly gateway: boolean, readonly answer?: Uint8Array, readonly drop?: DropReason, readonly lease?: LeaseView }

/** A MAC that the switch knows: of a station, or heard behind an uplink. */
export interface MacView { mac: string, port: PortId, kind: 'station' | 'learnt', addresses: string[], silentMs?: number }

const NOBODY: readonly PortId[] = []
const TO_NOBODY: Verdict = { to: NOBODY, gateway: false }
const TO_GATEWAY: Verdict = { to: NOBODY, gateway: true }
/** 01:80:c2:00:00:00 to :0f are for the next bridge and no further (IEEE 802.1D, 7.12.6). */
const LINK_CONTROL_FIRST = 0x0180_c200_0000

/** One network at one plant. Nothing that comes in a frame makes it throw; what is asked of a port that is gone has no effect. */
export class SwitchCore {
  readonly #isExternal: boolean
  readonly #mtuBytes: number
  readonly #gatewayMac: number | undefined
  readonly #gatewayAddress: number | undefined
  readonly #ports = new Map<PortId, SwitchPort>()
  readonly #stations: Stations
  readonly #learnt = new LearntHosts<SwitchPort>()
  readonly #rings = new Rings()
  readonly #leases = new Leases()
  readonly #linkLocals = new LinkLocals()
  readonly #guard: Guard
  readonly #floods: Floods
  readonly #view = new FrameView()
  readonly #alone = new Map<SwitchPort, Verdict>()
  readonly #dropped = new Map<DropReason, Verdict>()
  #nextId = 1

  constructor (init: SwitchInit) {
    this.#isExternal = init.addressing === 'external'
    this.#mtuBytes = init.mtuBytes
    this.#gatewayMac = init.gateway === undefined ? undefined : parseMac(init.gateway.mac)
    this.#gatewayAddress = init.gateway === undefined ? undefined : ipv4Number(init.gateway.address)
    this.#stations = new Stations({ mac: this.#gatewayMac, address: this.#gatewayAddress }, (mac, now) => {
      this.#learnt.forget(mac)
      if (now !== undefined) return
      this.#leases.end(mac)
      this.#linkLocals.forget(mac)
    })
    this.#guard = new Guard({
      stations: this.#stations, leases: this.#leases, linkLocals: this.#linkLocals, isExternal: this.#isExternal, gatewayMac: this.#gatewayMac, gatewayAddress: this.#gatewayAddress
    })
    this.#floods = new Floods(this.#ports, this.#stations)
  }

  /** A new port without stations; undefined when there are as many as may be. */
  addPort (kind: PortKind): PortId | undefined {
    if (this.#ports.size >= SWITCH_PORTS_MAX) return undefined
    const id = this.#nextId++ as PortId
    const port = new SwitchPort(id, kind)
    this.#ports.set(id, port)
    this.#alone.set(port, { to: Object.freeze([id]), gateway: false })
    this.#floods.clear()
    return id
  }

  /** Takes a port away with all that is behind it; one that is gone already is no matter. */
  removePort (id: PortId): void {
    const port = this.#ports.get(id)
    if (port === undefined) return
    this.#ports.delete(id)
    this.#stations.remove(port)
    this.#learnt.forgetPort(port)
    this.#alone.delete(port)
    this.#floods.clear()
  }

  /**
   * Says which stations are at a port from now on, in place of those before, and whether hosts that are no stations may be behind it (for an uplink
   * that is always so, for a machine never). A station with a higher `sinceMs` takes its MAC over at once.
   */
  setStations (id: PortId, stations: readonly PortStation[], hasUplink: boolean): StationChange {
    const port = this.#ports.get(id)
    if (port === undefined) return { refused: [] }
    port.hasUplink = port.kind === 'uplink' || (port.kind === 'peer' && hasUplink)
    if (!port.hasUplink) this.#learnt.forgetPort(port)
    this.#floods.clear()
    return this.#stations.set(port, stations)
  }

  /** Notes an address that the LAN gave to a machine here before this switch knew it: from the plant's records, or told by the plant that it left. */
  restoreLease (nowMs: number, lease: LeaseView): void {
    const mac = parseMac(lease.mac)
    const address = ipv4Number(lease.address)
    if (mac !== undefined && address !== undefined) this.#lease(nowMs, mac, address, lease.forMs)
  }

  /** Where a frame that came out of a port goes. The bytes are not kept. */
  onFrame (nowMs: number, id: PortId, frame: Frame): Verdict {
    const port = this.#ports.get(id)
    if (port === undefined) return this.#verdictOf('NO_PORT')
    const { bytes } = frame
    port.framesIn++
    port.bytesIn += bytes.length
    const view = this.#view.read(bytes)
    if (view === undefined) return this.#drop(port, 'TOO_SHORT')
    const speaker = this.#guard.speaker(port, view)
    if (typeof speaker === 'string') return this.#drop(port, speaker)
    const problem = lengthProblem(view, frame.offload, this.#mtuBytes) ?? this.#guard.judge(nowMs, port, speaker, view)
    if (problem !== undefined) return this.#drop(port, problem)
    const elsewhere = speaker === undefined ? this.#learnt.hear(view.source, port, nowMs) : undefined
    if (elsewhere !== undefined) {
      this.#rings.note(nowMs, port, elsewhere)
      return this.#drop(port, 'SOURCE_ELSEWHERE')
    }
    const verdict = isGroup(view.destination) ? this.#toMany(nowMs, port, view) : this.#toOne(nowMs, port, view)
    return this.#isExternal ? this.#withLease(nowMs, view, verdict) : verdict
  }

  /** Counts what the caller sent to a port by itself: its gateway's answers. */
  noteSent (id: PortId, bytes: number): void { this.#ports.get(id)?.noteOut(bytes) }

  ports (): PortView[] {
    return [...this.#ports.values()].map((port) => port.view(this.#stations.ofPort(port).length, this.#learnt.countOf(port)))
  }

  /** All MACs that are known. */
  macs (nowMs: number): MacView[] {
    const stations = this.#stations.held().map(({ mac, port, held }): MacView => {
      const leased = this.#leases.ofMac(mac, nowMs)
      return { mac: formatMac(mac), port: port.id, kind: 'station', addresses: [...held, ...leased === undefined ? [] : [leased]].map(ipv4Text) }
    })
    const learnt = this.#learnt.list(nowMs).map(({ mac, port, heardAtMs }): MacView => ({ mac: formatMac(mac), port: port.id, kind: 'learnt', addresses: [], silentMs: nowMs - heardAtMs }))
    return [...stations, ...learnt]
  }

  #toOne (nowMs: number, port: SwitchPort, view: FrameView): Verdict {
    const mac = view.destination
    if (mac === this.#gatewayMac) return port.kind === 'peer' ? this.#drop(port, 'GATEWAY_REMOTE') : TO_GATEWAY
    const target = this.#stations.ofMac(mac)?.port ?? this.#learnt.portOf(mac, nowMs)
    return target === undefined ? this.#flood(nowMs, port, view, 'uplinks') : this.#toPort(nowMs, port, target, view)
  }

  #toPort (nowMs: number, from: SwitchPort, to: SwitchPort, view: FrameView): Verdict {
    if (from === to) return this.#drop(from, 'SAME_PORT')
    if (from.kind === 'peer' && to.kind === 'peer') return this.#drop(from, 'BETWEEN_TUNNELS')
    if (this.#isRing(nowMs, from, to, view)) return this.#drop(from, 'RING')
    to.noteOut(view.bytes.length)
    return this.#alone.get(to) ?? TO_NOBODY
  }

  #toMany (nowMs: number, port: SwitchPort, view: FrameView): Verdict {
    const offset = view.destination - LINK_CONTROL_FIRST
    if (offset >= 0 && offset < 16) return this.#drop(port, 'LINK_CONTROL')
    if (view.contents === 'arp') return this.#arp(nowMs, port, view)
    if (isToDhcpServer(view)) return this.#toDhcpServer(nowMs, port, view)
    if (isFromDhcpServer(view)) return this.#fromDhcpServer(nowMs, port, view)
    const neighbour = neighbourOf(view)
    if (typeof neighbour === 'object' && neighbour.kind === 'solicit') return this.#solicit(nowMs, port, view, neighbour.targetAt)
    return this.#flood(nowMs, port, view, 'all')
  }

  /** Who has an address: known here, or asked of those who could know. */
  #arp (nowMs: number, port: SwitchPort, view: FrameView): Verdict {
    const arp = arpOf(view.bytes, view.contentsAt)
    if (arp === undefined || !arp.isRequest) return this.#flood(nowMs, port, view, 'all')
    if (arp.targetAddress === this.#gatewayAddress) return port.kind === 'peer' ? this.#drop(port, 'GATEWAY_REMOTE') : TO_GATEWAY
    if (this.#isExternal) return this.#flood(nowMs, port, view, 'all')
    const holder = this.#stations.ofAddress(arp.targetAddress)
    // No station has it, so only a host behind an uplink can.
    if (holder === undefined) return this.#flood(nowMs, port, view, 'uplinks')
    // It tells its own address to all, or probes for it.
    if (holder.mac === view.source) return arp.senderAddress === 0 ? TO_NOBODY : this.#flood(nowMs, port, view, 'all')
    return this.#answer(port, holder, () => arpAnswer(view.bytes, view.contentsAt, holder.mac))
  }

  #solicit (nowMs: number, port: SwitchPort, view: FrameView, targetAt: number): Verdict {
    const mac = macOfLinkLocal(view.bytes, targetAt) ?? this.#linkLocals.holder(nowMs, view.bytes, targetAt)
    const holder = mac === undefined ? undefined : this.#stations.ofMac(mac)
    if (holder === undefined) return this.#flood(nowMs, port, view, 'all')
    // A probe for what follows from its own MAC, or for what it has: nobody else can have it.
    if (holder.mac === view.source) return isUnspecified(view.bytes, view.sourceAt) ? TO_NOBODY : this.#flood(nowMs, port, view, 'all')
    return this.#answer(port, holder, () => neighbourAnswer(view, targetAt, holder.mac, holder.isRouter))
  }

  /** Answers in a station's name; a member plant is told of its own machines only, since others' it hears from their plants. */
  #answer (port: SwitchPort, holder: StationRecord, make: () => Uint8Array): Verdict {
    if (holder.port === port) return this.#drop(port, 'SAME_PORT')
    if (port.kind === 'peer' && holder.port.kind === 'peer') return this.#drop(port, 'BETWEEN_TUNNELS')
    const answer = make()
    port.noteOut(answer.length)
    return { to: NOBODY, gateway: false, answer }
  }

  #toDhcpServer (nowMs: number, port: SwitchPort, view: FrameView): Verdict {
    if (this.#isExternal) return this.#flood(nowMs, port, view, 'servers')
    return port.kind === 'peer' ? this.#drop(port, 'GATEWAY_REMOTE') : TO_GATEWAY
  }

  /** A server's answer to all concerns one client. */
  #fromDhcpServer (nowMs: number, port: SwitchPort, view: FrameView): Verdict {
    const message = dhcpOf(view)
    const client = message === undefined ? undefined : this.#stations.ofMac(message.clientMac)
    return client === undefined ? this.#flood(nowMs, port, view, 'uplinks') : this.#toPort(nowMs, port, client.port, view)
  }

  /** Many, or one that nobody knows: within the port's storm limit, unless only one port can take it anyway. */
  #flood (nowMs: number, port: SwitchPort, view: FrameView, whom: 'all' | 'uplinks' | 'servers'): Verdict {
    const { ports, verdict } = this.#withoutRings(nowMs, port, view, this.#floods.from(port, whom))
    const isUnicast = !isGroup(view.destination)
    if (isUnicast && ports.length === 0) return this.#drop(port, 'NOWHERE')
    if (!(isUnicast && ports.length === 1) && !port.storm.take(nowMs, view.bytes.length)) return this.#drop(port, 'STORM')
    for (const target of ports) target.noteOut(view.bytes.length)
    return verdict
  }

  #withoutRings (nowMs: number, from: SwitchPort, view: FrameView, flood: Flood): Flood {
    return flood.ports.some((to) => this.#isRing(nowMs, from, to, view)) ? floodTo(flood.ports.filter((to) => !this.#isRing(nowMs, from, to, view))) : flood
  }

  /** A station's frame that came round has a source that gives it away, so only hosts that nobody announced are held up. */
  #isRing (nowMs: number, from: SwitchPort, to: SwitchPort, view: FrameView): boolean {
    return !this.#rings.isEmpty && this.#stations.ofMac(view.source) === undefined && this.#rings.has(nowMs, from, to)
  }

  /** Learns the address that a server gave to a machine here; only from what the guard let pass as a server's. */
  #withLease (nowMs: number, view: FrameView, verdict: Verdict): Verdict {
    const isReply = isFromDhcpServer(view)
    const message = verdict.drop === undefined && (isReply || isToDhcpServer(view)) ? dhcpOf(view) : undefined
    if (message === undefined) return verdict
    const { clientMac, yourAddress, leaseS, isAck, isRelease } = message
    if (isRelease && clientMac === view.source) this.#leases.end(clientMac)
    if (!isReply || !isAck || leaseS === undefined || !this.#lease(nowMs, clientMac, yourAddress, leaseS * 1000)) return verdict
    return { ...verdict, lease: { mac: formatMac(clientMac), address: ipv4Text(yourAddress), forMs: leaseS * 1000 } }
  }

  /** Only machines here have leases that count, and none on an address that the order of another gives to it. */
  #lease (nowMs: number, mac: number, address: number, forMs: number): boolean {
    const holder = this.#stations.ofAddress(address)
    const isFree = isHostAddress(address) && (holder === undefined || holder.mac === mac)
    if (this.#stations.ofMac(mac)?.port.kind !== 'machine' || !isFree) return false
    this.#leases.give(nowMs, mac, address, forMs)
    return true
  }

  #drop (port: SwitchPort, reason: DropReason): Verdict {
    port.noteDrop(reason)
    return this.#verdictOf(reason)
  }

  #verdictOf (reason: DropReason): Verdict {
    let verdict = this.#dropped.get(reason)
    if (verdict === undefined) this.#dropped.set(reason, verdict = { to: NOBODY, gateway: false, drop: reason })
    return verdict
  }
}
