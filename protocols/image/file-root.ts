/** What binds every byte of a file to its description: the digest over its length and the digests of its pieces. */
import { encode, toHex, type Crypto } from '../kit/index.ts'
import { HASH_BYTES, ROOT_CONTEXT } from './constants.ts'
import { positionsOf, type ImageFile, type Manifest } from './manifest.ts'

/** Positions of zeros count as 32 zero bytes. The caller has bounded the file's length and extents: 32 bytes are allocated for each position. */
export function fileRoot (crypto: Pick<Crypto, 'sha256'>, file: Pick<ImageFile, 'bytes' | 'extents'>, hashes: Manifest['hashes']): string {
  const head = encode([ROOT_CONTEXT, file.bytes])
  const all = new Uint8Array(head.length + positionsOf(file.bytes) * HASH_BYTES)
  all.set(head)
  for (const { at, count, piece } of file.extents) all.set(hashes.subarray(piece * HASH_BYTES, (piece + count) * HASH_BYTES), head.length + at * HASH_BYTES)
  return toHex(crypto.sha256(all))
}
