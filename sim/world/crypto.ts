/**
 * Digests are real; signatures are a model: who holds a secret can make one, who does not cannot, and anybody can check it. A signature is a
 * digest over secret and bytes, and checking looks the secret up: a thousand times cheaper than Ed25519, with the same promises inside the world.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { keyIdOf, toHex, type Crypto, type KeyId, type Random, type Signer } from '../../protocols/kit/index.ts'

/** Bytes of keys, and of the signature as Ed25519 has it. */
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64

/** A key of the world: its signer, and its name as a peer, client or domain. */
export interface SimKey extends Signer { readonly id: KeyId }

/** Every key of one world. Only the ring knows secrets; plants get signers and the port Crypto. */
export class KeyRing implements Crypto {
  readonly #secrets = new Map<string, Uint8Array>()

  /** Makes a key out of chance. */
  make (random: Random): SimKey {
    const secret = random.bytes(KEY_BYTES)
    const publicKey = sha256(secret)
    this.#secrets.set(toHex(publicKey), secret)
    return { publicKey, id: keyIdOf(publicKey), sign: (bytes) => signature(secret, bytes) }
  }

  sha256 (bytes: Uint8Array): Uint8Array { return sha256(bytes) }

  verify (publicKey: Uint8Array, bytes: Uint8Array, given: Uint8Array): boolean {
    const secret = this.#secrets.get(toHex(publicKey))
    if (secret === undefined || given.length !== SIGNATURE_BYTES) return false
    return signature(secret, bytes).every((byte, i) => byte === given[i])
  }
}

function signature (secret: Uint8Array, bytes: Uint8Array): Uint8Array {
  const digest = sha256.create().update(secret).update(bytes).digest()
  const made = new Uint8Array(SIGNATURE_BYTES)
  made.set(digest)
  made.set(digest, digest.length)
  return made
}
