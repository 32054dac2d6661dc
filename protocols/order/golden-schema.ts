/** A golden machine's description as `unknown` becomes one: checked field by field, and named by its digest. */
import { sha256 } from '@noble/hashes/sha2.js'
import { z } from 'zod'
import { encode, publicKeyOf, toHex, type ActionDigest, type GoldenId, type KeyId } from '../kit/index.ts'
import type { Golden } from './golden.ts'

/** A file's name: no path, nothing hidden. */
export const GOLDEN_FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** Files that a golden machine may have: kernel, initrd, memory, state and some disks are eight. */
export const GOLDEN_FILES_MAX = 64

const name = z.string().min(1).max(253)
const hex = (digits: number): RegExp => new RegExp(`^[0-9a-f]{${digits}}$`)
const size = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const keyId = z.custom<KeyId>((value) => typeof value === 'string' && publicKeyOf(value) !== undefined)

/** 32 lower-case hex digits. */
export const goldenIdSchema = z.string().regex(hex(32)).transform((text) => text as GoldenId)

const fileSchema = z.strictObject({ name: z.string().regex(GOLDEN_FILE_NAME), bytes: size, sha256: z.string().regex(hex(64)).exactOptional(), root: z.string().regex(hex(64)).exactOptional() })
  .refine((file) => (file.sha256 === undefined) !== (file.root === undefined), { message: 'needs either root or sha256' })

/** A whole description; whether its id is its digest is for the reader to compare (`goldenIdOf`). */
export const goldenSchema = z.strictObject({
  goldenId: goldenIdSchema,
  name,
  os: name,
  hardware: z.strictObject({ isa: name, cpus: size.min(1), memoryMiB: size.min(1), diskMiB: size }),
  lineFingerprint: z.string().max(1024),
  actionsDone: z.array(z.strictObject({
    digest: z.string().regex(hex(64)).transform((text) => text as ActionDigest), id: name, outputs: z.record(z.string(), z.string())
  })).max(10_000),
  files: z.array(fileSchema).min(1).max(GOLDEN_FILES_MAX),
  createdAtMs: size,
  publishedBy: z.strictObject({ domain: z.string().max(253), domainKey: keyId }).exactOptional(),
  version: z.number().int().min(1).max(2 ** 31).exactOptional(),
  from: goldenIdSchema.exactOptional(),
  publisher: keyId.exactOptional()
}) satisfies z.ZodType<Golden>

/** The digest of all but the id: what is altered is another golden machine. */
export function goldenIdOf (description: Omit<Golden, 'goldenId'>): GoldenId {
  return toHex(sha256(encode(['plantmesh/golden/v1', description])).subarray(0, 16)) as GoldenId
}
