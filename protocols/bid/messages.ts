/** Messages of the bid and award protocols (README.md). Message and field numbers are only ever appended. */
import { z } from 'zod'
import { decode, encode, PlantError, type LeaseId, type PeerId, type VmId } from '../kit/index.ts'
import { ALTERNATIVES_MAX, ALTERNATIVE_CHANGES_MAX, ANSWER_BYTES_MAX, ASK_BYTES_MAX, HAND_OVER_BYTES_MAX, HAND_OVERS_MAX, ITEMS_MAX, NAME_CHARS_MAX, REASONS_MAX, SIGNED_ORDER_BYTES_MAX, TEXT_CHARS_MAX, WITHOUT_MAX } from './constants.ts'

const name = z.string().max(NAME_CHARS_MAX)
const text = z.string().max(TEXT_CHARS_MAX)
const id = z.string().regex(/^[0-9a-f]{32}$/)
const vmId = z.string().regex(/^[0-9a-f]{32}$/).transform((value) => value as VmId)
const peerId = z.string().min(1).max(128).transform((value) => value as PeerId)
const leaseId = z.string().min(1).max(64).transform((value) => value as LeaseId)
const scalar = z.union([z.string().max(TEXT_CHARS_MAX), z.number(), z.boolean(), z.null()])
const signedOrder = z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= SIGNED_ORDER_BYTES_MAX, 'must be bytes, not too many')
const handOvers = z.array(z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= HAND_OVER_BYTES_MAX, 'must be bytes, not too many')).max(HAND_OVERS_MAX).default([])
const durationMs = z.number().int().min(0).max(86_400_000)

const changeSchema = z.object({ attribute: name, from: scalar, to: scalar })
/**
 * A change that would help: `attribute` is the path of a field of the order (`hardware.memoryMiB`) or, where requirements failed, the name in
 * the plant's ad that they look at (`FreeMemoryMiB`). null stands for absent.
 */
export type Change = z.infer<typeof changeSchema>

const reasonSchema = z.object({
  code: name,
  clause: text,
  have: scalar.optional(),
  need: scalar.optional(),
  waitHelps: z.boolean().optional(),
  smallestChange: changeSchema.optional(),
  alternatives: z.array(z.array(changeSchema).min(1).max(ALTERNATIVE_CHANGES_MAX)).max(ALTERNATIVES_MAX).optional()
})
/**
 * Why a plant does not take an order. `code` is for programs (`RAM_SHORT`), `clause` is the field or the part of the requirements that
 * failed, `have` what the plant has and `need` what the order asks. `waitHelps` says that the plant would fit the order when empty.
 * `alternatives` are all ways to remove the reason where there are several, or where one takes several changes together; the smallest is first.
 */
export type Reason = z.infer<typeof reasonSchema>

const refusalSchema = z.object({ reasons: z.array(reasonSchema).min(1).max(REASONS_MAX), smallestChange: z.array(changeSchema).max(REASONS_MAX) })
/** All that failed, and what must change at once for the plant to take the order; empty when no change of the order would do. */
export type Refusal = z.infer<typeof refusalSchema>

const itemSchema = z.object({ item: name, cost: z.number().min(0), why: text })
/** A part of a bid's cost. */
export type CostItem = z.infer<typeof itemSchema>

const heldSchema = z.object({ vmId, plant: peerId, state: name, leasedAtMs: z.number().min(0).optional() })
/** The plant already has the machine (or had it: `failed`, `collected`). `leasedAtMs` is wall-clock time, for claims. */
export type Held = z.infer<typeof heldSchema>

const bidSchema = z.object({
  bidId: id,
  vmId,
  plant: peerId,
  items: z.array(itemSchema).min(1).max(ITEMS_MAX),
  total: z.number().min(0),
  rank: z.number().optional(),
  expiresInMs: durationMs
}).refine((bid) => Math.abs(bid.total - sumOf(bid.items)) <= 1e-6 * Math.max(1, bid.total), { path: ['total'], message: 'is not the sum of the items' })
/** A costed offer. `plant` is who would make the machine: a broker answers for another. */
export type Bid = z.infer<typeof bidSchema>

/**
 * From the shop, on a stream of BID_PROTOCOL. Message number 0: call. For brokers: `deadlineMs` is when the shop compares what bids it has, if any
 * (DEADLINE_MS when absent), `without` are plants that are not to be asked.
 */
export const callSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal(0), callId: id, signedOrder, withinMs: durationMs, deadlineMs: durationMs.exactOptional(), without: z.array(peerId).max(WITHOUT_MAX).exactOptional() })
])
export type Call = z.infer<typeof callSchema>

/** From the plant. Message numbers: 0 bid, 1 refusal, 2 held. */
export const callAnswerSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal(0), bid: bidSchema }),
  z.object({ t: z.literal(1), plant: peerId, refusal: refusalSchema }),
  z.object({ t: z.literal(2), held: heldSchema })
])
export type CallAnswer = z.infer<typeof callAnswerSchema>

