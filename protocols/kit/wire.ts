/**
 * Messages as bytes: deterministic CBOR (DAG-CBOR, https://ipld.io/specs/codecs/dag-cbor/spec/) checked by a zod schema. Anything off
 * the wire is `unknown` until it has passed both.
 */
import * as dagCbor from '@ipld/dag-cbor'
import type { z } from 'zod'
import { PlantError } from './errors.ts'

/** Encodes a message. Fields that are undefined are left out. */
export function encode (message: unknown): Uint8Array {
  return dagCbor.encode(dropUndefined(message))
}

/** Decodes and checks a message; throws PlantError `MESSAGE_INVALID` with the path of the first offending field. */
export function decode<S extends z.ZodType> (schema: S, bytes: Uint8Array): z.output<S> {
  let value: unknown
  try {
    value = dagCbor.decode(bytes)
  } catch (cause) {
    throw new PlantError('MESSAGE_INVALID', { path: '', problem: 'not DAG-CBOR' }, { cause })
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new PlantError('MESSAGE_INVALID', { path: issue?.path.join('.') ?? '', problem: issue?.message ?? 'invalid' })
}

function dropUndefined (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(dropUndefined)
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined).map(([k, v]) => [k, dropUndefined(v)]))
}
