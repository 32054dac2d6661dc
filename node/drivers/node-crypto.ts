/** Digests and Ed25519 signatures by OpenSSL, through node:crypto: synchronous, about 30 us to sign and 80 us to verify. */
import { createHash, createPublicKey, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { Crypto } from '../../protocols/kit/index.ts'

/** SubjectPublicKeyInfo of an Ed25519 key up to its 32 raw bytes (RFC 8410, 4). */
const SPKI_PREFIX = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00)

/** Parsed keys kept; the least recently used goes first. */
const KEYS_MAX = 1024

export class NodeCrypto implements Crypto {
  readonly #keys = new Map<string, KeyObject>()

  sha256 (bytes: Uint8Array): Uint8Array {
    return new Uint8Array(createHash('sha256').update(bytes).digest())
  }

  verify (publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
    if (publicKey.length !== 32 || signature.length !== 64) return false
    try {
      return verify(null, bytes, this.#key(publicKey), signature)
    } catch {
      return false // Not a point of the curve: no signature of it can be right.
    }
  }

  #key (publicKey: Uint8Array): KeyObject {
    const name = Buffer.from(publicKey).toString('base64')
    const key = this.#keys.get(name) ?? createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' })
    this.#keys.delete(name)
    this.#keys.set(name, key)
    const oldest = this.#keys.size > KEYS_MAX ? this.#keys.keys().next().value : undefined
    if (oldest !== undefined) this.#keys.delete(oldest)
    return key
  }
}
