/**
 * Whose a card's address is, of all machines that are said to have it, for as long as any plant says so: of a machine that is here, as this plant has given it its card; else of the
 * one from whose VMID it follows; else of the first. A proof says which machine a plant has, not with which card; so of two plants with one machine the later proof counts, but no
 * proof of one machine takes the card of another.
 */
import type { PeerId, VmId } from '../kit/index.ts'
import { isCardOf } from './card-mac.ts'

/** Which machine: its VMID, or for a client's own end the plant that it is attached to. */
type StationOwner = string

/** How sure it is, the surest last. */
const RANK = { first: 0, follows: 1, here: 2 } as const

interface Claim { who: StationOwner, plants: number, rank: number }

/** A card of a machine, or of a client's own end. */
export interface Card { mac: string, vmId?: VmId }

/** As large as there are stations. */
export class MacOwners {
  /** Of each card those that claim it, the owner first. */
  readonly #claims = new Map<string, Claim[]>()

  /** A plant says that it has a machine with this card; `here`: it is this plant, with a machine of its own. Returns whether the card is another's now than before. */
  enter (card: Card, at: PeerId, here = false): boolean {
    const who = ownerOf(card, at)
    const claims = this.#claims.get(card.mac) ?? []
    const before = claims[0]?.who
    const claim = claims.find((one) => one.who === who) ?? { who, plants: 0, rank: card.vmId !== undefined && isCardOf(card.mac, card.vmId) ? RANK.follows : RANK.first }
    if (claim.plants++ === 0) claims.push(claim)
    if (here) claim.rank = RANK.here
    this.#claims.set(card.mac, claims.sort((a, b) => b.rank - a.rank))
    return before !== undefined && before !== claims[0]?.who
  }

  /** A plant says so no more. Returns whether the card is another's now. */
  leave (card: Card, at: PeerId): boolean {
    const who = ownerOf(card, at)
    const claims = this.#claims.get(card.mac) ?? []
    const claim = claims.find((one) => one.who === who)
    if (claim === undefined || --claim.plants > 0) return false
    const left = claims.filter((one) => one !== claim)
    if (left.length === 0) this.#claims.delete(card.mac)
    else this.#claims.set(card.mac, left)
    return left.length > 0 && claims[0] === claim
  }

  owns (card: Card, at: PeerId): boolean { return this.#claims.get(card.mac)?.[0]?.who === ownerOf(card, at) }
}

function ownerOf ({ vmId }: Card, at: PeerId): StationOwner { return vmId ?? at }
