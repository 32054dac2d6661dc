/** Messages of the machine protocol (README.md) and the JSON form of a machine (CONTRACT.md, "A machine, as JSON"). */
import { z } from 'zod'
import { decode, encode } from '../kit/index.ts'
import { DROPPED_TOLD_MAX } from '../order/index.ts'
import { PIECE_BYTES_MAX } from './constants.ts'
import { networkToldSchema, type NetworkTold } from './network-told.ts'

/** States of a machine (CONTRACT.md, "A machine, as JSON"). */
export const MACHINE_STATES = ['creating', 'running', 'suspended', 'migrating', 'failed', 'collected'] as const
export type MachineStateName = typeof MACHINE_STATES[number]

const shortText = z.string().max(1024)

/** A failure as it is told to others. */
export const errorReportSchema = z.object({
  code: z.string().max(64),
  message: z.string().max(4096),
  details: z.record(z.string(), z.unknown()),
  hint: z.string().max(4096)
})

/** A machine as everybody sees it, as it crosses the wire. */
export const machineViewSchema = z.object({
  vmid: z.string().regex(/^[0-9a-f]{32}$/),
  name: shortText,
  state: z.enum(MACHINE_STATES),
  plant: shortText,
  owner: shortText,
  domain: shortText,
  orderId: shortText,
  labels: z.record(shortText, shortText),
  provisional: z.boolean().optional(),
  attributes: z.record(shortText, z.union([z.string(), z.number(), z.boolean()])),
  classad: z.string(),
  golden: z.object({ name: shortText, version: z.number().int().optional(), actionsDone: z.array(shortText), actionsRun: z.array(shortText), actionsMended: z.array(shortText).optional() }).optional(),
  /** Outputs of actions that were left out: how many, and some of them with the reason. */
  outputsDropped: z.object({ count: z.number().int().min(0), some: z.array(shortText).max(DROPPED_TOLD_MAX) }).optional(),
  phasesMs: z.record(shortText, z.number()),
  error: errorReportSchema.optional()
})
/** A machine as everybody sees it. */
export type MachineView = z.infer<typeof machineViewSchema>

const piece = z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= PIECE_BYTES_MAX, 'not bytes, or too many')

/** From the asker. Message numbers: 0 call, 1 input, 2 end. */
export const askSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal(0), signedCall: z.custom<Uint8Array>((value) => value instanceof Uint8Array) }),
  z.object({ t: z.literal(1), bytes: piece }),
  z.object({ t: z.literal(2) })
])
export type Ask = z.infer<typeof askSchema>

/** From the plant. Message numbers: 0 machine, 1 machines, 2 progress, 3 output, 4 exit, 5 golden, 6 done, 7 error, 8 networks. */
export const tellSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal(0), machine: machineViewSchema }),
  z.object({ t: z.literal(1), machines: z.array(machineViewSchema) }),
  z.object({ t: z.literal(2), step: shortText, share: z.number().min(0).max(1) }),
  z.object({ t: z.literal(3), source: z.enum(['stdout', 'stderr']), bytes: piece }),
  z.object({ t: z.literal(4), status: z.number().int() }),
  z.object({ t: z.literal(5), golden: z.record(z.string(), z.unknown()) }),
  z.object({ t: z.literal(6) }),
  z.object({ t: z.literal(7), error: errorReportSchema }),
  z.object({ t: z.literal(8), networks: z.array(networkToldSchema) })
])
export type Tell = z.infer<typeof tellSchema>

/** What an asker sends, as bytes. */
export function encodeAsk (ask: Ask): Uint8Array { return encode(ask) }
/** What an asker sent; throws MESSAGE_INVALID. */
export function decodeAsk (bytes: Uint8Array): Ask { return decode(askSchema, bytes) }
/** What a plant tells, as bytes. */
export function encodeTell (tell: Tell): Uint8Array { return encode(tell) }
/** What a plant told; throws MESSAGE_INVALID. */
export function decodeTell (bytes: Uint8Array): Tell { return decode(tellSchema, bytes) }

/** What a caller is sent while a call goes on. */
export type CallEvent =
  | { kind: 'progress', step: string, share: number }
  | { kind: 'output', source: 'stdout' | 'stderr', bytes: Uint8Array }
  | { kind: 'machines', machines: MachineView[] }
  | { kind: 'networks', networks: NetworkTold[] }

/** How a call ended. */
export type CallAnswer =
  | { kind: 'machine', machine: MachineView }
  | { kind: 'exit', status: number }
  | { kind: 'golden', golden: Record<string, unknown> }
  | { kind: 'done' }
