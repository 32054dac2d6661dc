/** A golden machine's description as it is kept on disk: checked when it is read, and named by its digest. */
import { sha256 } from '@noble/hashes/sha2.js'
import { z } from 'zod'
import { PlantError, encode, toHex, type ActionDigest, type GoldenId, publicKeyOf, type KeyId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'

/** The file in a golden machine's directory that is no part of the machine. */
export const DESCRIPTION_FILE = 'description.json'
/** A file's name: no path, nothing hidden. */
export const GOLDEN_FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
export const GOLDEN_FILES_MAX = 64
/** 500 actions with 256 outputs of a few hundred characters; more is not read. */
export const DESCRIPTION_BYTES_MAX = 16 * 1024 * 1024

const name = z.string().min(1).max(253)
const hex = (digits: number): RegExp => new RegExp(`^[0-9a-f]{${digits}}$`)
const size = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const goldenId = z.string().regex(hex(32)).transform((text) => text as GoldenId)

const goldenSchema = z.strictObject({
  goldenId,
  name,
  os: name,
  hardware: z.strictObject({ isa: name, cpus: size.min(1), memoryMiB: size.min(1), diskMiB: size }),
  lineFingerprint: z.string().max(1024),
  actionsDone: z.array(z.strictObject({
    digest: z.string().regex(hex(64)).transform((text) => text as ActionDigest), id: name, outputs: z.record(z.string(), z.string())
  })).max(10_000),
  files: z.array(z.strictObject({ name: z.string().regex(GOLDEN_FILE_NAME), bytes: size, sha256: z.string().regex(hex(64)) })).min(1).max(GOLDEN_FILES_MAX),
  createdAtMs: size,
  publishedBy: z.strictObject({ domain: z.string().max(253), domainKey: z.custom<KeyId>((value) => typeof value === 'string' && publicKeyOf(value) !== undefined) }).exactOptional(),
  from: goldenId.exactOptional()
})

/** The digest of all but the id: what is altered is another golden machine. */
export function goldenIdOf (description: Omit<Golden, 'goldenId'>): GoldenId {
  return toHex(sha256(encode(['plantmesh/golden/v1', description])).subarray(0, 16)) as GoldenId
}

/** Reads a description. Throws GOLDEN_CORRUPT with the problem when it is not one, or not the one that its id names. */
export function parseDescription (text: string): Golden {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new PlantError('GOLDEN_CORRUPT', { file: DESCRIPTION_FILE, problem: 'not JSON' }, { cause })
  }
  const parsed = goldenSchema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new PlantError('GOLDEN_CORRUPT', { file: DESCRIPTION_FILE, path: issue?.path.join('.') ?? '', problem: issue?.message ?? 'invalid' })
  }
  const { goldenId: expected, ...rest } = parsed.data
  const found = goldenIdOf(rest)
  if (found !== expected) throw new PlantError('GOLDEN_CORRUPT', { file: DESCRIPTION_FILE, expected, found })
  return parsed.data
}
