/**
 * What a port may say. A machine speaks with its MAC and its addresses, and so do the machines of a member plant, as that plant announced them; a
 * host behind an uplink may be anybody, save a machine of the network or its gateway. Servers of addresses and routers are only those that may be.
 */
import { arpOf } from './arp.ts'
import { dhcpOf, isFromDhcpServer, isToDhcpServer } from './dhcp-view.ts'
import type { DropReason } from './drops.ts'
import { TYPE_MIN, TYPE_SERVICE_TAG, TYPE_TAG, isGroup, type FrameView } from './ethernet.ts'
import type { Leases } from './leases.ts'
import type { LinkLocals } from './link-locals.ts'
import { isLinkLocal, isUnspecified, macOfLinkLocal, neighbourOf } from './neighbour.ts'
import type { StationRecord, Stations } from './stations.ts'
import type { SwitchPort } from './switch-port.ts'

/** What the guard judges by. */
export interface GuardKnowledge {
  stations: Stations
  leases: Leases
  linkLocals: LinkLocals
  /** The client's own LAN gives the addresses. */
  isExternal: boolean
  gatewayMac: number | undefined
  gatewayAddress: number | undefined
}

/** The guard of one switch. Judging never throws, whatever the frame. */
export class Guard {
  readonly #knows: GuardKnowledge

  constructor (knows: GuardKnowledge) {
    this.#knows = knows
  }

  /** Who speaks, by the frame's source: a station, `undefined` for a host behind an uplink, or why nobody may speak so. */
  speaker (port: SwitchPort, view: FrameView): StationRecord | DropReason | undefined {
    const mac = view.source
    const station = this.#knows.stations.ofMac(mac)
    if (station !== undefined && station.port === port) return station
    if (mac === 0 || isGroup(mac)) return 'SOURCE_INVALID'
    if (mac === this.#knows.gatewayMac) return 'SOURCE_GATEWAY'
    if (!port.hasUplink) return 'SOURCE_FOREIGN'
    return station === undefined ? undefined : 'SOURCE_OF_STATION'
  }

  /** Why a frame may not pass whose source may speak; undefined when it may. Notes the link-local addresses that stations take. */
  judge (nowMs: number, port: SwitchPort, speaker: StationRecord | undefined, view: FrameView): DropReason | undefined {
    switch (view.contents) {
      case 'ipv4': return this.#judgeIpv4(nowMs, port, speaker, view)
      case 'ipv6': return this.#judgeIpv6(nowMs, speaker, view)
      case 'arp': return this.#judgeArp(nowMs, speaker, view)
      case 'malformed': return 'MALFORMED'
      default: return view.etherType < TYPE_MIN || view.etherType === TYPE_TAG || view.etherType === TYPE_SERVICE_TAG ? 'ETHERTYPE' : undefined
    }
  }

  #judgeIpv4 (nowMs: number, port: SwitchPort, speaker: StationRecord | undefined, view: FrameView): DropReason | undefined {
    const asksForAddress = isToDhcpServer(view)
    const address = view.sourceIpv4
    if (address === 0) {
      if (speaker !== undefined && !asksForAddress) return 'IPV4_SOURCE'
    } else if (address === this.#knows.gatewayAddress) return 'ADDRESS_GATEWAY'
    else if (!this.#mayUse(nowMs, speaker, address, speaker?.isRouter === true) && !(asksForAddress && this.#mayAsk(nowMs, view))) return 'IPV4_SOURCE'
    if (isFromDhcpServer(view) && !this.#mayServe(port, speaker)) return 'DHCP_SERVER'
    if (!asksForAddress || speaker === undefined || speaker.isRouter) return undefined
    const message = dhcpOf(view)
    if (message === undefined) return 'MALFORMED'
    return message.clientMac === speaker.mac ? undefined : 'DHCP_IDENTITY'
  }

  /** A LAN's own server is behind an uplink, and may be the uplink's own host. */
  #mayServe (port: SwitchPort, speaker: StationRecord | undefined): boolean {
    return speaker?.isRouter === true || (this.#knows.isExternal && port.hasUplink && speaker?.isMachine !== true)
  }

  /**
   * A client renews from the address that it had (RFC 2131, 4.3.2), which this switch may not know, or know as another's by now: the server is to hear
   * of it, to confirm or to refuse. In the mesh that is the gateway here, and nobody else hears it.
   */
  #mayAsk (nowMs: number, { destination, sourceIpv4 }: FrameView): boolean {
    return this.#knows.isExternal ? this.#holder(nowMs, sourceIpv4) === undefined : destination === this.#knows.gatewayMac || isGroup(destination)
  }

  #holder (nowMs: number, address: number): number | undefined {
    const { stations, leases, isExternal } = this.#knows
    return stations.ofAddress(address)?.mac ?? (isExternal ? leases.macOf(address, nowMs) : undefined)
  }

  #mayUse (nowMs: number, speaker: StationRecord | undefined, address: number, isForwarded: boolean): boolean {
    if (speaker?.held.includes(address) === true) return true
    const holder = this.#holder(nowMs, address)
    if (speaker === undefined) return holder === undefined
    if (isForwarded || holder === speaker.mac) return true
    // What a LAN leased to another member's machine, only that member knows; it guards it.
    return holder === undefined && this.#knows.isExternal && speaker.port.kind !== 'machine'
  }

