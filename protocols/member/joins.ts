/** Join calls: who lets a client's own end onto a network (README.md, Joins). Pure but for the question after grants. */
import { PlantError, type Crypto, type KeyId } from '../kit/index.ts'
import { CALL_FRESH_MS, DOCUMENT_BYTES_MAX, JOIN_MS_MAX } from './constants.ts'
import { credentialSchema, openDocument, type OpenedJoinCall } from './messages.ts'

/** What answers whether a key is granted; `Grants` does. */
export interface GrantsAsked {
  take (signed: Uint8Array): void
  holds (domain: string, domainKey: KeyId, grantee: KeyId, signal?: AbortSignal): Promise<boolean>
}

/**
 * Throws NOT_AUTHORISED unless the caller of a `join` may put its own end onto the domain's networks now: the domain's key may, who holds its
 * credential, and keys that it has granted. `untilMs` is when to ask again at the latest; a grant may be revoked before.
 */
export async function checkJoin (crypto: Crypto, call: OpenedJoinCall, nowMs: number, grants: GrantsAsked, signal?: AbortSignal): Promise<{ untilMs: number, granted: boolean }> {
  const { domain, domainKey, expiresAtMs, credential } = call.body
  const refuse = (part: string): never => { throw new PlantError('NOT_AUTHORISED', { call: 'join', domain, part }) }
  if (nowMs >= expiresAtMs) refuse('the call has expired')
  if (call.issuedAtMs > nowMs + CALL_FRESH_MS) refuse('the call is of the future')
  if (expiresAtMs - call.issuedAtMs > JOIN_MS_MAX) refuse('the call lets in for too long')
  if (call.caller === domainKey) return { untilMs: expiresAtMs, granted: false }
  if (credential !== undefined) return { untilMs: Math.min(expiresAtMs, credentialUntilMs(crypto, call, credential, nowMs)), granted: false }
  for (const signed of call.credentials ?? []) grants.take(signed)
  if (!await grants.holds(domain, domainKey, call.caller, signal)) refuse('the key is neither the domain\'s nor granted by it')
  return { untilMs: expiresAtMs, granted: true }
}

/** Until when a credential that the call brings lets its caller in; throws NOT_AUTHORISED when it does not. */
function credentialUntilMs (crypto: Crypto, call: OpenedJoinCall, credential: Uint8Array, nowMs: number): number {
  const { signer, value } = openDocument(crypto, 'credential', credentialSchema, credential, DOCUMENT_BYTES_MAX)
  const { domain, domainKey } = call.body
  const untilMs = value.expiresAtMs ?? Infinity
  if (signer !== domainKey || value.domain !== domain || value.owner !== call.caller || nowMs >= untilMs) {
    throw new PlantError('NOT_AUTHORISED', { call: 'join', domain, part: 'the credential is another\'s, for another domain, or has expired' })
  }
  return untilMs
}
