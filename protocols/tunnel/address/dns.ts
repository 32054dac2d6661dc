/**
 * What a resolver is answered (RFC 1035): names of the network's machines, and nothing else unless the network leads outside. Packets are read and written by the
 * library; a packet that it cannot read is told so.
 */
import { decode, encode, AUTHORITATIVE_ANSWER, RECURSION_AVAILABLE, RECURSION_DESIRED, type Answer, type DecodedPacket, type Question } from 'dns-packet'
import { ipv4Number, ipv4Text, u16 } from '../ethernet.ts'
import { DNS_UDP_BYTES, NAME_TTL_S } from './constants.ts'
import type { NameTable } from './names.ts'

/** `forward`: it is for whoever knows the world's names, as it came. */
export type DnsOutcome = { kind: 'answer', bytes: Uint8Array } | { kind: 'forward' }

const HEADER_BYTES = 12
const RESPONSE = 0x8000
const OPCODE = 0x7800
const NO_ERROR = 0
const FORMAT_ERROR = 1
const NAME_ERROR = 3
const NOT_IMPLEMENTED = 4
const REFUSED = 5
/** Records that a query brings beside its question: options (RFC 6891) and a signature. */
const ADDITIONALS_MAX = 4
const REVERSE = '.in-addr.arpa'

/** The answer to a query; undefined for what is none. `egress`: names of the world are forwarded instead of refused. */
export function answerQuery (bytes: Uint8Array, names: NameTable, egress: boolean): DnsOutcome | undefined {
  if (bytes.length < HEADER_BYTES) return undefined
  const flags = u16(bytes, 2)
  if ((flags & RESPONSE) !== 0) return undefined
  if ((flags & OPCODE) !== 0) return { kind: 'answer', bytes: bare(bytes, NOT_IMPLEMENTED) }
  // Before anything is allocated for what the header announces.
  if (u16(bytes, 4) !== 1 || u16(bytes, 6) !== 0 || u16(bytes, 8) !== 0 || u16(bytes, 10) > ADDITIONALS_MAX) return { kind: 'answer', bytes: bare(bytes, FORMAT_ERROR) }
  let query: DecodedPacket
  try {
    query = decode(Buffer.from(bytes))
  } catch {
    return { kind: 'answer', bytes: bare(bytes, FORMAT_ERROR) } // The library's words would tell the guest nothing.
  }
  const question = query.questions?.[0]
  if (question === undefined) return { kind: 'answer', bytes: bare(bytes, FORMAT_ERROR) }
  const found = lookUp(question, names)
  if (found === undefined && egress) return { kind: 'forward' }
  try {
    return { kind: 'answer', bytes: answer(query, question, found) }
  } catch {
    return { kind: 'answer', bytes: bare(bytes, FORMAT_ERROR) } // A name that was read and cannot be written.
  }
}

/** The records of what is asked for, a code of why there are none, or undefined when it is not of this network. */
function lookUp (question: Question, names: NameTable): Answer[] | number | undefined {
  const name = question.name.toLowerCase().replace(/\.$/, '')
  if (question.class !== undefined && question.class !== 'IN' && question.class !== 'ANY') return undefined
  // ANY, which the library's types leave out.
  const type: string = question.type
  const wants = (record: 'A' | 'PTR'): boolean => type === record || type === 'ANY'
  const reverse = name.endsWith(REVERSE) ? ipv4Number(name.slice(0, -REVERSE.length).split('.').toReversed().join('.')) : undefined
  if (reverse !== undefined) {
    if (!names.hasAddress(reverse)) return undefined
    const hosts = names.namesOf(reverse)
    if (hosts.length === 0) return NAME_ERROR
    return wants('PTR') ? hosts.slice(0, 1).map((host): Answer => ({ type: 'PTR', name: question.name, ttl: NAME_TTL_S, data: host })) : []
  }
  if (!names.hasName(name)) return undefined
  const addresses = names.addressesOf(name)
  if (addresses === undefined) return NAME_ERROR
  return wants('A') ? addresses.map((ip): Answer => ({ type: 'A', name: question.name, ttl: NAME_TTL_S, data: ipv4Text(ip) })) : []
}

function answer (query: DecodedPacket, question: Question, found: Answer[] | number | undefined): Uint8Array {
  const code = found === undefined ? REFUSED : typeof found === 'number' ? found : NO_ERROR
  const hasOptions = query.additionals?.some(({ type }) => type === 'OPT') === true
  const options: Answer[] = hasOptions ? [{ type: 'OPT', name: '.', udpPayloadSize: DNS_UDP_BYTES, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] }] : []
  return encode({
    type: 'response', ...(query.id !== undefined && { id: query.id }),
    flags: (found === undefined ? 0 : AUTHORITATIVE_ANSWER) | RECURSION_AVAILABLE | (query.flag_rd ? RECURSION_DESIRED : 0) | code,
    questions: [question], answers: Array.isArray(found) ? found : [], additionals: options
  })
}

/** A header alone. */
function bare (bytes: Uint8Array, code: number): Uint8Array {
  const reply = new Uint8Array(HEADER_BYTES)
  reply.set(bytes.subarray(0, 3))
  reply[2] = 0x80 | ((bytes[2] ?? 0) & 0x79)
  reply[3] = code
  return reply
}