  #judgeArp (nowMs: number, speaker: StationRecord | undefined, view: FrameView): DropReason | undefined {
    const arp = arpOf(view.bytes, view.contentsAt)
    if (arp === undefined) return 'MALFORMED'
    if (arp.senderMac !== view.source) return 'ARP_SENDER'
    // A probe (RFC 5227): it asks without saying who it is.
    if (arp.senderAddress === 0) return arp.isRequest ? undefined : 'ARP_SENDER'
    if (arp.senderAddress === this.#knows.gatewayAddress) return 'ADDRESS_GATEWAY'
    return this.#mayUse(nowMs, speaker, arp.senderAddress, false) ? undefined : 'ARP_SENDER'
  }

  #judgeIpv6 (nowMs: number, speaker: StationRecord | undefined, view: FrameView): DropReason | undefined {
    const { bytes, sourceAt } = view
    const isProbe = isUnspecified(bytes, sourceAt)
    if (isProbe ? !isGroup(view.destination) : !this.#mayUseIpv6(nowMs, speaker, view, sourceAt)) return 'IPV6_SOURCE'
    if (isFromDhcpServer(view) && speaker?.isRouter !== true) return 'DHCP_SERVER'
    const neighbour = neighbourOf(view)
    if (neighbour === undefined) return undefined
    if (neighbour === 'malformed') return 'MALFORMED'
    const { kind, mac, targetAt } = neighbour
    if (kind === 'router') return speaker?.isRouter === true ? undefined : 'ROUTER_ADVERT'
    if (mac !== undefined && mac !== view.source && (speaker !== undefined || this.#isKnown(mac))) return 'ND_SENDER'
    if (kind === 'advert' && !this.#mayUseIpv6(nowMs, speaker, view, targetAt)) return 'ND_SENDER'
    if (kind === 'solicit' && isProbe && speaker !== undefined && isLinkLocal(bytes, targetAt) && macOfLinkLocal(bytes, targetAt) === undefined) {
      this.#knows.linkLocals.probe(nowMs, speaker.mac, speaker.port.kind === 'machine', bytes, targetAt)
    }
    return undefined
  }

  /** Only link-local addresses are a station's own; a router passes on others, and behind an uplink there may be any. */
  #mayUseIpv6 (nowMs: number, speaker: StationRecord | undefined, view: FrameView, at: number): boolean {
    const { bytes } = view
    if (!isLinkLocal(bytes, at)) return speaker === undefined || speaker.isRouter
    const mac = macOfLinkLocal(bytes, at)
    if (mac !== undefined) return mac === view.source || (speaker === undefined && !this.#isKnown(mac))
    const { linkLocals } = this.#knows
    return speaker === undefined ? linkLocals.mayUseUnlisted(nowMs, bytes, at) : linkLocals.mayUse(nowMs, speaker.mac, speaker.port.kind === 'machine', bytes, at)
  }

  #isKnown (mac: number): boolean { return mac === this.#knows.gatewayMac || this.#knows.stations.ofMac(mac) !== undefined }
}
