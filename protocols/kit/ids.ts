/** Identifiers: branded, so that one kind is never handed over for another. */
import { base58btc } from 'multiformats/bases/base58'

declare const brand: unique symbol
/** A type of its own for values that are alike. */
export type Branded<T, B extends string> = T & { readonly [brand]: B }

/** A peer's libp2p identity in its text form (`12D3Koo…`). */
export type PeerId = Branded<string, 'PeerId'>
/** A machine: 32 lower-case hex digits, see `order/vmid.ts`. */
export type VmId = Branded<string, 'VmId'>
/** A golden machine: 32 lower-case hex digits, the digest of its description. */
export type GoldenId = Branded<string, 'GoldenId'>
/** What an action does: 64 lower-case hex digits, see `order/digest.ts`. */
export type ActionDigest = Branded<string, 'ActionDigest'>
/** A client's or a domain's public key as text: the libp2p peer id of that Ed25519 key (`12D3Koo…`). */
export type KeyId = Branded<string, 'KeyId'>
/** A reservation that an award made. */
export type LeaseId = Branded<string, 'LeaseId'>

// Protobuf KeyType Ed25519 (08 01), 32 bytes of data (12 20), inside an identity multihash (00 24): the libp2p peer-id spec.
const KEY_ID_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)

/** The text form of an Ed25519 public key (32 raw bytes). */
export function keyIdOf (publicKey: Uint8Array): KeyId {
  const bytes = new Uint8Array(KEY_ID_PREFIX.length + 32)
  bytes.set(KEY_ID_PREFIX)
  bytes.set(publicKey.subarray(0, 32), KEY_ID_PREFIX.length)
  return base58btc.baseEncode(bytes) as KeyId
}

/** The 32 raw bytes of a key in text form, or undefined when the text is no Ed25519 key. */
export function publicKeyOf (keyId: string): Uint8Array | undefined {
  if (keyId.length > 64) return undefined
  let bytes: Uint8Array
  try {
    bytes = base58btc.baseDecode(keyId)
  } catch {
    return undefined // Not base58: the answer says so, and there is nothing else to keep.
  }
  if (bytes.length !== KEY_ID_PREFIX.length + 32) return undefined
  return KEY_ID_PREFIX.every((byte, i) => bytes[i] === byte) ? bytes.slice(KEY_ID_PREFIX.length) : undefined
}

/** Whether this is a VMID in its one form. */
export function isVmId (value: unknown): value is VmId {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)
}
