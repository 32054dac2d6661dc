/** NBD's messages as bytes: those that the server sends, and the fixed parts of those that it gets. Pure. */
import { BLOCK_BYTES_MIN, BLOCK_BYTES_PREFERRED, EXPORT_FLAGS, FLAG_FIXED_NEWSTYLE, FLAG_NO_ZEROES, INFO, INIT_MAGIC, OPTION_MAGIC, OPTION_REPLY_MAGIC, READ_BYTES_MAX, REPLY, REQUEST_MAGIC, SIMPLE_REPLY_MAGIC } from './constants.ts'

/** Lengths of what comes: the client's flags, the head of an option, the head of a request. */
export const CLIENT_FLAGS_BYTES = 4
export const OPTION_HEAD_BYTES = 16
export const REQUEST_BYTES = 28
/** A client that did not agree to leave them out gets as many zeros after EXPORT_NAME's answer. */
const RESERVED_BYTES = 124

export interface OptionHead { option: number, length: number }
export interface Request { command: number, cookie: bigint, offset: bigint, length: number }

/** What the server says first. */
export function greeting (): Uint8Array {
  return built(18, (view) => {
    view.setBigUint64(0, INIT_MAGIC)
    view.setBigUint64(8, OPTION_MAGIC)
    view.setUint16(16, FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)
  })
}

/** The head of an option, or undefined when it is none. */
export function optionHead (bytes: Uint8Array): OptionHead | undefined {
  const view = viewOf(bytes)
  return view.getBigUint64(0) === OPTION_MAGIC ? { option: view.getUint32(8), length: view.getUint32(12) } : undefined
}

/** A request, or undefined when it is none. */
export function request (bytes: Uint8Array): Request | undefined {
  const view = viewOf(bytes)
  return view.getUint32(0) === REQUEST_MAGIC ? { command: view.getUint16(6), cookie: view.getBigUint64(8), offset: view.getBigUint64(16), length: view.getUint32(24) } : undefined
}

/** The export and the kinds of information that INFO and GO ask for, or undefined when the data is not of that form. */
export function infoRequest (data: Uint8Array): { name: Uint8Array, wanted: number[] } | undefined {
  if (data.length < 6) return undefined
  const view = viewOf(data)
  const nameBytes = view.getUint32(0)
  if (nameBytes > data.length - 6) return undefined
  const count = view.getUint16(4 + nameBytes)
  if (data.length !== 6 + nameBytes + 2 * count) return undefined
  return { name: data.subarray(4, 4 + nameBytes), wanted: Array.from({ length: count }, (_, i) => view.getUint16(6 + nameBytes + 2 * i)) }
}

/** An answer to an option. */
export function optionReply (option: number, kind: number, data: Uint8Array = new Uint8Array()): Uint8Array {
  return built(20 + data.length, (view, bytes) => {
    view.setBigUint64(0, OPTION_REPLY_MAGIC)
    view.setUint32(8, option)
    view.setUint32(12, kind)
    view.setUint32(16, data.length)
    bytes.set(data, 20)
  })
}

/** The one export in a list: its name is empty. */
export function listedExport (option: number): Uint8Array { return optionReply(option, REPLY.server, new Uint8Array(4)) }

/** The answers to INFO and GO that tell of the export. */
export function exportInfo (option: number, exportBytes: number, wanted: number[]): Uint8Array[] {
  const size = built(12, (view) => {
    view.setUint16(0, INFO.export)
    view.setBigUint64(2, BigInt(exportBytes))
    view.setUint16(10, EXPORT_FLAGS)
  })
  const blocks = built(14, (view) => {
    view.setUint16(0, INFO.blockSize)
    view.setUint32(2, BLOCK_BYTES_MIN)
    view.setUint32(6, BLOCK_BYTES_PREFERRED)
    view.setUint32(10, READ_BYTES_MAX)
  })
  const name = built(2, (view) => { view.setUint16(0, INFO.name) })
  return [size, blocks, ...(wanted.includes(INFO.name) ? [name] : [])].map((data) => optionReply(option, REPLY.info, data))
}

/** The answer to EXPORT_NAME, which has no head. */
export function exportAnswer (exportBytes: number, noZeroes: boolean): Uint8Array {
  return built(10 + (noZeroes ? 0 : RESERVED_BYTES), (view) => {
    view.setBigUint64(0, BigInt(exportBytes))
    view.setUint16(8, EXPORT_FLAGS)
  })
}

/** The head of the answer to a request; the bytes that were read follow when there is no error. */
export function simpleReply (cookie: bigint, error: number): Uint8Array {
  return built(16, (view) => {
    view.setUint32(0, SIMPLE_REPLY_MAGIC)
    view.setUint32(4, error)
    view.setBigUint64(8, cookie)
  })
}

function built (length: number, fill: (view: DataView, bytes: Uint8Array) => void): Uint8Array {
  const bytes = new Uint8Array(length)
  fill(viewOf(bytes), bytes)
  return bytes
}

function viewOf (bytes: Uint8Array): DataView { return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
