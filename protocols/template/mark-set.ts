/** The marks that a plant keeps: of each the last written, bounded for each key and in all, with a summary by which two plants find what differs. */
import { compare } from 'uint8arrays/compare'
import type { Crypto, GoldenId, KeyId } from '../kit/index.ts'
import { BUCKETS, BUCKET_HASH_BYTES, MARKS_MAX, MARKS_PER_KEY_MAX } from './constants.ts'
import { markKey, type SignedMark } from './messages.ts'

interface Entry { mark: SignedMark, key: string, bucket: number, hash: Uint8Array }

export interface MarkSetBounds {
  perKeyMax?: number
  max?: number
  /** Keys whose marks this plant goes by: they give way to no other's, so that keys which cost nothing cannot push them out. None, by default. */
  reliesOn?: (by: KeyId) => boolean
}

/** `dropped`: keys of marks that went for it. */
export type Added = { outcome: 'kept', dropped: string[] } | { outcome: 'known' | 'older' | 'full' }

/** A set of verified marks. Two sets that were given the same marks in any order, and whose bound in all was not reached, are the same. */
export class MarkSet {
  readonly #crypto: Pick<Crypto, 'sha256'>
  readonly #perKeyMax: number
  readonly #max: number
  readonly #reliesOn: (by: KeyId) => boolean
  readonly #entries = new Map<string, Entry>()
  readonly #byKey = new Map<KeyId, Map<string, Entry>>()
  /** Keys by how many marks they have, so that a full set finds who has the most without looking at all. */
  readonly #byCount: Array<Set<KeyId>> = []
  readonly #byGolden = new Map<GoldenId, Map<string, Entry>>()
  readonly #byLabel = new Map<string, Map<string, Entry>>()
  readonly #buckets: Array<Map<string, Entry>> = Array.from({ length: BUCKETS }, () => new Map<string, Entry>())
  readonly #summary = new Uint8Array(BUCKETS * BUCKET_HASH_BYTES)

  constructor (crypto: Pick<Crypto, 'sha256'>, { perKeyMax = MARKS_PER_KEY_MAX, max = MARKS_MAX, reliesOn = () => false }: MarkSetBounds = {}) {
    this.#crypto = crypto
    this.#reliesOn = reliesOn
    this.#perKeyMax = perKeyMax
    this.#max = max
  }

