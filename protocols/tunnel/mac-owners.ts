/**
 * Whose a card's address is: the first machine's that has it, for as long as any plant says that this machine has it. A proof says which machine a plant has, not
 * with which card; so of two plants with one machine the later proof counts, and of two machines with one card the first.
 */

/** Which machine: its VMID, or for a client's own end the plant that it is attached to. */
export type StationOwner = string

/** As large as there are stations. */
export class MacOwners {
  /** Of each card those that claim it, the first first, with how many plants say so of each. */
  readonly #claims = new Map<string, Map<StationOwner, number>>()

  enter (mac: string, who: StationOwner): void {
    const claims = this.#claims.get(mac) ?? new Map<StationOwner, number>()
    this.#claims.set(mac, claims)
    claims.set(who, (claims.get(who) ?? 0) + 1)
  }

  leave (mac: string, who: StationOwner): void {
    const claims = this.#claims.get(mac)
    const count = claims?.get(who)
    if (claims === undefined || count === undefined) return
    if (count > 1) claims.set(who, count - 1)
    else claims.delete(who)
    if (claims.size === 0) this.#claims.delete(mac)
  }

  owns (mac: string, who: StationOwner): boolean { return this.#claims.get(mac)?.keys().next().value === who }

  get size (): number { return this.#claims.size }
}
