/** The signed documents (README.md): envelope, calls, credentials, grants. */
import { z } from 'zod'
import { PlantError, decode, encode, isVmId, keyIdOf, publicKeyOf, type Crypto, type KeyId, type PeerId, type Signer, type VmId } from '../kit/index.ts'
import { CREDENTIALS_MAX, DOCUMENT_BYTES_MAX, DOMAIN_CHARS_MAX, NONCE_BYTES, PURPOSES, type Purpose } from './constants.ts'

const bytesOf = (count: number) => z.instanceof(Uint8Array).refine((bytes) => bytes.length === count, `must be ${count} bytes`)
const document = z.instanceof(Uint8Array).refine((bytes) => bytes.length <= DOCUMENT_BYTES_MAX, `at most ${DOCUMENT_BYTES_MAX} bytes`)
const timeMs = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const index = z.number().int().min(0).max(1_000_000)
const domain = z.string().min(1).max(DOMAIN_CHARS_MAX)
const orderId = z.string().min(1).max(253)
const keyId = z.custom<KeyId>((value) => typeof value === 'string' && publicKeyOf(value) !== undefined, 'must be an Ed25519 key as text')
const peerId = z.custom<PeerId>((value) => typeof value === 'string' && publicKeyOf(value) !== undefined, 'must be a peer id')
const vmId = z.custom<VmId>(isVmId, 'must be 32 lower-case hex digits')
// A `NetworkId` of protocols/tunnel, which knows this room.
const networkId = z.string().regex(/^[0-9a-f]{32}$/, 'must be 32 lower-case hex digits')

const envelopeSchema = z.strictObject({ payload: z.instanceof(Uint8Array), publicKey: bytesOf(32), signature: bytesOf(64) })

const common = { via: peerId, issuedAtMs: timeMs, nonce: bytesOf(NONCE_BYTES), credentials: z.array(document).max(CREDENTIALS_MAX).exactOptional() }
const none = z.strictObject({})

/** What a client may ask; each kind with its body. Kinds are only ever appended. */
export const callSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    ...common,
    kind: z.literal('order'),
    // The document is data until `protocols/order` has checked it.
    body: z.strictObject({ orderId, documentIndex: index, copyIndex: index, order: z.record(z.string(), z.unknown()), credential: document.exactOptional() })
  }),
  z.strictObject({ ...common, kind: z.literal('query'), vmId, body: none }),
  z.strictObject({ ...common, kind: z.literal('list'), body: z.strictObject({ all: z.boolean().prefault(false) }) }),
  z.strictObject({
    ...common,
    kind: z.literal('exec'),
    vmId,
    body: z.strictObject({ script: z.string().max(512 * 1024), timeoutMs: z.number().int().min(1).max(86_400_000), stdin: z.instanceof(Uint8Array).exactOptional() })
  }),
  z.strictObject({ ...common, kind: z.literal('console'), vmId, body: none }),
  z.strictObject({ ...common, kind: z.literal('publish'), vmId, body: z.strictObject({ name: z.string().min(1).max(253) }) }),
  z.strictObject({ ...common, kind: z.literal('collect'), vmId, body: none }),
  z.strictObject({ ...common, kind: z.literal('why'), body: z.strictObject({ orderId }) }),
  // A proxy on a network. `via` is the plant that it is attached to, which shows the call to the network's other members.
  z.strictObject({
    ...common,
    kind: z.literal('join'),
    body: z.strictObject({ domain, domainKey: keyId, network: z.string().min(1).max(253), expiresAtMs: timeMs, credential: document.exactOptional() })
  }),
  // All networks in short, or one as each plant has it.
  z.strictObject({ ...common, kind: z.literal('networks'), body: z.strictObject({ network: networkId.exactOptional() }) }),
  z.strictObject({ ...common, kind: z.literal('capture'), body: z.strictObject({ network: networkId, plant: peerId }) })
])
type CheckedCall = z.output<typeof callSchema>
export type CallKind = CheckedCall['kind']

