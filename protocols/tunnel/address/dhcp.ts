/**
 * What a DHCP client is answered (RFC 2131, 4.3). The server knows beforehand which machine it speaks to and which address that has, for life: it offers and
 * confirms that one and refuses every other, and keeps no state.
 *
 *   DISCOVER -> OFFER      REQUEST of it (selecting, after a boot, renewing, rebinding) -> ACK, of another -> NAK      INFORM -> ACK without a lease
 *   REQUEST to another server, RELEASE, DECLINE -> nothing
 */
import { LEASE_S } from './constants.ts'
import { DHCP, OPTION, writeDhcp, type DhcpOption, type DhcpRequest } from './dhcp-message.ts'
import { putU16, putU32 } from '../ethernet.ts'
import { EVERYONE, broadcastOf, maskOf, subnetOf, type Ip4, type Subnet } from './subnet.ts'

/** What a machine is given. */
export interface Lease {
  ip: Ip4
  prefixBits: number
  /** Who answers, DHCP and names. */
  serverIp: Ip4
  /** The router, where it lies in its subnet. */
  gatewayIp?: Ip4
  /** What is behind routers of its network (RFC 3442). */
  routes?: ReadonlyArray<{ to: Subnet, viaIp: Ip4 }>
  hostName?: string
  domain: string
  mtuBytes: number
}

/** An answer, and where it goes: the client's own address, or everyone when it has none that it takes unicast at. */
export interface DhcpAnswer { to: Ip4, refused: boolean, message: Uint8Array }

/** The answer to a client's message; undefined when there is none to give. */
export function dhcpAnswer (request: DhcpRequest, lease: Lease): DhcpAnswer | undefined {
  const { clientIp, requestedIp, serverIp } = request
  switch (request.type) {
    case DHCP.discover: return grant(request, DHCP.offer, lease)
    case DHCP.request:
      if (serverIp !== undefined && serverIp !== lease.serverIp) return undefined
      return (requestedIp ?? clientIp) === lease.ip ? grant(request, DHCP.ack, lease) : refusal(request, lease)
    case DHCP.inform: return inform(request, lease)
    // DECLINE: nobody else was given it; the client asks again. RELEASE: it stays the machine's. Whatever else there is, is not for a server.
    default: return undefined
  }
}

function grant (request: DhcpRequest, type: number, lease: Lease): DhcpAnswer {
  const options: DhcpOption[] = [...head(type, lease), [OPTION.leaseS, u32Bytes(LEASE_S)], [OPTION.renewS, u32Bytes(LEASE_S / 2)], [OPTION.rebindS, u32Bytes(LEASE_S * 7 / 8)], ...settings(lease)]
  const broadcast = request.broadcast && request.clientIp === 0
  const message = writeDhcp(request, { yourIp: lease.ip, clientIp: type === DHCP.ack ? request.clientIp : 0, broadcast, options })
  return { to: broadcast ? EVERYONE : lease.ip, refused: false, message }
}

function inform (request: DhcpRequest, lease: Lease): DhcpAnswer | undefined {
  if (request.clientIp !== lease.ip) return undefined
  return { to: lease.ip, refused: false, message: writeDhcp(request, { yourIp: 0, clientIp: request.clientIp, broadcast: false, options: [...head(DHCP.ack, lease), ...settings(lease)] }) }
}

/** To everyone: whatever address the client has is not its own (RFC 2131, 4.3.2). */
function refusal (request: DhcpRequest, lease: Lease): DhcpAnswer {
  const options: DhcpOption[] = [...head(DHCP.nak, lease), [OPTION.message, textBytes('this address is not yours')]]
  return { to: EVERYONE, refused: true, message: writeDhcp(request, { yourIp: 0, clientIp: 0, broadcast: true, options }) }
}

function head (type: number, { serverIp }: Lease): DhcpOption[] { return [[OPTION.type, Uint8Array.of(type)], [OPTION.server, u32Bytes(serverIp)]] }

function settings (lease: Lease): DhcpOption[] {
  const { ip, prefixBits, serverIp, gatewayIp, hostName, domain, mtuBytes } = lease
  const routes = routesOf(lease)
  const mtu = new Uint8Array(2)
  putU16(mtu, 0, mtuBytes)
  return [
    [OPTION.mask, u32Bytes(maskOf(prefixBits))],
    [OPTION.broadcast, u32Bytes(broadcastOf(subnetOf(ip, prefixBits)))],
    ...(gatewayIp === undefined ? [] : [[OPTION.router, u32Bytes(gatewayIp)]] satisfies DhcpOption[]),
    [OPTION.dns, u32Bytes(serverIp)],
    ...(routes.length === 0 ? [] : [[OPTION.routes, routesBytes(routes)]] satisfies DhcpOption[]),
    ...(hostName === undefined ? [] : [[OPTION.hostName, textBytes(hostName)]] satisfies DhcpOption[]),
    [OPTION.domain, textBytes(domain)],
    [OPTION.mtu, mtu]
  ]
}

/**
 * What is reached how: whoever takes these takes no other, so they are all there are. Where the gateway is not in the machine's subnet it is on its Ethernet all the
 * same, which is what a route without a router says, and answers for names there.
 */
function routesOf ({ serverIp, gatewayIp, routes = [] }: Lease): NonNullable<Lease['routes']> {
  if (gatewayIp === undefined) return [{ to: { base: serverIp, prefixBits: 32 }, viaIp: 0 }, ...routes]
  return routes.length === 0 || routes.some(({ to }) => to.prefixBits === 0) ? routes : [...routes, { to: { base: 0, prefixBits: 0 }, viaIp: gatewayIp }]
}

/** Each a prefix's length, as much of its subnet as that says, and its router. */
function routesBytes (routes: NonNullable<Lease['routes']>): Uint8Array {
  return Uint8Array.from(routes.flatMap(({ to: { base, prefixBits }, viaIp }) => [prefixBits, ...u32Bytes(base).subarray(0, Math.ceil(prefixBits / 8)), ...u32Bytes(viaIp)]))
}

function u32Bytes (value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  putU32(bytes, 0, value)
  return bytes
}

function textBytes (text: string): Uint8Array { return new TextEncoder().encode(text) }
