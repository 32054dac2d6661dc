/** A machine's name in the mesh follows from what asked for it: asked twice, through whichever peers, it is one machine. */
import { sha256 } from '@noble/hashes/sha2.js'
import { encode, toHex, type KeyId, type VmId } from '../kit/index.ts'

export interface VmIdSource {
  owner: KeyId
  domain: string
  /** Made by the client; free text. */
  orderId: string
  /** Which document of the order file, from 0. */
  documentIndex: number
  /** Which of `--count` copies, from 0. */
  copyIndex: number
}

/** The first 128 bits of SHA-256 over deterministic CBOR, as 32 lower-case hex digits: no two owners can meet by chance or on purpose. */
export function vmIdOf (source: VmIdSource): VmId {
  const { owner, domain, orderId, documentIndex, copyIndex } = source
  return toHex(sha256(encode(['plantmesh/vm/v1', owner, domain, orderId, documentIndex, copyIndex])).subarray(0, 16)) as VmId
}