/** From the shop, on a stream of AWARD_PROTOCOL. Message numbers: 0 award, 1 settle, 2 cancel. */
export const awardAskSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal(0), bidId: id, vmId, signedOrder, handOvers }),
  z.object({ t: z.literal(1), bidId: id, vmId }),
  z.object({ t: z.literal(2), bidId: id, vmId })
])
export type AwardAsk = z.infer<typeof awardAskSchema>

/**
 * From the plant. Message numbers: 0 granted, 1 refused, 2 held, 3 void (nothing was granted for this bid, and never will be). `instead` is the next
 * best bid of a broker's site.
 */
export const awardAnswerSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal(0), plant: peerId, leaseId, leasedAtMs: z.number().min(0), expiresInMs: durationMs }),
  z.object({ t: z.literal(1), plant: peerId, refusal: refusalSchema, instead: bidSchema.exactOptional() }),
  z.object({ t: z.literal(2), held: heldSchema }),
  z.object({ t: z.literal(3), instead: bidSchema.exactOptional() })
])
export type AwardAnswer = z.infer<typeof awardAnswerSchema>

/** A call for bids as bytes. */
export function encodeCall (call: Call): Uint8Array { return encode(call) }
/** A call for bids from bytes; throws MESSAGE_INVALID or STREAM_TOO_LONG. */
export function decodeCall (bytes: Uint8Array): Call { return decode(callSchema, within(bytes, ASK_BYTES_MAX)) }
/** The answer to a call as bytes. */
export function encodeCallAnswer (answer: CallAnswer): Uint8Array { return encode(answer) }
/** The answer to a call from bytes; throws MESSAGE_INVALID or STREAM_TOO_LONG. */
export function decodeCallAnswer (bytes: Uint8Array): CallAnswer { return decode(callAnswerSchema, within(bytes, ANSWER_BYTES_MAX)) }
/** An award, or a question about one, as bytes. */
export function encodeAwardAsk (ask: AwardAsk): Uint8Array { return encode(ask) }
/** An award, or a question about one, from bytes; throws MESSAGE_INVALID or STREAM_TOO_LONG. */
export function decodeAwardAsk (bytes: Uint8Array): AwardAsk { return decode(awardAskSchema, within(bytes, ASK_BYTES_MAX)) }
/** The answer to an award as bytes. */
export function encodeAwardAnswer (answer: AwardAnswer): Uint8Array { return encode(answer) }
/** The answer to an award from bytes; throws MESSAGE_INVALID or STREAM_TOO_LONG. */
export function decodeAwardAnswer (bytes: Uint8Array): AwardAnswer { return decode(awardAnswerSchema, within(bytes, ANSWER_BYTES_MAX)) }

/** The total of a bid: the sum of its items. */
export function sumOf (items: readonly CostItem[]): number {
  return items.reduce((sum, item) => sum + item.cost, 0)
}

/** A refusal from its reasons; texts and numbers of reasons are cut to what a message may hold. */
export function refusalOf (reasons: readonly Reason[]): Refusal {
  const kept = reasons.slice(0, REASONS_MAX).map(cutReason)
  // A change helps only when it removes every reason: with one that the client cannot remove there is none to name.
  const mends = kept.map(({ smallestChange, alternatives }) => smallestChange === undefined ? alternatives?.[0] ?? [] : [smallestChange])
  const curable = kept.length === reasons.length && mends.every((mend) => mend.length > 0)
  const changes = mends.flat()
  const distinct = changes.filter((change, i) => changes.findIndex((other) => other.attribute === change.attribute && other.to === change.to) === i)
  return { reasons: kept, smallestChange: curable && distinct.length <= REASONS_MAX ? distinct : [] }
}

function cutReason (reason: Reason): Reason {
  const { have, need, smallestChange: change, alternatives } = reason
  return {
    ...reason,
    code: reason.code.slice(0, NAME_CHARS_MAX),
    clause: reason.clause.slice(0, TEXT_CHARS_MAX),
    ...(have === undefined ? {} : { have: cutScalar(have) }),
    ...(need === undefined ? {} : { need: cutScalar(need) }),
    ...(change === undefined ? {} : { smallestChange: cutChange(change, TEXT_CHARS_MAX) }),
    // Many of them, so each is cut shorter.
    ...(alternatives === undefined ? {} : { alternatives: alternatives.map((mend) => mend.map((one) => cutChange(one, NAME_CHARS_MAX))) })
  }
}

function cutChange ({ attribute, from, to }: Change, charsMax: number): Change {
  return { attribute: attribute.slice(0, NAME_CHARS_MAX), from: cutScalar(from, charsMax), to: cutScalar(to, charsMax) }
}

function cutScalar (value: Change['to'], charsMax: number = TEXT_CHARS_MAX): Change['to'] {
  if (typeof value === 'string') return value.slice(0, charsMax)
  // The wire has no number for these; as text they still tell.
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

function within (bytes: Uint8Array, max: number): Uint8Array {
  if (bytes.length > max) throw new PlantError('STREAM_TOO_LONG', { bytes: bytes.length, max })
  return bytes
}
