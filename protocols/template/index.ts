/**
 * Marks on templates: labels, pins and removals, signed by who makes them, told to the whole mesh (README.md). The composition starts it over the records;
 * the API publishes what clients signed; orders and `plantmesh template` read it.
 */
import type { Cancel, Clock, Crypto, GoldenId, KeyId, Log, PeerId, PubSub, Random, Service, Transport, VmId } from '../kit/index.ts'
import type { MarkSetBounds } from './mark-set.ts'
import type { SignedMark, Uses } from './messages.ts'
import { MarksService } from './service.ts'

export { LABEL, LABEL_ALLOWED, MARK_AHEAD_MS, MARKS_MAX, MARKS_PER_KEY_MAX, TEMPLATE_PROTOCOL, TEMPLATE_TOPIC } from './constants.ts'
export { MarksCore } from './core.ts'
export type { MarksEffect, Offered } from './core.ts'
export { MarkSet } from './mark-set.ts'
export type { MarkSetBounds } from './mark-set.ts'
export { decodeMark, markKey, signMark } from './messages.ts'
export type { Mark, SignedMark, Uses } from './messages.ts'

/** What keeps marks across restarts; `Records` does. */
export interface MarkStore {
  /** One transaction, durable when it returns; an absent mark is removed. */
  saveMarks (changes: Array<{ key: string, signed: Uint8Array | undefined }>): void
  marks (): Uint8Array[]
}

export interface MarksComponents {
  clock: Clock
  random: Random
  pubsub: PubSub
  /** Streams to other plants; never opened to this one. */
  transport: Transport
  crypto: Crypto
  records: MarkStore
  log: Log
  /** What this plant makes of these golden machines: asked by who wants to remove them. */
  uses: (goldenIds: readonly GoldenId[]) => { vmIds: VmId[], templates: string[] }
}

/** Read by orders, lists and removals; all that it says is on. */
export interface MarksView {
  of (goldenId: GoldenId): Iterable<SignedMark>
  labelled (label: string): Iterable<SignedMark>
  /** Marks of any kind, also those that say what is no longer. */
  all (): Iterable<SignedMark>
}

export interface Marks extends Service {
  readonly view: MarksView
  /**
   * Keeps a signed mark and tells the mesh. Throws MESSAGE_INVALID, SIGNATURE_INVALID, CALL_STALE when it is from the future or a later one is known, or
   * LIMIT. Durable when it returns.
   */
  publish (signed: Uint8Array): void
  /** Throws as `publish` where the mark itself is at fault: it is malformed, forged, from the future, or older than what is known. Keeps nothing. */
  check (signed: Uint8Array): void
  /** What these plants make of golden machines; `silent`: those that did not answer. */
  usesAt (peers: readonly PeerId[], goldenIds: readonly GoldenId[], signal: AbortSignal): Promise<Array<{ peer: PeerId, uses: Uses | undefined }>>
  /** Called, at most once a turn, after marks came or went. */
  onChange (fn: () => void): Cancel
}

/** Marks over these components. */
export function marks (bounds: MarkSetBounds = {}): (components: MarksComponents) => Marks {
  return (components) => new MarksService(components, bounds)
}

/** Keys of those who may remove what a domain published, or what a plant's administrator built. */
export function mayRemove (golden: { publishedBy?: { domainKey: KeyId }, publisher?: KeyId }, by: KeyId): boolean {
  return by === golden.publisher || by === golden.publishedBy?.domainKey
}
