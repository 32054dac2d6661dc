/**
 * Messages of a tunnel (README.md): one byte of kind, then DAG-CBOR, or for frames the batch itself (batch.ts). Numbers are only ever appended. Whatever comes
 * off the wire is checked here before anyone looks at it.
 */
import { z } from 'zod'
import { PlantError, decode, encode, isVmId, publicKeyOf, type PeerId, type VmId } from '../kit/index.ts'
import { CALL_BYTES_MAX, HAND_OVERS_MAX, HAND_OVER_BYTES_MAX } from '../member/index.ts'
import { MEMBERS_TOLD_MAX, STATIONS_PER_MEMBER_MAX, STATION_ADDRESSES_MAX } from './constants.ts'
import type { MembershipProof, NetworkId, Station } from './types.ts'

/** Kinds of messages. */
export const KIND = { hello: 0, welcome: 1, refusal: 2, stations: 3, frames: 4, members: 5, alive: 6, leave: 7 } as const

const networkId = z.custom<NetworkId>((value) => typeof value === 'string' && /^[0-9a-f]{32}$/.test(value), 'must be 32 lower-case hex digits')
const bytes = (max: number) => z.instanceof(Uint8Array).refine((value) => value.length <= max, `at most ${max} bytes`)
const peerId = z.custom<PeerId>((value) => typeof value === 'string' && publicKeyOf(value) !== undefined, 'must be a peer id')

const proof: z.ZodType<MembershipProof> = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('machine'), signedOrder: bytes(CALL_BYTES_MAX), handOvers: z.array(bytes(HAND_OVER_BYTES_MAX)).max(HAND_OVERS_MAX) }),
  z.strictObject({ kind: z.literal('proxy'), signedCall: bytes(CALL_BYTES_MAX) })
])

/** A card's address: six bytes, of one card (no group). */
export const MAC = /^[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$/
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/
const mac = z.string().regex(MAC, 'must be the address of a card')

const station: z.ZodType<Station> = z.strictObject({
  mac,
  addresses: z.array(z.string().regex(IPV4, 'must be an IPv4 address')).max(STATION_ADDRESSES_MAX),
  vmId: z.custom<VmId>(isVmId, 'must be a VMID').exactOptional(),
  name: z.string().regex(/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/, 'must be a host name').exactOptional(),
  router: z.literal(true).exactOptional()
})

const greeting = { proof, uplink: z.boolean() }
/** From the end that opened the stream: which network, and why it may be there. */
const helloSchema = z.strictObject({ network: networkId, ...greeting })
/** The answer of the other end, with its own proof. */
const welcomeSchema = z.strictObject(greeting)
/** The answer when the stream is not wanted; it is closed after it. */
const refusalSchema = z.strictObject({ code: z.enum(['NOT_AUTHORISED', 'NOT_HERE', 'BUSY', 'LIMIT']) })
const told = z.strictObject({ station, proof })
/** What the sender's stations are: changes, or with `snapshot` (`more` and last `end`) all of them anew. */
const stationsSchema = z.strictObject({
  add: z.array(told).max(STATIONS_PER_MEMBER_MAX),
  remove: z.array(mac).max(STATIONS_PER_MEMBER_MAX),
  uplink: z.boolean(),
  snapshot: z.enum(['more', 'end']).exactOptional()
})
const membersSchema = z.strictObject({ peers: z.array(peerId).max(MEMBERS_TOLD_MAX) })

export type Hello = z.output<typeof helloSchema>
export type Welcome = z.output<typeof welcomeSchema>
export type Refusal = z.output<typeof refusalSchema>
export type Stations = z.output<typeof stationsSchema>
export type ToldStation = Stations['add'][number]

/** A message that is not frames. */
export type Control =
  | { t: 'hello' } & Hello
  | { t: 'welcome' } & Welcome
  | { t: 'refusal' } & Refusal
  | { t: 'stations' } & Stations
  | { t: 'members', peers: PeerId[] }
  | { t: 'alive' }
  | { t: 'leave' }

const none = z.strictObject({})
const SCHEMAS = { hello: helloSchema, welcome: welcomeSchema, refusal: refusalSchema, stations: stationsSchema, members: membersSchema, alive: none, leave: none } as const
const NAMES = new Map<number, Control['t']>(Object.entries(KIND).filter(([name]) => name !== 'frames').map(([name, kind]) => [kind, name as Control['t']]))

/** A message as bytes. */
export function encodeControl ({ t, ...fields }: Control): Uint8Array {
  if (t === 'alive' || t === 'leave') return Uint8Array.of(KIND[t])
  const body = encode(fields)
  const message = new Uint8Array(1 + body.length)
  message[0] = KIND[t]
  message.set(body, 1)
  return message
}

/** A message from bytes; throws MESSAGE_INVALID. Frames are for `openBatch`. */
export function decodeControl (message: Uint8Array): Control {
  const t = NAMES.get(message[0] ?? -1)
  if (t === undefined) throw new PlantError('MESSAGE_INVALID', { path: '', problem: 'of no known kind' })
  if (t === 'alive' || t === 'leave') {
    if (message.length !== 1) throw new PlantError('MESSAGE_INVALID', { path: '', problem: 'longer than its kind' })
    return { t }
  }
  return { t, ...decode(SCHEMAS[t], message.subarray(1)) } as Control
}

/** Whether a message is a batch of frames. */
export function isBatch (message: Uint8Array): boolean { return message[0] === KIND.frames }