  get size (): number { return this.#entries.size }

  /** How many marks of this key are kept. */
  sizeOf (by: KeyId): number { return this.#byKey.get(by)?.size ?? 0 }

  get (key: string): SignedMark | undefined { return this.#entries.get(key)?.mark }

  /** The mark has been verified. */
  add (mark: SignedMark): Added {
    const key = markKey(mark)
    const before = this.#entries.get(key)?.mark
    if (before !== undefined) {
      const order = laterFirst(mark, before)
      if (order >= 0) return { outcome: order === 0 ? 'known' : 'older' }
      this.#drop(key)
      this.#put(key, mark)
      return { outcome: 'kept', dropped: [] }
    }
    const room = this.#room(mark)
    if (room === undefined) return { outcome: 'full' }
    for (const one of room) this.#drop(one)
    this.#put(key, mark)
    return { outcome: 'kept', dropped: room }
  }

  /** Marks of a golden machine that say what is (not what is no longer). */
  * of (goldenId: GoldenId): Generator<SignedMark> {
    for (const { mark } of this.#byGolden.get(goldenId)?.values() ?? []) if (isOn(mark)) yield mark
  }

  /** Who put this label on what. */
  * labelled (label: string): Generator<SignedMark> {
    for (const { mark } of this.#byLabel.get(label)?.values() ?? []) if (isOn(mark)) yield mark
  }

  * all (): Generator<SignedMark> {
    for (const { mark } of this.#entries.values()) yield mark
  }

  /** Of each bucket the exclusive or of its marks' digests. A copy. */
  summary (): Uint8Array { return this.#summary.slice() }

  /** Marks in the buckets in which another's summary differs. */
  * differing (summary: Uint8Array): Generator<SignedMark> {
    for (const [at, bucket] of this.#buckets.entries()) {
      const from = at * BUCKET_HASH_BYTES
      const differs = this.#summary.subarray(from, from + BUCKET_HASH_BYTES).some((byte, i) => byte !== summary[from + i])
      if (differs) for (const { mark } of bucket.values()) yield mark
    }
  }

  /** What would have to go for it; undefined: it is not worth that. Of one key the newest stay; in all, whoever has the most gives way to who has fewer. */
  #room (mark: SignedMark): string[] | undefined {
    const own = this.#byKey.get(mark.by)
    if (own !== undefined && own.size >= this.#perKeyMax) {
      const least = leastOf(own)
      return least !== undefined && byWorth(mark, least.mark) > 0 ? [least.key] : undefined
    }
    if (this.#entries.size < this.#max) return []
    const marks = this.#most(this.#reliesOn(mark.by) ? 1 : (own?.size ?? 0) + 2)
    const least = marks === undefined ? undefined : leastOf(marks)
    return least === undefined ? undefined : [least.key]
  }

  /** The marks of a key that has the most, and so many at least; of those that this plant relies on none. */
  #most (atLeast: number): Map<string, Entry> | undefined {
    for (let count = this.#byCount.length - 1; count >= atLeast; count--) {
      for (const by of this.#byCount[count] ?? []) if (!this.#reliesOn(by)) return this.#byKey.get(by)
    }
    return undefined
  }

  /** Called before and after the marks of a key come to be more or fewer. */
  #count (by: KeyId, present: boolean): void {
    const count = this.#byKey.get(by)?.size ?? 0
    if (present) (this.#byCount[count] ??= new Set()).add(by)
    else this.#byCount[count]?.delete(by)
  }

  #put (key: string, mark: SignedMark): void {
    const bucket = this.#crypto.sha256(new TextEncoder().encode(key))[0] ?? 0
    const entry: Entry = { mark, key, bucket, hash: this.#crypto.sha256(mark.signed).subarray(0, BUCKET_HASH_BYTES) }
    this.#entries.set(key, entry)
    this.#count(mark.by, false)
    putIn(this.#byKey, mark.by, entry)
    this.#count(mark.by, true)
    putIn(this.#byGolden, mark.goldenId, entry)
    if (mark.kind === 'label') putIn(this.#byLabel, mark.label, entry)
    this.#buckets[bucket]?.set(key, entry)
    this.#toggle(entry)
  }

  #drop (key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    const { mark, bucket } = entry
    this.#entries.delete(key)
    this.#count(mark.by, false)
    takeFrom(this.#byKey, mark.by, key)
    this.#count(mark.by, true)
    takeFrom(this.#byGolden, mark.goldenId, key)
    if (mark.kind === 'label') takeFrom(this.#byLabel, mark.label, key)
    this.#buckets[bucket]?.delete(key)
    this.#toggle(entry)
  }

  #toggle ({ bucket, hash }: Entry): void {
    for (const [i, byte] of hash.entries()) {
      const at = bucket * BUCKET_HASH_BYTES + i
      this.#summary[at] = (this.#summary[at] ?? 0) ^ byte
    }
  }
}

const isOn = (mark: SignedMark): boolean => mark.kind === 'removed' || mark.on

/** Below 0 when `a` was written last: by time, and at one time by signature, so that all agree. */
function laterFirst (a: SignedMark, b: SignedMark): number {
  return a.atMs === b.atMs ? compare(b.signature, a.signature) : b.atMs - a.atMs
}

/** Above 0 when `a` is kept before `b`: removals first, then the later. */
function byWorth (a: SignedMark, b: SignedMark): number {
  const removals = Number(a.kind === 'removed') - Number(b.kind === 'removed')
  return removals === 0 ? laterFirst(b, a) : removals
}

function leastOf (marks: Map<string, Entry>): Entry | undefined {
  let least: Entry | undefined
  for (const entry of marks.values()) if (least === undefined || byWorth(entry.mark, least.mark) < 0) least = entry
  return least
}

function putIn<K> (index: Map<K, Map<string, Entry>>, at: K, entry: Entry): void {
  const marks = index.get(at)
  if (marks === undefined) index.set(at, new Map([[entry.key, entry]]))
  else marks.set(entry.key, entry)
}

function takeFrom<K> (index: Map<K, Map<string, Entry>>, at: K, key: string): void {
  const marks = index.get(at)
  marks?.delete(key)
  if (marks?.size === 0) index.delete(at)
}
