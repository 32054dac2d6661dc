/**
 * Capacity: adverts by gossip, and the view of the mesh that a plant builds from them. The composition calls `setOwn` whenever what the plant
 * has changes (as often as it likes: equal ads are one); the shop calls `candidates`, and `plantmesh plants` shows `plants()`.
 */
import type { Cancel, Clock, Crypto, Log, PeerId, PubSub, Random, Service, Signer, Transport } from '../kit/index.ts'
import type { Candidate, Need } from './candidates.ts'
import type { PlantSeen } from './core.ts'
import type { PlantAd } from './messages.ts'
import { CapacityService } from './service.ts'

export { candidates, shortageOf, busyness } from './candidates.ts'
export type { Candidate, Need, Shortage } from './candidates.ts'
export { ADVERT_EVERY_MS, ADVERT_LIFE_MS, CANDIDATES_MAX, CAPACITY_TOPIC, GOLDEN_LISTED_MAX, VIEW_PROTOCOL } from './constants.ts'
export { CapacityCore } from './core.ts'
export type { CapacityEffect, PlantSeen } from './core.ts'
export { adAttributes, fitAd } from './messages.ts'
export type { GoldenSummary, PlantAd } from './messages.ts'

export interface CapacityInit {
  /** Higher than at any earlier start of this plant; the wall clock's milliseconds by default (README.md says what a clock that went back does). */
  epoch?: number
  /** How many other plants the view holds; VIEW_PLANTS_MAX by default. */
  viewPlantsMax?: number
  /** How many candidates `candidates` names at most, and unless told otherwise; CANDIDATES_MAX by default. */
  candidatesMax?: number
}

export interface CapacityComponents {
  clock: Clock
  random: Random
  pubsub: PubSub
  /** Streams to other peers; never opened to this plant itself. */
  transport: Transport
  /** The key whose id is the transport's `self`. */
  signer: Signer
  crypto: Crypto
  log: Log
}

export interface Capacity extends Service {
  /** What this plant says of itself from now on; told to the others within 200 ms when it differs. */
  setOwn (ad: PlantAd): void
  /** Every plant in view, this one first, with the age of its advert. */
  plants (): PlantSeen[]
  get (peer: PeerId): PlantSeen | undefined
  /** Called, at most once a turn, after plants came, went or changed their ad. */
  onChange (fn: () => void): Cancel
  /** Whom to ask for bids: at most `k`, and never more than CANDIDATES_MAX. This plant may be among them. */
  candidates (need: Need, k?: number): Candidate[]
}

/** The capacity protocol over the given components. `stop` says goodbye to the mesh, so stop it before the transport. */
export function capacity (init: CapacityInit = {}): (components: CapacityComponents) => Capacity {
  return (components) => new CapacityService(components, init)
}
