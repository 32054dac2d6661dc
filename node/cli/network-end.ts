/** This client's end of a network: joined by a signed call through the local plant; machines are named as users name them. */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { PlantError, isVmId, keyIdOf, type KeyId } from '../../protocols/kit/index.ts'
import type { MachineView } from '../../protocols/machine/index.ts'
import { DEFAULT_SUBNET, parseCidr, subnetOf, type Subnet } from '../../protocols/tunnel/address/index.ts'
import { ipv4Number } from '../../protocols/tunnel/ethernet.ts'
import type { Station } from '../../protocols/tunnel/types.ts'
import { userNetworks } from '../lines/qemu/user-network.ts'
import { clientEnd, type ClientEnd } from '../net/client-end.ts'
import { openUplink, type Uplink } from '../net/proxy-uplink.ts'
import type { Context } from './context.ts'
import { domainSigner, orderCredentials } from './domain-keys.ts'

/** Which network, and as whom. */
export interface NetworkChoice {
  network: string
  domain: string
  /** The domain's key; this client's key of the domain, or its own, when absent. */
  domainKey?: KeyId
}

export interface EndOptions {
  addressing: 'mesh' | 'external'
  /** An address of its own wish: `10.1.2.3`, or `192.168.7.1/24` to reach machines of that subnet. */
  address?: string
  /** A name that resolves in the network. */
  name?: string
  /** Its card's address: with the same one it is given the same address again. */
  mac: string
  takesOffload?: boolean
}

/** A signed call lets in for so long after this client has gone without saying so; it is renewed three times as often. */
const JOIN_MS = 10 * 60_000

/** Joins a network through the local plant. Throws NOT_AUTHORISED, ADDRESS_TAKEN, API_UNREACHABLE, or the signal's reason. */
export async function joinNetwork (c: Context, choice: NetworkChoice, options: EndOptions): Promise<Uplink> {
  const own = keyIdOf((await c.signer()).publicKey)
  const held = domainSigner(c, choice.domain)
  const domainKey = choice.domainKey ?? (held === undefined ? own : keyIdOf(held.publicKey))
  // A credential proves what the key of the domain says; that of another key of the same name proves nothing.
  const credential = held !== undefined && keyIdOf(held.publicKey) === domainKey && domainKey !== own ? await orderCredentials(c, choice.domain) : {}
  const signJoin = async (): Promise<string> => c.sign({ kind: 'join', body: { domain: choice.domain, domainKey, network: choice.network, expiresAtMs: Date.now() + JOIN_MS, ...credential } })
  const { addressing, address, name } = options
  const station = { mac: options.mac, ...(name !== undefined && { name }), ...(address !== undefined && { address }) }
  const socket = await c.api.upgrade('/v1/networks/frames', 'plantmesh-frames', c.signal)
  return openUplink({ socket, signJoin, joinMs: JOIN_MS, addressing, station, takesOffload: options.takesOffload ?? false }, c.signal)
}

/** The subnet that a station's address was given in. */
export function subnetOfStation (station: Station, wanted?: string): Subnet {
  const ip = ipv4Number(station.addresses[0] ?? '') ?? DEFAULT_SUBNET.base
  const prefixBits = station.given?.prefixBits ?? parseCidr(wanted ?? '')?.prefixBits ?? DEFAULT_SUBNET.prefixBits
  return subnetOf(ip, prefixBits)
}

/** An end without rights, by which this host's programs connect. */
export interface JoinedEnd extends ClientEnd { readonly station: Station, readonly networkId: string }

/** Joins as one. Throws as `joinNetwork` and `clientEnd` do. */
export async function userEnd (c: Context, choice: NetworkChoice, options: EndOptions): Promise<JoinedEnd> {
  const uplink = await joinNetwork(c, choice, options)
  try {
    const { station, networkId } = uplink
    const address = ipv4Number(station.addresses[0] ?? '')
    if (address === undefined) throw new PlantError('USAGE', { problem: 'the network\'s addresses are given by a LAN of yours, so this end has none: say which one it may have', option: '--address' })
    const end = await clientEnd({ mac: station.mac, address, subnet: subnetOfStation(station, options.address), start: userNetworks(c.dataDir) }, uplink, c.signal)
    return { dial: async (machine, port, signal) => end.dial(machine, port, signal), close: () => { end.close() }, closed: end.closed, station, networkId }
  } catch (error) {
    uplink.close()
    throw error
  }
}

/** Connects to machines by address, by VMID, by host name, or by the name in their order; `end` is asked for each time. */
export function machineDialler (c: Context, choice: NetworkChoice, end: () => Pick<ClientEnd, 'dial'>): (machine: string, port: number, signal: AbortSignal) => Promise<Socket> {
  const addresses = new Map<string, string>()
  return async (machine, port, signal) => {
    const known = addresses.get(machine)
    if (known !== undefined) return end().dial(known, port, signal)
    if (isVmId(machine.toLowerCase())) {
      const address = addressOn(await queried(c, machine.toLowerCase()), choice.network)
      addresses.set(machine, address) // It keeps it for life.
      return end().dial(address, port, signal)
    }
    try {
      return await end().dial(machine, port, signal)
    } catch (error) {
      // Names of orders need not be unique, and are this client's alone: after those of the network.
      const address = error instanceof PlantError && error.code === 'NAME_UNKNOWN' ? await addressByOrderName(c, choice, machine) : undefined
      if (address === undefined) throw error
      return await end().dial(address, port, signal)
    }
  }
}

/** The state of a machine. */
export async function queried (c: Context, vmId: string): Promise<MachineView> {
  if (!isVmId(vmId)) throw new PlantError('USAGE', { vmid: vmId, allowed: '32 hexadecimal digits, as plantmesh list shows them' })
  const answer = await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'query', vmId, body: {} }) }, () => {}, c.signal) as { machine: MachineView }
  return answer.machine
}

/** A machine's address on a network. Throws VM_UNREACHABLE when it has none there. */
export function addressOn (machine: MachineView, network: string): string {
  const address = addressesOf(machine).get(network)
  if (address === undefined) throw new PlantError('VM_UNREACHABLE', { vmid: machine.vmid, problem: `it has no address on the network ${network}` })
  return address
}

/** The networks that a machine has an address on, its first one first: its ad names the others (`Networks`) only where there are others. */
export function addressesOf ({ attributes: { Network, Networks, Address } }: MachineView): Map<string, string> {
  const all = typeof Networks === 'string' ? Networks.split(', ').map((one) => one.split(' ')) : [[Network, Address]]
  return new Map(all.flatMap(([name, address]) => typeof name === 'string' && typeof address === 'string' ? [[name, address] as const] : []))
}

async function addressByOrderName (c: Context, choice: NetworkChoice, name: string): Promise<string | undefined> {
  const found: MachineView[] = []
  await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'list', body: { all: false } }) }, (event) => {
    if (event['event'] === 'machines') found.push(...(event['machines'] as MachineView[]).filter((machine) => machine.name === name && machine.domain === choice.domain && addressesOf(machine).has(choice.network)))
  }, c.signal)
  if (found.length > 1) throw new PlantError('NAME_UNKNOWN', { name, problem: 'several machines have it', vmids: found.map(({ vmid }) => vmid) })
  return found[0] && addressOn(found[0], choice.network)
}

/** A card's address: locally administered, unicast, by chance. */
export function newMac (): string {
  const bytes = randomBytes(6)
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}
