/**
 * Batches: frames as they go through a tunnel, many in one message. A record is u32be, whose top bit says that a 10-byte offload header comes first and whose other
 * bits are the length of all that follows of the record. What comes is looked at where it lies: the frames are views of the message.
 */
import { PlantError } from '../kit/index.ts'
import { BATCH_BYTES_MAX, FRAME_BYTES_MAX, FRAME_BYTES_MIN, OFFLOAD_BYTES } from './constants.ts'
import { KIND } from './messages.ts'
import type { Frame } from './types.ts'

const LENGTH_BYTES = 4
const OFFLOAD_BIT = 0x8000_0000
/** Shorter frames are copied together: a piece of its own costs more than copying so much. */
const COPIED_BYTES_MAX = 4 * 1024

/** What a frame takes up in a batch. */
export function recordBytes (frame: Frame): number {
  return LENGTH_BYTES + (frame.offload === undefined ? 0 : OFFLOAD_BYTES) + frame.bytes.length
}

/** The frames as the pieces of one message; long ones are not copied. Frames over FRAME_BYTES_MAX are the caller's to leave out. */
export function packBatch (frames: readonly Frame[]): Uint8Array[] {
  let copiedBytes = 1
  for (const frame of frames) copiedBytes += frame.bytes.length > COPIED_BYTES_MAX ? recordBytes(frame) - frame.bytes.length : recordBytes(frame)
  const room = new Uint8Array(copiedBytes)
  const view = new DataView(room.buffer)
  const pieces: Uint8Array[] = []
  room[0] = KIND.frames
  let at = 1
  let from = 0
  for (const { bytes, offload } of frames) {
    view.setUint32(at, offload === undefined ? bytes.length : (OFFLOAD_BIT | (bytes.length + OFFLOAD_BYTES)) >>> 0)
    at += LENGTH_BYTES
    if (offload !== undefined) {
      room.set(offload, at)
      at += OFFLOAD_BYTES
    }
    if (bytes.length > COPIED_BYTES_MAX) {
      pieces.push(room.subarray(from, at), bytes)
      from = at
    } else {
      room.set(bytes, at)
      at += bytes.length
    }
  }
  if (at > from) pieces.push(room.subarray(from, at))
  return pieces
}

/** The frames of a batch, in order; throws MESSAGE_INVALID for lengths that lie, frames beyond the bounds, or a batch over its own. */
export function openBatch (message: Uint8Array): Frame[] {
  if (message.length > 1 + BATCH_BYTES_MAX) throw invalid('a batch is longer than it may be')
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  const frames: Frame[] = []
  let at = 1
  while (at < message.length) {
    if (message.length - at < LENGTH_BYTES) throw invalid('a batch ends in the middle of a length')
    const word = view.getUint32(at)
    const hasOffload = (word & OFFLOAD_BIT) !== 0
    const length = word & ~OFFLOAD_BIT
    const header = hasOffload ? OFFLOAD_BYTES : 0
    at += LENGTH_BYTES
    if (length < header || length > message.length - at) throw invalid('a frame is not as long as it says')
    if (length - header < FRAME_BYTES_MIN || length - header > FRAME_BYTES_MAX) throw invalid('a frame is shorter or longer than it may be')
    const bytes = message.subarray(at + header, at + length)
    frames.push(hasOffload ? { bytes, offload: message.subarray(at, at + header) } : { bytes })
    at += length
  }
  return frames
}

function invalid (problem: string): PlantError { return new PlantError('MESSAGE_INVALID', { path: 'frames', problem }) }
