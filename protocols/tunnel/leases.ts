/** Addresses that the DHCP server of a client's LAN gave to machines here (`addressing: external`): one for each machine, as long as the server said. */
import { LEASE_LIFE_MAX_MS } from './constants.ts'

/** A machine's leased address. */
export interface Lease { mac: number, address: number, untilMs: number }

/** The leases of one network here. */
export class Leases {
  readonly #byMac = new Map<number, Lease>()
  readonly #byAddress = new Map<number, Lease>()

  /** The server gave an address: whoever had it has it no more, and what the machine had before is free. */
  give (nowMs: number, mac: number, address: number, forMs: number): Lease {
    const former = this.#byAddress.get(address)
    if (former !== undefined) this.end(former.mac)
    this.end(mac)
    const lease = { mac, address, untilMs: nowMs + Math.min(Math.max(forMs, 0), LEASE_LIFE_MAX_MS) }
    this.#byMac.set(mac, lease)
    this.#byAddress.set(address, lease)
    return lease
  }

  ofMac (mac: number, nowMs: number): number | undefined {
    return this.#inForce(this.#byMac.get(mac), nowMs)?.address
  }

  macOf (address: number, nowMs: number): number | undefined {
    return this.#inForce(this.#byAddress.get(address), nowMs)?.mac
  }

  /** The machine gave its address back, or left. */
  end (mac: number): void {
    const lease = this.#byMac.get(mac)
    if (lease === undefined) return
    this.#byMac.delete(mac)
    this.#byAddress.delete(lease.address)
  }

  #inForce (lease: Lease | undefined, nowMs: number): Lease | undefined {
    if (lease === undefined || nowMs < lease.untilMs) return lease
    this.end(lease.mac)
    return undefined
  }
}
