/** A manifest as bytes, signed by its publisher. Reading checks form and bounds; `open-manifest.ts` checks what it says. */
import { z } from 'zod'
import { PlantError, decode, encode, type Crypto, type Signer } from '../kit/index.ts'
import type { Golden } from '../order/golden.ts'
import { GOLDEN_FILES_MAX, GOLDEN_FILE_NAME, goldenIdSchema, goldenSchema } from '../order/golden-schema.ts'
import { hasItemsAtMost } from './cbor-items.ts'
import { HASH_BYTES, IMAGE_CONTEXT, MANIFEST_BYTES_MAX, MANIFEST_ITEMS_MAX, PACKS_MAX, PIECES_MAX, PIECE_BYTES, POSITIONS_MAX, RUNS_MAX } from './constants.ts'
import type { Extent, Manifest, PlaceRun } from './manifest.ts'
import { VarintReader, VarintWriter } from './varints.ts'

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes')
const pieces = z.number().int().min(0).max(PIECES_MAX)

/** Digests of 32 bytes; extents and runs are numbers one after the other (README.md, Manifest). */
const bodySchema = z.strictObject({
  golden: goldenSchema,
  hashes: bytes.refine((hashes) => hashes.length % HASH_BYTES === 0 && hashes.length <= PIECES_MAX * HASH_BYTES, 'must be digests, not too many'),
  places: bytes,
  packs: z.array(z.strictObject({ goldenId: goldenIdSchema, infoHash: z.string().regex(/^[0-9a-f]{40}$/), pieces })).min(1).max(PACKS_MAX),
  files: z.array(z.strictObject({ name: z.string().regex(GOLDEN_FILE_NAME), bytes: z.number().int().min(0).max(POSITIONS_MAX * PIECE_BYTES), extents: bytes })).min(1).max(GOLDEN_FILES_MAX)
})
const signedSchema = z.strictObject({ body: bytes, signature: bytes.refine(({ length }) => length === 64, 'must be 64 bytes') })

/** A manifest read from bytes, with what its signature is over. Nothing of it has been checked but its form. */
export interface ReadManifest { manifest: Manifest, body: Uint8Array, signature: Uint8Array }

/** The manifest in its one form, signed by the plant whose key the description names. */
export function signManifest (crypto: Pick<Crypto, 'sha256'>, signer: Signer, manifest: Manifest): Uint8Array {
  const body = encode({ ...manifest, golden: plain(manifest.golden), places: encodePlaces(manifest.places), files: manifest.files.map(({ extents, ...file }) => ({ ...file, extents: encodeExtents(extents) })) })
  return encode({ body, signature: signer.sign(signedBytes(crypto, body)) })
}

/** What a publisher's signature is over. */
export function signedBytes (crypto: Pick<Crypto, 'sha256'>, body: Uint8Array): Uint8Array { return encode([IMAGE_CONTEXT, crypto.sha256(body)]) }

/** Throws MANIFEST_INVALID. The length is looked at before anything is allocated for it, and so is every count. */
export function readManifest (signed: Uint8Array): ReadManifest {
  if (signed.length > MANIFEST_BYTES_MAX) throw invalid('too long', { bytes: signed.length, max: MANIFEST_BYTES_MAX })
  try {
    const { body, signature } = decode(signedSchema, fewItems(signed))
    const { places, files, ...rest } = decode(bodySchema, fewItems(body))
    const runs: Runs = { left: RUNS_MAX }
    return { body, signature, manifest: { ...rest, places: decodePlaces(places, runs), files: files.map(({ extents, ...file }) => ({ ...file, extents: decodeExtents(extents, runs) })) } }
  } catch (cause) {
    if (!(cause instanceof PlantError) || cause.code !== 'MESSAGE_INVALID') throw cause
    throw new PlantError('MANIFEST_INVALID', { problem: 'not of the expected form', ...cause.details }, { cause })
  }
}

/** MANIFEST_INVALID with what is wrong. */
export function invalid (problem: string, details: Record<string, unknown> = {}): PlantError { return new PlantError('MANIFEST_INVALID', { ...details, problem }) }

/** How many more extents and places the manifest may have. */
interface Runs { left: number }

function fewItems (bytes: Uint8Array): Uint8Array {
  if (!hasItemsAtMost(bytes, MANIFEST_ITEMS_MAX)) throw invalid('too many values', { max: MANIFEST_ITEMS_MAX })
  return bytes
}

/** As it is in a description: fields that are undefined are absent. */
function plain (golden: Golden): Record<string, unknown> { return { ...golden } }

/** Gap to the end of the one before, count, piece. */
function encodeExtents (extents: Extent[]): Uint8Array {
  const out = new VarintWriter()
  let end = 0
  for (const { at, count, piece } of extents) {
    for (const value of [at - end, count, piece]) out.add(value)
    end = at + count
  }
  return out.finish()
}

function decodeExtents (from: Uint8Array, runs: Runs): Extent[] {
  const extents: Extent[] = []
  let end = 0
  for (const [gap, count, piece] of groups(from, runs)) {
    const at = end + gap
    end = at + count
    if (count === 0 || end > POSITIONS_MAX || piece + count > PIECES_MAX) throw invalid('an extent is out of range', { at, count, piece })
    extents.push({ at, count, piece })
  }
  return extents
}

/** Count, pack, index; runs follow each other in the table. */
function encodePlaces (places: PlaceRun[]): Uint8Array {
  const out = new VarintWriter()
  for (const { count, pack, index } of places) for (const value of [count, pack, index]) out.add(value)
  return out.finish()
}

function decodePlaces (from: Uint8Array, runs: Runs): PlaceRun[] {
  const places: PlaceRun[] = []
  let first = 0
  for (const [count, pack, index] of groups(from, runs)) {
    if (count === 0 || pack >= PACKS_MAX || first + count > PIECES_MAX || index + count > PIECES_MAX) throw invalid('a place is out of range', { first, count, pack, index })
    places.push({ first, count, pack, index })
    first += count
  }
  return places
}

function * groups (from: Uint8Array, runs: Runs): Generator<[number, number, number]> {
  const reader = new VarintReader(from)
  while (!reader.ended) {
    if (runs.left-- === 0) throw invalid('too many extents and places', { max: RUNS_MAX })
    const [a, b, c] = [reader.next(), reader.next(), reader.next()]
    if (a === undefined || b === undefined || c === undefined) throw invalid('numbers are cut off or not in their shortest form')
    yield [a, b, c]
  }
}
