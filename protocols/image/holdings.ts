/** What a plant says of the golden machines it holds, as bytes (README.md, "Holdings"). */
import { sha256 } from '@noble/hashes/sha2.js'
import { z } from 'zod'
import { fromString } from 'uint8arrays'
import { decode, encode, publicKeyOf, toHex, type GoldenId, type KeyId, type PeerId } from '../kit/index.ts'
import { digestPrefixes } from '../order/quick-match.ts'
import type { Golden } from '../order/golden.ts'
import { HOLDINGS_BYTES_MAX, HOLDINGS_CONTEXT, HOLDINGS_LISTED_MAX, HOLDING_ACTIONS_MAX, HOLDING_TEXT_CHARS_MAX } from './holdings-limits.ts'

const text = z.string().max(HOLDING_TEXT_CHARS_MAX)
const count = z.number().int().min(0).max(2 ** 48)
const goldenId = z.string().regex(/^[0-9a-f]{32}$/).transform((id) => id as GoldenId)
const keyId = z.custom<KeyId>((value) => typeof value === 'string' && publicKeyOf(value) !== undefined)
const bytes = z.instanceof(Uint8Array)

/** A holding off the wire. */
export const holdingSchema = z.object({
  goldenId,
  name: text,
  os: text,
  isa: text,
  cpus: count,
  memoryMiB: count,
  diskMiB: count,
  line: z.string().max(16),
  done: bytes.refine((value) => value.length <= 4 * HOLDING_ACTIONS_MAX && value.length % 4 === 0, 'not whole digest prefixes, or too many').optional(),
  ownBytes: count,
  totalBytes: count,
  base: goldenId.optional(),
  publisher: keyId.optional(),
  domain: text.optional(),
  domainKey: keyId.optional(),
  usedS: count,
  uses: count.optional(),
  kept: z.boolean().optional()
})

/**
 * One golden machine as a plant tells of it. A hint: whoever counts on it gets the description first, which the id binds. `line` is the digest of
 * the production line's fingerprint (`lineDigest`); `done` the first 32 bits of each action's digest, big-endian, absent when they are too many; `ownBytes` what
 * its own pack has, `totalBytes` what all its distinct pieces come to; `usedS` the second since 1970 of its last use there;
 * `uses` the uses an hour there, decayed; `kept` that this plant does not give it up by itself. What plants of before say has neither.
 */
export type Holding = z.output<typeof holdingSchema>

const body = z.object({ by: z.string().min(1).max(HOLDING_TEXT_CHARS_MAX), epoch: count, seq: count, holdings: z.array(holdingSchema).max(HOLDINGS_LISTED_MAX), more: z.boolean(), roomMiB: count.optional() })
const envelope = z.object({ body: bytes, signature: bytes })

/** All that a plant says it holds, decoded and not yet verified. */
export interface Holdings { by: PeerId, epoch: number, seq: number, holdings: Holding[], /** Some were left out. */ more: boolean, /** What it would still take of others' golden machines ahead of use. */ roomMiB?: number | undefined }

export interface SignedHoldings { told: Holdings, signed: Uint8Array, signature: Uint8Array }

/** Encodes and signs; `told` must fit (`fitHoldings`). */
export function encodeHoldings (told: Holdings, sign: (signed: Uint8Array) => Uint8Array): Uint8Array {
  const inner = encode(told)
  return encode({ body: inner, signature: sign(signedBytes(inner)) })
}

/** Throws MESSAGE_INVALID. The signature is the caller's to verify. */
export function decodeHoldings (message: Uint8Array): SignedHoldings {
  const outer = decode(envelope, message)
  const inner = decode(body, outer.body)
  return { told: { ...inner, by: inner.by as PeerId }, signed: signedBytes(outer.body), signature: outer.signature }
}

/** As many as a message may carry, the most recently used first; `more` says that some were left out. */
export function fitHoldings (all: readonly Holding[]): { holdings: Holding[], more: boolean } {
  const latest = all.toSorted((a, b) => b.usedS - a.usedS || (a.goldenId < b.goldenId ? -1 : 1))
  const holdings: Holding[] = []
  // Room for the wrapping: peer id, epoch, seq and signature come to some 250 bytes.
  let room = HOLDINGS_BYTES_MAX - 512
  for (const one of latest.slice(0, HOLDINGS_LISTED_MAX)) {
    room -= encode(one).length
    if (room < 0) break
    holdings.push(one)
  }
  return { holdings, more: holdings.length < all.length }
}

/** A golden machine as a plant tells of it. */
export function holdingOf (golden: Golden, more: Pick<Holding, 'ownBytes' | 'totalBytes' | 'publisher' | 'usedS' | 'uses' | 'kept'>): Holding {
  const { hardware, actionsDone, publishedBy, from } = golden
  const cut = (value: string): string => value.slice(0, HOLDING_TEXT_CHARS_MAX)
  return {
    goldenId: golden.goldenId,
    name: cut(golden.name),
    os: cut(golden.os),
    isa: cut(hardware.isa),
    cpus: hardware.cpus,
    memoryMiB: hardware.memoryMiB,
    diskMiB: hardware.diskMiB,
    line: lineDigest(golden.lineFingerprint),
    ...(actionsDone.length <= HOLDING_ACTIONS_MAX && { done: packedPrefixes(digestPrefixes(actionsDone.map((done) => done.digest))) }),
    ...more,
    ...(from !== undefined && { base: from }),
    ...(publishedBy !== undefined && { domain: cut(publishedBy.domain), domainKey: publishedBy.domainKey })
  }
}

/** A production line's fingerprint, short: 16 hex digits. */
export function lineDigest (fingerprint: string): string {
  return toHex(sha256(fromString(fingerprint)).subarray(0, 8))
}

/** Each bid goes over all that its order's family has, so that this is worked out once for each holding. */
const knownPrefixes = new WeakMap<Holding, Uint32Array>()

/** The digests' beginnings that a holding tells of; undefined when it tells none. */
export function prefixesOfHolding (holding: Holding): Uint32Array | undefined {
  const { done } = holding
  if (done === undefined) return undefined
  let prefixes = knownPrefixes.get(holding)
  if (prefixes === undefined) {
    const view = new DataView(done.buffer, done.byteOffset, done.byteLength)
    prefixes = new Uint32Array(done.length / 4)
    for (let i = 0; i < prefixes.length; i++) prefixes[i] = view.getUint32(4 * i)
    knownPrefixes.set(holding, prefixes)
  }
  return prefixes
}

function packedPrefixes (prefixes: Uint32Array): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(4 * prefixes.length)
  const view = new DataView(packed.buffer)
  prefixes.forEach((prefix, i) => { view.setUint32(4 * i, prefix) })
  return packed
}

function signedBytes (inner: Uint8Array): Uint8Array {
  const context = fromString(HOLDINGS_CONTEXT, 'ascii')
  const signed = new Uint8Array(context.length + inner.length)
  signed.set(context)
  signed.set(inner, context.length)
  return signed
}
