/**
 * What a shop hands to plants with a call for bids and with an award: the client's signed order, and the claim under which the shop makes
 * it. The bid protocol carries it as bytes and looks at nothing of it.
 */
import { z } from 'zod'
import { decode, encode } from '../../protocols/kit/index.ts'

const ticketSchema = z.strictObject({
  signedOrder: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  /** The shop's claim of the VMID (`protocols/claim`), which the plant confirms before it starts. */
  claimId: z.string().max(64),
  /** The registrars could not be reached by majority: the machine is marked so, until the mesh heals. */
  provisional: z.boolean()
})
export type Ticket = z.infer<typeof ticketSchema>

/** A ticket as the bytes that the bid protocol carries. */
export function encodeTicket (ticket: Ticket): Uint8Array { return encode(ticket) }

/** Throws MESSAGE_INVALID. */
export function decodeTicket (bytes: Uint8Array): Ticket { return decode(ticketSchema, bytes) }
