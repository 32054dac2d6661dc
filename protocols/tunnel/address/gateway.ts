/**
 * The gateway of a network, as each plant is it for its own machines: at the network's first address, with the same card everywhere. It answers ARP, pings, DHCP
 * and DNS, and says of everything else that it goes nowhere. Frames in, frames out; what it is sent is never passed on.
 */
import type { Clock } from '../../kit/index.ts'
import { arpAnswer, arpOf } from '../arp.ts'
import { BROADCAST_MAC, ETHERNET_BYTES, FrameView, PROTOCOL_TCP, PROTOCOL_UDP, ipv4Number, ipv4Text, parseMac } from '../ethernet.ts'
import type { Station } from '../types.ts'
import { MTU_BYTES } from '../constants.ts'
import { ANSWERS_A_SECOND, ANSWERS_BURST, DEFAULT_SUBNET, DNS_UDP_BYTES, GATEWAY_MAC, GATEWAY_MAC_NUMBER, NAMES_KEPT_MS, NAMES_KEPT_STATIONS, RATED_STATIONS_MAX } from './constants.ts'
import { dhcpAnswer, type Lease } from './dhcp.ts'
import { DHCP, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, readDhcp } from './dhcp-message.ts'
import { answerQuery } from './dns.ts'
import { NameTable, domainOf } from './names.ts'
import { PORT_UNREACHABLE, PROHIBITED, destinationOf, echoReply, headerHolds, isFragment, isIcmpError, udpFrame, udpPayload, unreachable, type End } from './packet.ts'
import { Rates } from './rates.ts'
import { EVERYONE, contains, gatewayOf, parseCidr, subnetOf, type Subnet } from './subnet.ts'

const DNS_PORT = 53

/** A name of the world that somebody has asked for, while the network leads outside. */
export interface DnsForward {
  station: Station
  /** The query, for a resolver that knows the world; bounded by a frame. */
  query: Uint8Array
  /** The frame that brings its answer to the machine; one that is too long for a frame is cut off, so that it is asked for again by TCP. */
  reply (answer: Uint8Array): Uint8Array
}

export interface GatewayInit {
  /** The network's name, which its machines' names end in. */
  network: string
  clock: Pick<Clock, 'monotonicMs'>
  subnet?: Subnet
  mtuBytes?: number
  /**
   * Set while the network leads outside: gets queries about the world's names, and must bound what it keeps. Packets to the world are then somebody else's, and
   * not answered.
   */
  forward?: (query: DnsForward) => void
}

/** What the gateway has done, for people who look for a fault. */
export interface GatewayCounters { arp: number, ping: number, dhcp: number, dhcpRefused: number, dhcpDeclined: number, dns: number, unreachable: number, tooMany: number }

/** See the head of this file. One for each network of a plant. */
export class NetworkGateway {
  readonly address: string
  readonly mac = GATEWAY_MAC
  readonly counters: GatewayCounters = { arp: 0, ping: 0, dhcp: 0, dhcpRefused: 0, dhcpDeclined: 0, dns: 0, unreachable: 0, tooMany: 0 }
  readonly #init: GatewayInit
  readonly #subnet: Subnet
  readonly #self: Omit<End, 'port'>
  readonly #domain: string
  readonly #view = new FrameView()
  readonly #rates = new Rates({ perSecond: ANSWERS_A_SECOND, burst: ANSWERS_BURST, keysMax: RATED_STATIONS_MAX })
  #stations: () => Iterable<Station> = () => []
  #names: NameTable | undefined
  #namesMs = -Infinity
  #namesAreOld = true

