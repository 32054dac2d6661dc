/** Messages of the image protocol (README.md, Streams). Numbers are only ever appended. */
import { z } from 'zod'
import { decode, encode, type GoldenId } from '../kit/index.ts'
import { GOLDEN_FILE_NAME, goldenIdSchema } from '../order/golden-schema.ts'
import { INFO_BYTES_MAX, MANIFEST_BYTES_MAX, PART_BYTES_MAX, TRACE_BYTES_MAX } from './constants.ts'

const askSchema = z.union([z.object({ goldenId: goldenIdSchema }), z.object({ traceOf: goldenIdSchema, file: z.string().regex(GOLDEN_FILE_NAME) })])
/** Asks for a golden machine's manifest and its own pack's info dictionary, or for the order in which machines read one of its files: a plant that does not know that ask resets the stream. */
export type ImageAsk = { goldenId: GoldenId } | { traceOf: GoldenId, file: string }

const tellSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal(0), manifestBytes: z.number().int().min(1).max(MANIFEST_BYTES_MAX), infoBytes: z.number().int().min(1).max(INFO_BYTES_MAX) }),
  z.object({ t: z.literal(1), bytes: z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length > 0 && value.length <= PART_BYTES_MAX, 'must be bytes, not too many') }),
  z.object({ t: z.literal(2) }),
  z.object({ t: z.literal(3), runs: z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= TRACE_BYTES_MAX, 'must be bytes, not too many') })
])
/** 0: it is here, and so long. 1: the next bytes of manifest and info dictionary, one after the other. 2: it is not here. 3: the order in which a file is read (`read-runs.ts`). */
export type ImageTell = z.infer<typeof tellSchema>

/** Encoders and decoders; decoders throw MESSAGE_INVALID. */
export const encodeImageAsk = (ask: ImageAsk): Uint8Array => encode(ask)
export const decodeImageAsk = (bytes: Uint8Array): ImageAsk => decode(askSchema, bytes)
export const encodeImageTell = (tell: ImageTell): Uint8Array => encode(tell)
export const decodeImageTell = (bytes: Uint8Array): ImageTell => decode(tellSchema, bytes)
