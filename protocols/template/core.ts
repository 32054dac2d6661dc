/**
 * The marks that a plant knows. Synchronous: an event and the time go in, effects come out. `monoMs` counts rates, `nowMs` is the wall clock, by which a
 * mark from the future is told.
 *
 *   unknown --mark--> kept --later mark of the same key and subject--> kept --bound of its key, or in all--> unknown
 */
import type { Crypto, PeerId } from '../kit/index.ts'
import { AUTHORS_MAX, AUTHOR_BURST, AUTHOR_PER_S, MARK_AHEAD_MS, MARK_BYTES_MAX, PART_BYTES } from './constants.ts'
import { MarkSet, type MarkSetBounds } from './mark-set.ts'
import { decodeMark, isSigned, markKey, type SignedMark } from './messages.ts'

export type MarksEffect =
  /** To be on disk before anybody is told: of absent ones nothing is kept. */
  | { do: 'keep', changes: Array<{ key: string, signed: Uint8Array | undefined }> }
  | { do: 'changed' }

/** `kept` comes with effects; the others change nothing. */
export type Offered = { outcome: 'kept', effects: MarksEffect[] } | { outcome: 'known' | 'older' | 'full' | 'future' | 'invalid' | 'forged' }

interface Rate { tokens: number, filledMs: number }

/** Takes in marks, from gossip, from neighbours and from this plant's own API. */
export class MarksCore {
  readonly marks: MarkSet
  readonly #crypto: Pick<Crypto, 'sha256' | 'verify'>
  /** In the order in which they were last heard of. */
  readonly #rates = new Map<PeerId, Rate>()

  constructor (crypto: Pick<Crypto, 'sha256' | 'verify'>, bounds: MarkSetBounds = {}) {
    this.#crypto = crypto
    this.marks = new MarkSet(crypto, bounds)
  }

  /** What the records kept. Their time is not looked at: a clock that went back since must not lose them. */
  restore (kept: Iterable<Uint8Array>): void {
    for (const signed of kept) {
      const mark = this.#decoded(signed)
      if (mark !== undefined && isSigned(this.#crypto, mark)) this.marks.add(mark)
    }
  }

  /** A gossip message and its verified author, who need not be whose mark it is: plants tell for their users. */
  onGossip (monoMs: number, nowMs: number, from: PeerId, message: Uint8Array): { verdict: 'accept' | 'ignore' | 'reject', effects: MarksEffect[] } {
    if (message.length > MARK_BYTES_MAX) return { verdict: 'reject', effects: [] }
    // Before decoding and verifying: rubbish, too, spends its author's quota.
    if (!this.#spend(monoMs, from)) return { verdict: 'ignore', effects: [] }
    const offered = this.offer(nowMs, message)
    if (offered.outcome === 'kept') return { verdict: 'accept', effects: offered.effects }
    return { verdict: offered.outcome === 'invalid' || offered.outcome === 'forged' ? 'reject' : 'ignore', effects: [] }
  }

  /** Some of a neighbour's marks. `sound` is false when one was malformed or forged: the rest is not worth reading. */
  onPart (nowMs: number, part: readonly Uint8Array[]): { sound: boolean, effects: MarksEffect[] } {
    const changes: Array<{ key: string, signed: Uint8Array | undefined }> = []
    let sound = true
    for (const signed of part) {
      const offered = this.offer(nowMs, signed)
      sound = offered.outcome !== 'invalid' && offered.outcome !== 'forged'
      if (!sound) break
      if (offered.outcome === 'kept') for (const effect of offered.effects) if (effect.do === 'keep') changes.push(...effect.changes)
    }
    return { sound, effects: changes.length === 0 ? [] : [{ do: 'keep', changes }, { do: 'changed' }] }
  }

  /** One mark as it was signed. */
  offer (nowMs: number, signed: Uint8Array): Offered {
    const mark = this.check(nowMs, signed)
    if (typeof mark === 'string') return { outcome: mark }
    const added = this.marks.add(mark)
    if (added.outcome !== 'kept') return added
    const dropped = added.dropped.map((key) => ({ key, signed: undefined }))
    return { outcome: 'kept', effects: [{ do: 'keep', changes: [...dropped, { key: markKey(mark), signed }] }, { do: 'changed' }] }
  }

  /** The mark, or what is wrong with it by itself or beside the one before. Keeps nothing. */
  check (nowMs: number, signed: Uint8Array): SignedMark | 'invalid' | 'known' | 'older' | 'future' | 'forged' {
    const mark = this.#decoded(signed)
    if (mark === undefined) return 'invalid'
    const before = this.marks.get(markKey(mark))
    if (before !== undefined && sameBytes(before.signed, signed)) return 'known'
    // Before verifying: who replays what is over must not cost this plant a signature each.
    if (before !== undefined && mark.atMs < before.atMs) return 'older'
    if (mark.atMs > nowMs + MARK_AHEAD_MS) return 'future'
    return isSigned(this.#crypto, mark) ? mark : 'forged'
  }

  /** What a neighbour with this summary may lack, in parts that fit a message; beginning at some mark (0 to 1), so that who reads only some each time gets all. */
  * parts (summary: Uint8Array, from = 0): Generator<Uint8Array[]> {
    let part: Uint8Array[] = []
    let bytes = 0
    const lacking = [...this.marks.differing(summary)]
    const begin = Math.floor(lacking.length * from)
    for (const { signed } of [...lacking.slice(begin), ...lacking.slice(0, begin)]) {
      part.push(signed)
      bytes += signed.length + 8
      if (bytes < PART_BYTES) continue
      yield part
      part = []
      bytes = 0
    }
    if (part.length > 0) yield part
  }

  #decoded (signed: Uint8Array): SignedMark | undefined {
    try {
      return decodeMark(signed)
    } catch {
      return undefined // The outcome says all there is to say of it.
    }
  }

  #spend (monoMs: number, from: PeerId): boolean {
    const rate = this.#rates.get(from) ?? { tokens: AUTHOR_BURST, filledMs: monoMs }
    this.#rates.delete(from)
    this.#rates.set(from, rate)
    const oldest = this.#rates.size > AUTHORS_MAX ? this.#rates.keys().next().value : undefined
    if (oldest !== undefined) this.#rates.delete(oldest)
    rate.tokens = Math.min(AUTHOR_BURST, rate.tokens + Math.max(0, monoMs - rate.filledMs) / 1_000 * AUTHOR_PER_S)
    rate.filledMs = monoMs
    if (rate.tokens < 1) return false
    rate.tokens--
    return true
  }
}

function sameBytes (a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
