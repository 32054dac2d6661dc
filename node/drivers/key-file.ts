/**
 * Keys on disk: a plant's, a client's or a domain's. The file is PEM, PKCS #8, of one Ed25519 private key (RFC 8410: what
 * `openssl genpkey -algorithm ed25519` writes), readable by its owner only. One key serves as the plant's peer id as well.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { linkSync, openSync, closeSync, fsyncSync, readFileSync, statSync, unlinkSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { PlantError, keyIdOf } from '../../protocols/kit/index.ts'
import type { KeyId, Log, PeerId, Signer } from '../../protocols/kit/index.ts'
import { makeDirs } from './make-dirs.ts'

/** A real file of one Ed25519 key has 119 bytes; a hundred times that is no key. */
const KEY_FILE_BYTES_MAX = 16_384

/** A private key in memory: signs, and knows its name. */
export class DiskKey implements Signer {
  readonly publicKey: Uint8Array
  /** The key's text form; for a plant's key this is its peer id. */
  readonly keyId: KeyId
  readonly #key: KeyObject

  constructor (key: KeyObject) {
    if (key.asymmetricKeyType !== 'ed25519') throw new PlantError('CONFIG_INVALID', { problem: 'not an Ed25519 key', found: key.asymmetricKeyType })
    this.#key = key
    this.publicKey = new Uint8Array(Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url'))
    this.keyId = keyIdOf(this.publicKey)
  }

  get peerId (): PeerId { return this.keyId as string as PeerId }

  sign (bytes: Uint8Array): Uint8Array { return new Uint8Array(sign(null, bytes, this.#key)) }

  /** The 32 secret bytes (RFC 8032), for the one driver that must hand them to another library. */
  seed (): Uint8Array { return new Uint8Array(Buffer.from(this.#key.export({ format: 'jwk' }).d ?? '', 'base64url')) }
}

/** A key of its own that is nowhere on disk: for tests and for throw-away clients. */
export function makeKey (): DiskKey {
  return new DiskKey(generateKeyPairSync('ed25519').privateKey)
}

/**
 * Reads the key at `path`, or makes one there (directories too, closed to others). Two processes that do so at once end with the same
 * key. A file that others can read is used, with a warning. Throws CONFIG_INVALID when the file is no Ed25519 key.
 */
export function loadOrMakeKey (path: string, log?: Log): DiskKey {
  return loadKey(path, log) ?? (makeKeyFile(path), loadKey(path, log)) ?? fail(path, 'it went away while it was read')
}

/** Reads the key at `path`; undefined when there is none. */
export function loadKey (path: string, log?: Log): DiskKey | undefined {
  let stat
  try {
    stat = statSync(path)
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined
    throw new PlantError('CONFIG_INVALID', { path, problem: 'the key cannot be read' }, { cause })
  }
  if (!stat.isFile() || stat.size > KEY_FILE_BYTES_MAX) fail(path, 'not a key file')
  if ((stat.mode & 0o077) !== 0) log?.warn({ path, mode: (stat.mode & 0o777).toString(8) }, 'others may read this private key; chmod 600 mends it')
  let key: KeyObject
  try {
    key = createPrivateKey(readFileSync(path))
  } catch (cause) {
    throw new PlantError('CONFIG_INVALID', { path, problem: 'not a private key in PEM form' }, { cause })
  }
  return new DiskKey(key)
}

/** Written whole under another name and then linked: a crash leaves no half key, and a second writer does not replace the first's. */
function makeKeyFile (path: string): void {
  try {
    makeDirs(dirname(path), 0o700)
  } catch (cause) {
    throw new PlantError('CONFIG_INVALID', { path, problem: `its directory cannot be made (${codeOf(cause) ?? 'unknown'})` }, { cause })
  }
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' })
  const file = openSync(draft, 'wx', 0o600)
  try {
    writeSync(file, pem.toString())
    fsyncSync(file)
    linkSync(draft, path)
  } catch (cause) {
    if (codeOf(cause) !== 'EEXIST') throw new PlantError('CONFIG_INVALID', { path, problem: 'the key cannot be written' }, { cause })
  } finally {
    closeSync(file)
    unlinkSync(draft)
  }
}

function codeOf (cause: unknown): string | undefined {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
}

function fail (path: string, problem: string): never {
  throw new PlantError('CONFIG_INVALID', { path, problem })
}