  constructor (init: GatewayInit) {
    this.#init = init
    this.#subnet = init.subnet ?? DEFAULT_SUBNET
    this.#self = { mac: GATEWAY_MAC_NUMBER, ip: gatewayOf(this.#subnet) }
    this.address = ipv4Text(this.#self.ip)
    this.#domain = domainOf(init.network)
  }

  /** The network's stations have changed: names are looked up among these from now on, which are gone through once somebody asks. */
  setStations (stations: () => Iterable<Station>): void {
    this.#stations = stations
    this.#namesAreOld = true
  }

  /**
   * Answers to a frame of a station of this plant, or of a host behind an uplink (`addresses` empty): one to the gateway, or to everyone. Never throws; what is no
   * business of the gateway's has no answer.
   */
  onFrame (station: Station, frame: Uint8Array): Uint8Array[] {
    const view = this.#view.read(frame)
    if (view === undefined || view.source !== parseMac(station.mac) || !this.#concerns(view)) return []
    // Count before working: a station that sends rubbish must still spend what it has.
    if (!this.#mayHaveMore(station)) return []
    const answer = view.contents === 'arp' ? this.#onArp(view) : this.#onPacket(station, view)
    return answer === undefined ? [] : [answer]
  }

  #mayHaveMore (station: Station): boolean {
    const may = this.#rates.take(station.mac, this.#init.clock.monotonicMs())
    if (!may) this.counters.tooMany++
    return may
  }

  #concerns (view: FrameView): boolean {
    // Tags make networks of their own, which have no gateway.
    if (view.contentsAt !== ETHERNET_BYTES || (view.destination !== this.#self.mac && view.destination !== BROADCAST_MAC)) return false
    if (view.contents === 'arp') return arpOf(view.bytes, ETHERNET_BYTES)?.targetAddress === this.#self.ip
    if (view.contents !== 'ipv4' || isFragment(view)) return false
    if (isDhcp(view)) return true
    // What leaves the network is somebody else's, and costs no answers.
    return view.destination === this.#self.mac && (this.#init.forward === undefined || destinationOf(view) === this.#self.ip)
  }

  #onArp (view: FrameView): Uint8Array | undefined {
    const arp = arpOf(view.bytes, view.contentsAt)
    if (arp?.isRequest !== true || arp.senderMac !== view.source) return undefined
    this.counters.arp++
    return arpAnswer(view.bytes, view.contentsAt, this.#self.mac)
  }

  #onPacket (station: Station, view: FrameView): Uint8Array | undefined {
    if (!headerHolds(view)) return undefined
    const to = destinationOf(view)
    if (isDhcp(view)) return view.destination === BROADCAST_MAC || to === this.#self.ip ? this.#onDhcp(station, view) : undefined
    if (!this.#mayAnswer(station, view)) return undefined
    if (to !== this.#self.ip) return contains(this.#subnet, to) || isGroupAddress(to) || isIcmpError(view) ? undefined : this.#unreachable(view, PROHIBITED)
    if (view.protocol === PROTOCOL_UDP && view.destinationPort === DNS_PORT) return this.#onDns(station, view)
    if (view.protocol === PROTOCOL_UDP || view.protocol === PROTOCOL_TCP) return this.#unreachable(view, PORT_UNREACHABLE)
    const pong = echoReply(view, this.#self)
    if (pong !== undefined) this.counters.ping++
    return pong
  }

  /** Whether the sender is one that an answer reaches: the station itself, or whoever is behind a router or a proxy. */
  #mayAnswer (station: Station, { sourceIpv4: from }: FrameView): boolean {
    if (from === 0 || isGroupAddress(from) || from === this.#self.ip) return false
    return station.router === true || station.addresses.length === 0 || station.addresses.includes(ipv4Text(from))
  }

  #unreachable (view: FrameView, code: number): Uint8Array {
    this.counters.unreachable++
    return unreachable(view, this.#self, code)
  }

  #onDhcp (station: Station, view: FrameView): Uint8Array | undefined {
    const lease = this.#leaseOf(station)
    const payload = udpPayload(view)
    const request = payload && readDhcp(payload)
    if (lease === undefined || request === undefined || request.clientMac !== view.source) return undefined
    if (request.type === DHCP.decline) this.counters.dhcpDeclined++
    const answer = dhcpAnswer(request, lease)
    if (answer === undefined) return undefined
    this.counters.dhcp++
    if (answer.refused) this.counters.dhcpRefused++
    const to: End = { mac: answer.to === EVERYONE ? BROADCAST_MAC : view.source, ip: answer.to, port: DHCP_CLIENT_PORT }
    return udpFrame({ ...this.#self, port: DHCP_SERVER_PORT }, to, answer.message)
  }

  /** What a station is given; nothing where the client's own LAN gives addresses. */
  #leaseOf (station: Station): Lease | undefined {
    const ip = ipv4Number(station.addresses[0] ?? '')
    if (ip === undefined) return undefined
    const prefixBits = station.given?.prefixBits ?? this.#subnet.prefixBits
    const reachable = contains(subnetOf(ip, prefixBits), this.#self.ip)
    return {
      ip, prefixBits, serverIp: this.#self.ip, domain: this.#domain, mtuBytes: this.#init.mtuBytes ?? MTU_BYTES,
      ...(reachable && { gatewayIp: this.#self.ip }), routes: routesOf(station), ...(station.name !== undefined && { hostName: station.name })
    }
  }

  #onDns (station: Station, view: FrameView): Uint8Array | undefined {
    const query = udpPayload(view)
    const { forward } = this.#init
    const outcome = query && answerQuery(query, this.#namesNow(), forward !== undefined)
    if (query === undefined || outcome === undefined) return undefined
    this.counters.dns++
    const reply = this.#dnsReply(view)
    if (outcome.kind === 'answer') return reply(outcome.bytes)
    forward?.({ station, query: query.slice(), reply })
    return undefined
  }

  /** Made anew when stations have changed, and not for each query while they change all the time. */
  #namesNow (): NameTable {
    const nowMs = this.#init.clock.monotonicMs()
    if (this.#names !== undefined && (!this.#namesAreOld || nowMs - this.#namesMs < NAMES_KEPT_MS * Math.ceil(this.#names.size / NAMES_KEPT_STATIONS))) return this.#names
    this.#namesMs = nowMs
    this.#namesAreOld = false
    return this.#names = new NameTable(this.#domain, this.#subnet, this.#self.ip, this.#stations())
  }

  #dnsReply (view: FrameView): (answer: Uint8Array) => Uint8Array {
    const from: End = { ...this.#self, port: DNS_PORT }
    const to: End = { mac: view.source, ip: view.sourceIpv4, port: view.sourcePort }
    return (answer) => udpFrame(from, to, answer.length <= DNS_UDP_BYTES ? answer : truncated(answer))
  }
}

/** Those that make sense; an order's do. */
function routesOf ({ routes = [] }: Station): NonNullable<Lease['routes']> {
  return routes.flatMap(({ to, via }) => {
    const cidr = parseCidr(to)
    const viaIp = ipv4Number(via)
    return cidr === undefined || viaIp === undefined ? [] : [{ to: subnetOf(cidr.ip, cidr.prefixBits), viaIp }]
  })
}

function isDhcp (view: FrameView): boolean { return view.protocol === PROTOCOL_UDP && view.destinationPort === DHCP_SERVER_PORT }

/** Multicast, reserved, everyone: never answered with an error. */
function isGroupAddress (ip: number): boolean { return ip >>> 28 >= 14 }

/** A reply's header alone, which says that the rest did not fit. */
function truncated (answer: Uint8Array): Uint8Array {
  const header = answer.slice(0, 12)
  header[2] = (header[2] ?? 0) | 0x02
  header.fill(0, 4)
  return header
}