/** A call as its maker writes it down; `signCall` checks it against the schema of its kind. */
export interface Call {
  kind: CallKind
  vmId?: VmId
  body: unknown
  /** The plant whose API takes the call: its shop. Whoever else shows the call is not served. */
  via: PeerId
  issuedAtMs: number
  /** NONCE_BYTES random bytes. */
  nonce: Uint8Array
  /** Signed grants that the caller brings along. */
  credentials?: Uint8Array[]
}

/** Leaves each kind of a union what it is. */
type Opened<T> = T extends unknown ? Omit<T, 'nonce'> & { caller: KeyId, nonce: string } : never
/** A call whose signature holds. `nonce` is text, one namespace a caller, so that nobody uses up another's. */
export type OpenedCall = Opened<CheckedCall>
export type OpenedOrderCall = Extract<OpenedCall, { kind: 'order' }>
export type OpenedNetworkCall = Extract<OpenedCall, { kind: 'networks' | 'capture' }>
export type OpenedJoinCall = Extract<OpenedCall, { kind: 'join' }>

/** "This key may order in my domain", by the domain's key. */
export const credentialSchema = z.strictObject({ domain, owner: keyId, issuedAtMs: timeMs, expiresAtMs: timeMs.exactOptional() })
export type Credential = z.output<typeof credentialSchema>

/** "This key may call the machines of my domain", or no longer, by the domain's key. The newer document of a triple counts. */
export const grantSchema = z.strictObject({ domain, grantee: keyId, issuedAtMs: timeMs, expiresAtMs: timeMs.exactOptional(), revoked: z.boolean() })
export type GrantTerms = z.output<typeof grantSchema>

/** "This machine is yours now", by the shop that its order was signed for or by the plant that had it. */
export const handOverSchema = z.strictObject({ vmId, orderDigest: z.string().regex(/^[0-9a-f]{64}$/), to: peerId, issuedAtMs: timeMs })
export type HandOver = z.output<typeof handOverSchema>

/** Gossip on GRANT_TOPIC. */
export const grantGossipSchema = z.strictObject({ signed: document })

export interface OpenedDocument<T> { signer: KeyId, value: T }

/** Purpose, its length first, then the payload: no two (purpose, payload) pairs give the same bytes. */
function signedBytes (purpose: Purpose, payload: Uint8Array): Uint8Array {
  const prefix = new TextEncoder().encode(PURPOSES[purpose])
  const bytes = new Uint8Array(1 + prefix.length + payload.length)
  bytes[0] = prefix.length
  bytes.set(prefix, 1)
  bytes.set(payload, 1 + prefix.length)
  return bytes
}

/** Signs a value for one purpose: the envelope as it travels. */
export function signDocument (signer: Signer, purpose: Purpose, value: unknown): Uint8Array {
  const payload = encode(value)
  return encode({ payload, publicKey: signer.publicKey, signature: signer.sign(signedBytes(purpose, payload)) })
}

/** Opens an envelope: MESSAGE_INVALID when it is not of the form, SIGNATURE_INVALID when the signature does not hold. */
export function openDocument<S extends z.ZodType> (crypto: Crypto, purpose: Purpose, schema: S, bytes: Uint8Array, bytesMax: number): OpenedDocument<z.output<S>> {
  if (bytes.length > bytesMax) throw new PlantError('MESSAGE_INVALID', { path: '', problem: 'too long', bytes: bytes.length, bytesMax })
  const { payload, publicKey, signature } = decode(envelopeSchema, bytes)
  if (!crypto.verify(publicKey, signedBytes(purpose, payload), signature)) throw new PlantError('SIGNATURE_INVALID', { signer: keyIdOf(publicKey) })
  return { signer: keyIdOf(publicKey), value: decode(schema, payload) }
}
