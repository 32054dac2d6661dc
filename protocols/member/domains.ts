/** Domains: who may order in one, who may call its machines (README.md, Domains). Pure. */
import { PlantError, toHex, type Crypto, type KeyId, type Signer } from '../kit/index.ts'
import { domainNameOf } from './calls.ts'
import { DOCUMENT_BYTES_MAX, GRANT_SPACE } from './constants.ts'
import { credentialSchema, grantSchema, openDocument, signDocument, type Credential, type GrantTerms, type OpenedOrderCall } from './messages.ts'

/** Whose a machine is: what a plant's record says of it. */
export interface Ownership { owner: KeyId, domain: string, domainKey: KeyId }

/** A grant whose signature holds; `signed` are its bytes as they travel. */
export interface Grant extends GrantTerms { domainKey: KeyId, signed: Uint8Array }

/** Signs, with the domain's key, that a key may order in the domain. */
export function signCredential (domainSigner: Signer, credential: Credential): Uint8Array {
  return signDocument(domainSigner, 'credential', credential)
}

/** Signs, with the domain's key, that a key may call the domain's machines, or with `revoked` that it may no longer. */
export function signGrant (domainSigner: Signer, terms: GrantTerms): Uint8Array {
  return signDocument(domainSigner, 'grant', terms)
}

/** Opens a signed grant: MESSAGE_INVALID or SIGNATURE_INVALID. */
export function openGrant (crypto: Crypto, signed: Uint8Array): Grant {
  const { signer, value } = openDocument(crypto, 'grant', grantSchema, signed, DOCUMENT_BYTES_MAX)
  return { ...value, domainKey: signer, signed }
}

/**
 * Whose domain an order's machine belongs to: (name, key). Without a credential the owner's own key speaks for the domain, so that equal
 * names of different owners stay different domains. Throws NOT_AUTHORISED when the credential is another's, for another domain or over.
 */
export function domainOfOrder (crypto: Crypto, call: OpenedOrderCall, nowMs: number): { domain: string, domainKey: KeyId } {
  const domain = domainNameOf(call)
  if (call.body.credential === undefined) return { domain, domainKey: call.caller }
  const { signer, value } = openDocument(crypto, 'credential', credentialSchema, call.body.credential, DOCUMENT_BYTES_MAX)
  const refuse = (part: string): never => { throw new PlantError('NOT_AUTHORISED', { call: 'order', domain, part }) }
  if (value.domain !== domain) refuse('the credential is for another domain')
  if (value.owner !== call.caller) refuse('the credential is for another key')
  if (value.expiresAtMs !== undefined && nowMs >= value.expiresAtMs) refuse('the credential has expired')
  return { domain, domainKey: signer }
}

/** When the credential that an order brings ends; undefined when it brings none, or one without an end. It is not checked here (`domainOfOrder` does). */
export function credentialEndMs (crypto: Crypto, call: OpenedOrderCall): number | undefined {
  const { credential } = call.body
  return credential && openDocument(crypto, 'credential', credentialSchema, credential, DOCUMENT_BYTES_MAX).value.expiresAtMs
}

/** The newer of two grants of one triple counts; of two of one instant the revocation, and then the greater bytes, so that all agree. */
export function supersedes (a: Grant, b: Grant): boolean {
  if (a.issuedAtMs !== b.issuedAtMs) return a.issuedAtMs > b.issuedAtMs
  if (a.revoked !== b.revoked) return a.revoked
  return toHex(a.signed) > toHex(b.signed)
}

/** Whether a grant, the newest of its triple, lets its grantee in now. */
export function isInForce (grant: GrantTerms, nowMs: number): boolean {
  return !grant.revoked && (grant.expiresAtMs === undefined || nowMs < grant.expiresAtMs)
}

/** Whether a key may call a machine: its owner may, the domain's key may, and keys that the domain's key has granted; nobody else. */
export function mayCall (machine: Ownership, caller: KeyId, grants: Iterable<Grant>, nowMs: number): boolean {
  if (caller === machine.owner || caller === machine.domainKey) return true
  let newest: Grant | undefined
  for (const grant of grants) {
    if (grant.domainKey !== machine.domainKey || grant.domain !== machine.domain || grant.grantee !== caller) continue
    if (newest === undefined || supersedes(grant, newest)) newest = grant
  }
  return newest !== undefined && isInForce(newest, nowMs)
}

/**
 * Where the directory keeps a grant: `grant/<domain key>/<grantee>/<digest of the domain's name>`. A key may speak for several domains
 * (an owner's own does), and their names may hold what a directory key may not.
 */
export function grantKey (crypto: Crypto, grant: { domainKey: KeyId, domain: string, grantee: KeyId }): string {
  const name = toHex(crypto.sha256(new TextEncoder().encode(grant.domain)).subarray(0, 16))
  return `${GRANT_SPACE}/${grant.domainKey}/${grant.grantee}/${name}`
}

/** What the directory's validator of GRANT_SPACE checks: the value belongs to the key and its signature holds. Throws otherwise. */
export function checkGrantRecord (crypto: Crypto, key: string, value: Uint8Array): void {
  // Keys reach validators with or without a slash in front, as the table writes them.
  if (key.replace(/^\//, '') !== grantKey(crypto, openGrant(crypto, value))) throw new PlantError('MESSAGE_INVALID', { path: 'key', problem: 'a grant of another key' })
}

/** What the directory's selector of GRANT_SPACE does: the index of the grant that counts; values that do not open are passed over. */
export function newestGrantRecord (crypto: Crypto, values: readonly Uint8Array[]): number {
  let best: { at: number, grant: Grant } | undefined
  for (const [at, value] of values.entries()) {
    let grant: Grant
    try {
      grant = openGrant(crypto, value)
    } catch {
      continue // Validated before, so it hardly happens; a broken value never wins over a sound one.
    }
    if (best === undefined || supersedes(grant, best.grant)) best = { at, grant }
  }
  return best?.at ?? 0
}

/** Both rules as the directory's driver takes them. */
export function grantRules (crypto: Crypto): { validate (key: string, value: Uint8Array): void, select (key: string, values: Uint8Array[]): number } {
  return {
    validate: (key, value) => { checkGrantRecord(crypto, key, value) },
    select: (_key, values) => newestGrantRecord(crypto, values)
  }
}
