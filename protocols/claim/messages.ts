/** Messages of the claim protocol (README.md), and what a registrar keeps on disk. Numbers are only ever appended. */
import { z } from 'zod'
import { decode, encode, isVmId, type PeerId, type VmId } from '../kit/index.ts'
import { HOLD_BATCH_MAX, MISSED_BATCH_MAX, RECENT_MS } from './constants.ts'

const vmId = z.custom<VmId>(isVmId, 'must be 32 lower-case hex digits')
const peer = z.string().min(1).max(128).transform((text) => text as PeerId)
const digest = z.string().regex(/^[0-9a-f]{64}$/)
const claimId = z.string().regex(/^[0-9a-f]{32}$/)
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const proof = z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === 32, 'must be 32 bytes')
const vmIds = z.array(vmId).max(HOLD_BATCH_MAX)

const holding = z.strictObject({ vmId, orderDigest: digest, awardedAtMs: count })
/** A machine that a plant holds, as it tells its registrars. `awardedAtMs` is the plant's wall clock. */
export type Holding = z.output<typeof holding>
const gone = z.strictObject({ vmId, orderDigest: digest, collected: z.boolean() })
/** A machine that a plant holds no more: collected by order, or never begun. */
export type Gone = z.output<typeof gone>

const missed = z.strictObject({ peer, agoMs: z.number().int().min(0).max(RECENT_MS) })
/** A plant that is counted among registrars and out of view, and when it was seen last. */
export type Missed = z.output<typeof missed>

/** From a shop: 0 claim, 1 unclaim. From a plant: 2 confirm, 3 hold, 5 bye, 6 whom do you miss. From either: 4 ask. */
export const askSchema = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal(0), vmId, orderDigest: digest, claimId, round: count }),
  z.strictObject({ t: z.literal(1), vmId, claimId, round: count }),
  z.strictObject({ t: z.literal(2), vmId, orderDigest: digest, claimId, awardedAtMs: count, order: count }),
  z.strictObject({ t: z.literal(3), order: count, holdings: z.array(holding).max(HOLD_BATCH_MAX), gone: z.array(gone).max(HOLD_BATCH_MAX) }),
  z.strictObject({ t: z.literal(4), vmId, orderDigest: digest }),
  z.strictObject({ t: z.literal(5) }),
  z.strictObject({ t: z.literal(6), after: peer.exactOptional() })
])
export type Ask = z.output<typeof askSchema>
export type ClaimAsk = Extract<Ask, { t: 0 }>
export type UnclaimAsk = Extract<Ask, { t: 1 }>
export type ConfirmAsk = Extract<Ask, { t: 2 }>
export type HoldAsk = Extract<Ask, { t: 3 }>

/** 0 granted, 1 claimed, 2 held, 3 collected, 4 full, 5 done, 6 noted, 7 mine, 8 not mine, 9 missed. */
export const answerSchema = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal(0) }),
  z.strictObject({ t: z.literal(1), shop: peer, leftMs: count }),
  z.strictObject({ t: z.literal(2), holder: peer, orderDigest: digest, awardedAtMs: count, settled: z.boolean() }),
  z.strictObject({ t: z.literal(3), holder: peer, orderDigest: digest }),
  z.strictObject({ t: z.literal(4) }),
  z.strictObject({ t: z.literal(5) }),
  // The machines of a `hold` that another plant held first, and those there was no room for.
  z.strictObject({ t: z.literal(6), rivals: z.array(z.strictObject({ vmId, holder: peer, awardedAtMs: count })).max(HOLD_BATCH_MAX), full: vmIds }),
  z.strictObject({ t: z.literal(7), orderDigest: digest, awardedAtMs: count, proof: proof.exactOptional() }),
  z.strictObject({ t: z.literal(8) }),
  z.strictObject({ t: z.literal(9), missed: z.array(missed).max(MISSED_BATCH_MAX) })
])
export type Answer = z.output<typeof answerSchema>
export type HeldAnswer = Extract<Answer, { t: 2 }>
/** What a registrar says to a claim or a confirmation. */
export type Verdict = Extract<Answer, { t: 0 | 1 | 2 | 3 | 4 }>
export type NotedAnswer = Extract<Answer, { t: 6 }>
/** Another plant that holds a machine of ours. */
export type Rival = NotedAnswer['rivals'][number]

/** A question to a registrar as bytes. */
export function encodeAsk (ask: Ask): Uint8Array { return encode(ask) }
/** A question to a registrar from bytes; throws MESSAGE_INVALID. */
export function decodeAsk (bytes: Uint8Array): Ask { return decode(askSchema, bytes) }
/** A registrar's answer as bytes. */
export function encodeAnswer (answer: Answer): Uint8Array { return encode(answer) }
/** A registrar's answer from bytes; throws MESSAGE_INVALID. */
export function decodeAnswer (bytes: Uint8Array): Answer { return decode(answerSchema, bytes) }

/** What of a registrar's entries must outlive it; claims need not, as they lapse. `untilWallMs` is wall-clock time. */
export const keptSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('held'), holder: peer, orderDigest: digest, awardedAtMs: count, settled: z.boolean(), order: count, over: z.strictObject({ holder: peer, awardedAtMs: count }).exactOptional() }),
  z.strictObject({ kind: z.literal('collected'), holder: peer, orderDigest: digest, order: count, untilWallMs: count })
])
export type Kept = z.output<typeof keptSchema>
export function encodeKept (kept: Kept): Uint8Array { return encode(kept) }
export function decodeKept (bytes: Uint8Array): Kept { return decode(keptSchema, bytes) }
