/** Messages of the holdings streams (README.md, "Holdings"). Numbers are only ever appended. */
import { z } from 'zod'
import { PlantError, decode, encode, type GoldenId } from '../kit/index.ts'
import { goldenIdOf, goldenIdSchema, goldenSchema } from '../order/golden-schema.ts'
import type { Golden } from '../order/golden.ts'
import { hasItemsAtMost } from './cbor-items.ts'
import { DESCRIBE_AT_ONCE_MAX, DESCRIPTION_SENT_BYTES_MAX, DESCRIPTION_SENT_ITEMS_MAX, HOLDINGS_LISTED_MAX, SUMMARY_BYTES } from './holdings-limits.ts'
import { holdingSchema, type Holding } from './holdings.ts'
import type { AgedHoldings } from './holdings-core.ts'

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes')

const askSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal(0) }),
  z.object({ t: z.literal(1), goldenIds: z.array(goldenIdSchema).min(1).max(DESCRIBE_AT_ONCE_MAX) }),
  z.object({ t: z.literal(2), os: z.string().min(1).max(253) }),
  z.object({ t: z.literal(3), goldenIds: z.array(goldenIdSchema).min(1).max(DESCRIBE_AT_ONCE_MAX) }),
  z.object({ t: z.literal(4), have: bytes.refine(({ length }) => length === SUMMARY_BYTES, 'not a summary') })
])
/** 0: all that you were told. 1: the descriptions of these. 2: what you hold of this family, name or id. 3: which of these you have and keep for now. 4: what you were told and this summary has not. */
export type HoldingsAsk = z.infer<typeof askSchema>

const handedSchema = z.object({ told: z.array(z.object({ message: bytes, ageMs: z.number().int().min(0).max(2 ** 48) })) })
const describedSchema = z.object({ goldenId: goldenIdSchema, description: bytes.refine(({ length }) => length <= DESCRIPTION_SENT_BYTES_MAX, 'too long').optional() })
const keptSchema = z.object({ kept: z.array(goldenIdSchema).max(DESCRIBE_AT_ONCE_MAX) })
const heldSchema = z.object({ holdings: z.array(holdingSchema).max(HOLDINGS_LISTED_MAX) })

/** Encoders and decoders; decoders throw MESSAGE_INVALID. */
export const encodeHoldingsAsk = (ask: HoldingsAsk): Uint8Array => encode(ask)
export const decodeHoldingsAsk = (message: Uint8Array): HoldingsAsk => decode(askSchema, message)
export const encodeHanded = (told: AgedHoldings[]): Uint8Array => encode({ told })
export const decodeHanded = (message: Uint8Array): AgedHoldings[] => decode(handedSchema, message).told
export const encodeHeld = (holdings: Holding[]): Uint8Array => encode({ holdings })
export const encodeKept = (kept: GoldenId[]): Uint8Array => encode({ kept })
export const decodeKept = (message: Uint8Array): GoldenId[] => decode(keptSchema, message).kept
export const decodeHeld = (message: Uint8Array): Holding[] => decode(heldSchema, message).holdings

/** A description to hand over; without one when it is not here, not offered, or too long. */
export function encodeDescribed (goldenId: GoldenId, golden: Golden | undefined): Uint8Array {
  const description = golden === undefined ? undefined : encode(golden)
  const isSent = description !== undefined && description.length <= DESCRIPTION_SENT_BYTES_MAX && hasItemsAtMost(description, DESCRIPTION_SENT_ITEMS_MAX)
  return encode({ goldenId, ...(isSent && { description }) })
}

/** The description in a message, checked to be the one that its id names; undefined where the plant gave none. Throws MESSAGE_INVALID. */
export function decodeDescribed (message: Uint8Array): { goldenId: GoldenId, golden: Golden | undefined, sizeBytes: number } {
  const { goldenId, description } = decode(describedSchema, message)
  if (description === undefined) return { goldenId, golden: undefined, sizeBytes: 0 }
  if (!hasItemsAtMost(description, DESCRIPTION_SENT_ITEMS_MAX)) throw new PlantError('MESSAGE_INVALID', { path: 'description', problem: 'too many values' })
  const golden: Golden = decode(goldenSchema, description)
  const { goldenId: own, ...rest } = golden
  return { goldenId, golden: own === goldenId && goldenIdOf(rest) === own ? golden : undefined, sizeBytes: description.length }
}
