/** Clients, plants and what they sign, for tests of networks. */
import { makeKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { keyIdOf, type KeyId, type PeerId, type Signer, type VmId } from '../../protocols/kit/index.ts'
import { openCall, signCall, signCredential, signHandOver, vmIdOfOrder, type GrantsAsked } from '../../protocols/member/index.ts'
import { checkOrder, orderDigest } from '../../protocols/order/index.ts'
import type { MembershipProof, NetworkName } from '../../protocols/tunnel/index.ts'

export const crypto = new NodeCrypto()
export const START_MS = Date.UTC(2026, 0, 1)
export const noGrants: GrantsAsked = { take () {}, holds: async () => false }

export interface Party { signer: Signer, id: PeerId, key: KeyId }

export function party (): Party {
  const signer = makeKey()
  const key = keyIdOf(signer.publicKey)
  return { signer, key, id: key as string as PeerId }
}

/** The network `lan` of the owner's own domain. */
export function lanOf (owner: Party, name = 'lan', domain = 'lab'): NetworkName { return { domainKey: owner.key, domain, name } }

export interface OrderOf { owner: Party, shop: Party, network?: NetworkName, orderId?: string, issuedAtMs?: number, credential?: Uint8Array, router?: boolean }

export interface SignedMachine { vmId: VmId, digest: string, signedOrder: Uint8Array, shop: Party }

/** An order for one machine on a network, signed for a shop. */
export function machineOf ({ owner, shop, network = lanOf(owner), orderId = 'o-1', issuedAtMs = START_MS, credential, router = false }: OrderOf): SignedMachine {
  const order = { apiVersion: 'plantmesh/v1', kind: 'Machine', domain: network.domain, network: { name: network.name, ...(router && { router }) }, software: { os: 'tiny' } }
  const signedOrder = signCall(owner.signer, { kind: 'order', via: shop.id, body: { orderId, documentIndex: 0, copyIndex: 0, order, ...(credential && { credential }) }, issuedAtMs, nonce: new Uint8Array(16) })
  const call = openCall(crypto, signedOrder)
  if (call.kind !== 'order') throw new Error('not an order')
  return { vmId: vmIdOfOrder(call), digest: orderDigest(checkOrder(call.body.order)), signedOrder, shop }
}

/** The proof of the plant that the shop gave the machine to, at a time. */
export function proofOf ({ vmId, digest, signedOrder, shop }: SignedMachine, plant: PeerId, issuedAtMs = START_MS): MembershipProof {
  return { kind: 'machine', signedOrder, handOvers: [signHandOver(shop.signer, { vmId, orderDigest: digest, to: plant, issuedAtMs })] }
}

/** A client's own end, joined from a plant. */
export function joinOf (by: Party, plant: PeerId, network: NetworkName, untilMs = START_MS + 3_600_000, issuedAtMs = START_MS): MembershipProof {
  const { domain, domainKey, name } = network
  return { kind: 'proxy', signedCall: signCall(by.signer, { kind: 'join', via: plant, body: { domain, domainKey, network: name, expiresAtMs: untilMs }, issuedAtMs, nonce: new Uint8Array(16) }) }
}

/** "This owner may order in my domain." */
export function credentialOf (domain: Party, owner: Party, name: string, expiresAtMs?: number): Uint8Array {
  return signCredential(domain.signer, { domain: name, owner: owner.key, issuedAtMs: START_MS, ...(expiresAtMs !== undefined && { expiresAtMs }) })
}
