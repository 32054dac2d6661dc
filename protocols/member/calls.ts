/** Calls of clients: signed once, checked by every plant that is asked (README.md, Calls). */
import { PlantError, encode, decode, toHex, type Crypto, type PeerId, type Signer, type VmId } from '../kit/index.ts'
import { DOMAIN_DEFAULT } from '../order/constants.ts'
import { vmIdOf } from '../order/vmid.ts'
import { CALL_BYTES_MAX, CALL_FRESH_MS } from './constants.ts'
import { callSchema, openDocument, signDocument, type Call, type OpenedCall, type OpenedOrderCall } from './messages.ts'

/** Signs a call. Throws MESSAGE_INVALID when the call is not of its kind's form or too long: the maker's mistake, found before it is sent. */
export function signCall (signer: Signer, call: Call): Uint8Array {
  decode(callSchema, encode(call))
  const bytes = signDocument(signer, 'call', call)
  if (bytes.length > CALL_BYTES_MAX) throw new PlantError('MESSAGE_INVALID', { path: '', problem: 'too long', bytes: bytes.length, bytesMax: CALL_BYTES_MAX })
  return bytes
}

/** Opens a signed call: form and signature. Freshness, replay and authority are for the caller to check. */
export function openCall (crypto: Crypto, bytes: Uint8Array): OpenedCall {
  const { signer, value } = openDocument(crypto, 'call', callSchema, bytes, CALL_BYTES_MAX)
  return { ...value, caller: signer, nonce: `${signer}/${toHex(value.nonce)}` }
}

/** Throws CALL_STALE, with the difference, when a call was signed more than CALL_FRESH_MS ago or ahead. */
export function checkFresh (call: Pick<OpenedCall, 'issuedAtMs'>, nowMs: number): void {
  const behindMs = nowMs - call.issuedAtMs
  if (Math.abs(behindMs) > CALL_FRESH_MS) throw new PlantError('CALL_STALE', { behindMs, allowedMs: CALL_FRESH_MS })
}

/**
 * Throws CALL_MISDIRECTED when another than the shop that the call was signed for shows it. Each plant on a call's way learns all of it, and who
 * asks for bids shows the order to many: none of them can use it with the plant that has the machine.
 */
export function checkVia (call: Pick<OpenedCall, 'via'>, shop: PeerId): void {
  if (call.via !== shop) throw new PlantError('CALL_MISDIRECTED', { via: call.via, by: shop })
}

/** What remembers the nonces of calls that were honoured; `Records` does. */
export interface SeenCalls {
  /** False when it was honoured before. Throws LIMIT when there is no room for it. */
  seenCall (call: Pick<OpenedCall, 'caller' | 'nonce'>, expiresAtMs: number): boolean
}

/**
 * Lets a call whose caller may make it through once; throws CALL_REPLAYED, or LIMIT. What was refused needs no such memory. A nonce is remembered for
 * twice the window, so that a wall clock set back by the whole window still finds it.
 */
export function honourOnce (call: OpenedCall, nowMs: number, seen: SeenCalls): void {
  if (!seen.seenCall(call, Math.max(nowMs, call.issuedAtMs) + 2 * CALL_FRESH_MS)) throw new PlantError('CALL_REPLAYED', { kind: call.kind })
}

/** The domain an order's document names; the default where it names none. What is no text is refused when the order is checked. */
export function domainNameOf (call: OpenedOrderCall): string {
  const named = call.body.order['domain']
  return typeof named === 'string' ? named : DOMAIN_DEFAULT
}

/** The machine that a signed order makes. */
export function vmIdOfOrder (call: OpenedOrderCall): VmId {
  const { orderId, documentIndex, copyIndex } = call.body
  return vmIdOf({ owner: call.caller, domain: domainNameOf(call), orderId, documentIndex, copyIndex })
}
