/** Marks, their exchange, and questions of use as bytes (README.md). */
import { z } from 'zod'
import { fromString } from 'uint8arrays'
import { PlantError, decode, encode, isVmId, publicKeyOf, type Crypto, type GoldenId, type KeyId, type Signer, type VmId } from '../kit/index.ts'
import { goldenIdSchema } from '../order/golden-schema.ts'
import { BUCKETS, BUCKET_HASH_BYTES, LABEL, LABEL_ALLOWED, MARK_BYTES_MAX, MARK_CONTEXT, USES_ASKED_MAX, USES_TOLD_MAX } from './constants.ts'

const name = z.string().min(1).max(253)
const version = z.number().int().min(1).max(2 ** 31)
const common = {
  by: z.custom<KeyId>((value) => typeof value === 'string' && publicKeyOf(value) !== undefined, 'not a key'),
  goldenId: goldenIdSchema,
  atMs: z.number().int().min(0).max(2 ** 48)
}
const body = z.discriminatedUnion('kind', [
  z.object({ ...common, kind: z.literal('label'), label: z.string().regex(LABEL, LABEL_ALLOWED), on: z.boolean() }),
  z.object({ ...common, kind: z.literal('pin'), on: z.boolean() }),
  z.object({ ...common, kind: z.literal('removed'), name, version })
])

/**
 * What a key says of a golden machine: that it has a label or no longer, that its last copy is to be kept or no longer, that it is removed. Whether
 * a removal is its signer's to make is for who has the description to see.
 */
export type Mark = z.output<typeof body>
/** A mark as it was signed, which is how it is kept and handed on. */
export type SignedMark = Mark & { signed: Uint8Array, signature: Uint8Array }

const bytes = z.instanceof(Uint8Array)
const envelope = z.object({ body: bytes, signature: bytes.refine((value) => value.length === 64, 'not a signature') })

/** Signs a mark with the key that its `by` names. Throws MESSAGE_INVALID when it is not of its kind's form. */
export function signMark (signer: Signer, mark: Mark): Uint8Array {
  const inner = encode(decode(body, encode(mark)))
  return encode({ body: inner, signature: signer.sign(signedBytes(inner)) })
}

/** Throws MESSAGE_INVALID. The signature is not looked at yet (`isSigned`). */
export function decodeMark (signed: Uint8Array): SignedMark {
  if (signed.length > MARK_BYTES_MAX) throw new PlantError('MESSAGE_INVALID', { path: '', problem: 'too long', bytes: signed.length, bytesMax: MARK_BYTES_MAX })
  const outer = decode(envelope, signed)
  return { ...decode(body, outer.body), signed, signature: outer.signature }
}

/** Whether the mark's own key signed it. */
export function isSigned (crypto: Pick<Crypto, 'verify'>, mark: SignedMark): boolean {
  const publicKey = publicKeyOf(mark.by)
  return publicKey !== undefined && crypto.verify(publicKey, signedBytes(decode(envelope, mark.signed).body), mark.signature)
}

/** Marks of one key are the same one, of which the last written counts, when this is the same. */
export function markKey (mark: Mark): string {
  return `${mark.by}/${mark.goldenId}/${mark.kind}${mark.kind === 'label' ? `/${mark.label}` : ''}`
}

const ask = z.discriminatedUnion('ask', [
  z.object({ ask: z.literal('marks'), have: bytes.refine((value) => value.length === BUCKETS * BUCKET_HASH_BYTES, 'not a summary') }),
  z.object({ ask: z.literal('uses'), goldenIds: z.array(goldenIdSchema).max(USES_ASKED_MAX) })
])
/** What a plant asks another. */
export type TemplateAsk = z.output<typeof ask>

const part = z.object({ marks: z.array(bytes) })
const uses = z.object({
  vmIds: z.array(z.custom<VmId>(isVmId)).max(USES_TOLD_MAX),
  templates: z.array(name).max(USES_TOLD_MAX),
  more: z.boolean()
})
/** Machines and templates that are made from a golden machine; `more`: not all are named. */
export type Uses = z.output<typeof uses>

/** A question as bytes. */
export function encodeTemplateAsk (question: { ask: 'marks', have: Uint8Array } | { ask: 'uses', goldenIds: readonly GoldenId[] }): Uint8Array { return encode(question) }
/** A question off the wire; throws MESSAGE_INVALID. */
export function decodeTemplateAsk (message: Uint8Array): TemplateAsk { return decode(ask, message) }
/** Some marks as bytes, each as it was signed. */
export function encodeMarks (marks: readonly Uint8Array[]): Uint8Array { return encode({ marks }) }
/** Marks off the wire, each still to be checked; throws MESSAGE_INVALID. */
export function decodeMarks (message: Uint8Array): Uint8Array[] { return decode(part, message).marks }
/** What uses a golden machine, as bytes; cut to what a message may name. */
export function encodeUses (told: Uses): Uint8Array {
  const more = told.more || told.vmIds.length > USES_TOLD_MAX || told.templates.length > USES_TOLD_MAX
  return encode({ vmIds: told.vmIds.slice(0, USES_TOLD_MAX), templates: told.templates.slice(0, USES_TOLD_MAX), more })
}
/** What uses a golden machine, off the wire; throws MESSAGE_INVALID. */
export function decodeUses (message: Uint8Array): Uses { return decode(uses, message) }

function signedBytes (inner: Uint8Array): Uint8Array {
  const context = fromString(MARK_CONTEXT, 'ascii')
  const signed = new Uint8Array(context.length + inner.length)
  signed.set(context)
  signed.set(inner, context.length)
  return signed
}
