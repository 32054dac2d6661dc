/** Keys of clients as ssh writes them (RFC 8709): an Ed25519 key is one and the same there and here. */
import { publicKeyOf, type KeyId } from '../../protocols/kit/index.ts'

/** What ssh calls these keys. */
export const SSH_ED25519 = 'ssh-ed25519'

/** The public key as ssh's messages carry it: two strings, each with its length in four bytes. */
export function sshKeyBlob (publicKey: Uint8Array): Uint8Array {
  const name = new TextEncoder().encode(SSH_ED25519)
  const blob = new Uint8Array(4 + name.length + 4 + publicKey.length)
  const view = new DataView(blob.buffer)
  view.setUint32(0, name.length)
  blob.set(name, 4)
  view.setUint32(4 + name.length, publicKey.length)
  blob.set(publicKey, 8 + name.length)
  return blob
}

/** `ssh-ed25519 AAAA…`, as in `authorized_keys`, without a comment. */
export function sshKeyText (publicKey: Uint8Array): string { return `${SSH_ED25519} ${btoa(String.fromCharCode(...sshKeyBlob(publicKey)))}` }

/** The same from a key's name; undefined when it is none. */
export function sshKeyOf (keyId: KeyId): string | undefined {
  const publicKey = publicKeyOf(keyId)
  return publicKey && sshKeyText(publicKey)
}
