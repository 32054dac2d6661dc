/** The names of a network: its machines' and the gateway's, with and without the network's own. */
import { ipv4Number } from '../ethernet.ts'
import type { Station } from '../types.ts'
import { contains, type Ip4, type Subnet } from './subnet.ts'

/** What a host name may be (RFC 1123); others are not told. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const GATEWAY_NAME = 'gateway'
/** Addresses of one name, and names of one address: what fits into the smallest reply. */
const NAMESAKES_MAX = 16

/** A network's name as the last part of its machines' names. */
export function domainOf (networkName: string): string {
  const labels = networkName.toLowerCase().split('.').map((label) => label.replace(/[^a-z0-9-]+/g, '-').replace(/^-+/, '').slice(0, 63).replace(/-+$/, '')).filter((label) => label !== '')
  return labels.length === 0 ? 'network' : labels.join('.').slice(0, 190).replace(/[.-]+$/, '')
}

/** Who has which name; made again when the stations change. */
export class NameTable {
  readonly domain: string
  readonly #subnet: Subnet
  readonly #addresses = new Map<string, Ip4[]>()
  readonly #names = new Map<Ip4, string[]>()

  constructor (domain: string, subnet: Subnet, gatewayIp: Ip4, stations: Iterable<Station>) {
    this.domain = domain
    this.#subnet = subnet
    this.#add(GATEWAY_NAME, gatewayIp)
    for (const { name, addresses } of stations) {
      const label = name?.toLowerCase() ?? ''
      if (!LABEL.test(label) || label === GATEWAY_NAME) continue
      for (const address of addresses) {
        const ip = ipv4Number(address)
        if (ip !== undefined && ip !== gatewayIp) this.#add(label, ip)
      }
    }
  }

  /** Addresses that have a name; the gateway's is one. */
  get size (): number { return this.#names.size }

  /** Whether a name, in lower case, is this network's to answer: one without a dot, or one that ends in the network's. */
  hasName (name: string): boolean { return !name.includes('.') || name.endsWith(`.${this.domain}`) || name === this.domain }

  /** The addresses of a name; none of the network's own, and undefined when nobody has the name. */
  addressesOf (name: string): readonly Ip4[] | undefined {
    if (name === this.domain) return []
    return this.#addresses.get(name.endsWith(`.${this.domain}`) ? name.slice(0, -this.domain.length - 1) : name)
  }

  /** Whether an address is this network's to answer. */
  hasAddress (ip: Ip4): boolean { return contains(this.#subnet, ip) || this.#names.has(ip) }

  /** The full names of an address. */
  namesOf (ip: Ip4): readonly string[] { return (this.#names.get(ip) ?? []).map((name) => `${name}.${this.domain}`) }

  #add (name: string, ip: Ip4): void {
    put(this.#addresses, name, ip)
    put(this.#names, ip, name)
  }
}

function put<K, V> (lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else if (list.length < NAMESAKES_MAX) list.push(value)
}
