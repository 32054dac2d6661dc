/** What a plant knows that others hold, in few bytes: two plants compare theirs and find what one of them was not told. */
import { sha256 } from '@noble/hashes/sha2.js'
import { fromString } from 'uint8arrays'
import type { PeerId } from '../kit/index.ts'
import { SUMMARY_BUCKETS, SUMMARY_BUCKET_BYTES, SUMMARY_BYTES } from './holdings-limits.ts'
import type { Holding } from './holdings.ts'

/**
 * Of each bucket of plants the exclusive or of digests of what each holds. When it was told, how often it is used and how much room there is do not count: plants that were
 * told the same things at other times have the same summary.
 */
export class HoldingsSummary {
  readonly #digests = new Map<PeerId, Uint8Array>()
  readonly #bytes = new Uint8Array(SUMMARY_BYTES)

  /** That is all that the plant holds. */
  set (peer: PeerId, holdings: readonly Holding[]): void {
    this.remove(peer)
    const digest = sha256(fromString(`${peer} ${holdings.map(({ goldenId }) => goldenId).toSorted().join(' ')}`)).subarray(0, SUMMARY_BUCKET_BYTES)
    this.#digests.set(peer, digest)
    this.#add(peer, digest)
  }

  remove (peer: PeerId): void {
    const digest = this.#digests.get(peer)
    if (digest !== undefined && this.#digests.delete(peer)) this.#add(peer, digest)
  }

  /** A copy. */
  bytes (): Uint8Array { return this.#bytes.slice() }

  /** Whether another's summary differs in the bucket of this plant. */
  differs (peer: PeerId, other: Uint8Array): boolean {
    const from = bucketOf(peer)
    return this.#bytes.subarray(from, from + SUMMARY_BUCKET_BYTES).some((byte, i) => byte !== other[from + i])
  }

  #add (peer: PeerId, digest: Uint8Array): void {
    const from = bucketOf(peer)
    for (const [i, byte] of digest.entries()) this.#bytes[from + i] = (this.#bytes[from + i] ?? 0) ^ byte
  }
}

/** Where a plant's bucket begins. */
function bucketOf (peer: PeerId): number {
  return (sha256(fromString(peer))[0] ?? 0) % SUMMARY_BUCKETS * SUMMARY_BUCKET_BYTES
}
