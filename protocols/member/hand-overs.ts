/** Hand-overs: whose a machine is to run, from the shop to the plant and on from plant to plant (README.md, Hand-overs). Pure. */
import { PlantError, keyIdOf, type Crypto, type PeerId, type Signer, type VmId } from '../kit/index.ts'
import { CALL_FRESH_MS, HAND_OVER_BYTES_MAX, HAND_OVERS_MAX } from './constants.ts'
import { handOverSchema, openDocument, signDocument, type HandOver } from './messages.ts'

/** A hand-over whose signature holds; `from` is the peer that signed it. */
export interface OpenedHandOver extends HandOver { from: PeerId }

/** What a chain of hand-overs is about: `via` is the shop that the machine's order was signed for. */
export interface HandedMachine { vmId: VmId, orderDigest: string, via: PeerId }

/** Signs, with a peer's key, that a machine is another's (or the peer's own) from now on. */
export function signHandOver (signer: Signer, handOver: HandOver): Uint8Array {
  return signDocument(signer, 'handOver', handOver)
}

/** Opens a signed hand-over: MESSAGE_INVALID or SIGNATURE_INVALID. */
export function openHandOver (crypto: Crypto, signed: Uint8Array): OpenedHandOver {
  const { signer, value } = openDocument(crypto, 'handOver', handOverSchema, signed, HAND_OVER_BYTES_MAX)
  // A peer id is its key's text, as a client's is.
  return { ...value, from: signer as string as PeerId }
}

/**
 * The hand-overs with one more, by the plant that has the machine. The time is later than the one before, whatever the clocks say: the newest
 * proof of a machine is the one that counts. Throws LIMIT when the chain is as long as it may be.
 */
export function handOn (crypto: Crypto, signer: Signer, chain: readonly Uint8Array[], to: PeerId, nowMs: number): Uint8Array[] {
  const last = chain.at(-1)
  if (last === undefined) throw new Error('bug: a machine that nobody was given is handed on')
  if (chain.length >= HAND_OVERS_MAX) throw new PlantError('LIMIT', { bound: 'hand-overs of a machine', max: HAND_OVERS_MAX })
  const { vmId, orderDigest, issuedAtMs, to: holder } = openHandOver(crypto, last)
  if (holder !== keyIdOf(signer.publicKey) as string) throw new PlantError('NOT_AUTHORISED', { vmId, part: 'another plant has the machine' })
  return [...chain, signHandOver(signer, { vmId, orderDigest, to, issuedAtMs: Math.max(nowMs, issuedAtMs + 1) })]
}

/**
 * Whether the chain gives the machine to `peer`: the first by the shop, each further one by the plant before, each later than the one before. Throws
 * NOT_AUTHORISED, MESSAGE_INVALID or SIGNATURE_INVALID; returns since when it is the peer's, by which two proofs of one machine are compared.
 */
export function checkHandOvers (crypto: Crypto, machine: HandedMachine, chain: readonly Uint8Array[], peer: PeerId, nowMs: number): { sinceMs: number } {
  const refuse = (part: string): never => { throw new PlantError('NOT_AUTHORISED', { vmId: machine.vmId, part }) }
  if (chain.length === 0) refuse('nobody has handed the machine over')
  if (chain.length > HAND_OVERS_MAX) refuse('too many hand-overs')
  let holder = machine.via
  let sinceMs = -1
  for (const signed of chain) {
    const { vmId, orderDigest, from, to, issuedAtMs } = openHandOver(crypto, signed)
    if (vmId !== machine.vmId || orderDigest !== machine.orderDigest) refuse('a hand-over is of another machine')
    if (from !== holder) refuse('a hand-over is by a peer that did not have the machine')
    // A plant that gave a machine away does not take it back by its own word; the shop may be the plant.
    if (to === from && sinceMs >= 0) refuse('a hand-over is to the peer that made it')
    if (issuedAtMs <= sinceMs) refuse('the hand-overs are not in order')
    holder = to
    sinceMs = issuedAtMs
  }
  if (holder !== peer) refuse('the machine was handed to another peer')
  if (sinceMs > nowMs + CALL_FRESH_MS) refuse('the hand-over is of the future')
  return { sinceMs }
}
