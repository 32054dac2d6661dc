/** Whether a peer may be on a network (README.md, Membership). Pure but for the question after grants. */
import { PlantError, type Crypto, type PeerId, type VmId } from '../kit/index.ts'
import { checkHandOvers, checkJoin, credentialEndMs, domainOfOrder, openCall, vmIdOfOrder, type GrantsAsked } from '../member/index.ts'
import { checkOrder, networksOf, orderDigest } from '../order/index.ts'
import type { MembershipProof, NetworkName } from './types.ts'

/** What a sound proof shows. */
export interface Membership {
  /** The machine that the peer has; none for a client's own end. */
  vmId?: VmId
  /** Since when it has it: of two sound proofs of one machine the later counts. */
  sinceMs: number
  /** When it ends by itself (wall-clock time), or Infinity. */
  untilMs: number
  /** It rests on a grant, which may be revoked. */
  granted: boolean
  /** The order lets the machine pass on packets of other addresses. */
  router: boolean
  /** Addresses that the order asks for on this network. */
  ordered?: readonly string[]
}

export interface ProofComponents { crypto: Crypto, grants: GrantsAsked }

/**
 * What the proof shows for `peer`, whom the stream (or this plant itself) vouches for, on this network now. Throws NOT_AUTHORISED with the part that does not
 * hold, MESSAGE_INVALID, SIGNATURE_INVALID, CALL_MISDIRECTED, ORDER_INVALID, or the signal's reason.
 */
export async function checkProof (c: ProofComponents, proof: MembershipProof, peer: PeerId, network: NetworkName, nowMs: number, signal?: AbortSignal): Promise<Membership> {
  return proof.kind === 'machine' ? ofMachine(c.crypto, proof, peer, network, nowMs) : ofProxy(c, proof.signedCall, peer, network, nowMs, signal)
}

function ofMachine (crypto: Crypto, { signedOrder, handOvers }: Extract<MembershipProof, { kind: 'machine' }>, peer: PeerId, network: NetworkName, nowMs: number): Membership {
  const call = openCall(crypto, signedOrder)
  if (call.kind !== 'order') throw new PlantError('MESSAGE_INVALID', { path: 'signedOrder', problem: 'not an order' })
  const { domain, domainKey } = domainOfOrder(crypto, call, nowMs)
  if (domain !== network.domain || domainKey !== network.domainKey) throw new PlantError('NOT_AUTHORISED', { part: 'the order is of another domain' })
  const order = checkOrder(call.body.order)
  const on = networksOf(order).filter(({ name }) => name === network.name)
  if (on.length === 0) throw new PlantError('NOT_AUTHORISED', { part: 'the order is for another network' })
  const vmId = vmIdOfOrder(call)
  const { sinceMs } = checkHandOvers(crypto, { vmId, orderDigest: orderDigest(order), via: call.via }, handOvers, peer, nowMs)
  const ordered = on.flatMap(({ address }) => address ?? [])
  return { vmId, sinceMs, untilMs: credentialEndMs(crypto, call) ?? Infinity, granted: false, router: on.some(({ router }) => router === true), ...(ordered.length > 0 && { ordered }) }
}

async function ofProxy ({ crypto, grants }: ProofComponents, signedCall: Uint8Array, peer: PeerId, network: NetworkName, nowMs: number, signal?: AbortSignal): Promise<Membership> {
  const call = openCall(crypto, signedCall)
  if (call.kind !== 'join') throw new PlantError('MESSAGE_INVALID', { path: 'signedCall', problem: 'not a join' })
  const { body, via, issuedAtMs } = call
  if (body.domain !== network.domain || body.domainKey !== network.domainKey || body.network !== network.name) throw new PlantError('NOT_AUTHORISED', { part: 'the call is for another network' })
  if (via !== peer) throw new PlantError('CALL_MISDIRECTED', { via, by: peer })
  const { untilMs, granted } = await checkJoin(crypto, call, nowMs, grants, signal)
  return { sinceMs: issuedAtMs, untilMs, granted, router: false }
}
