/** Frames at the other end of a machine's network card, for tests. */
import type { Duplex } from 'node:stream'
import { until } from '../lines/tiny-machine.ts'

/** Ethernet, IPv4 and ICMP before an echo request's data. */
export const ECHO_HEAD_BYTES = 14 + 20 + 8
/** Longest frame that a card without offloads hands over; a reader out of step would soon see a longer one. */
const FRAME_BYTES_MAX = 65_550

/** Reads frames (u32 big-endian length, frame); what it returns waits for the next one that is wanted. */
export function readFrames (port: Duplex): (wanted: (frame: Buffer) => boolean) => Promise<Buffer> {
  let buffer = Buffer.alloc(0)
  const frames: Buffer[] = []
  let problem: Error | undefined
  port.on('data', (piece: Buffer) => {
    buffer = Buffer.concat([buffer, piece])
    while (buffer.length >= 4) {
      const bytes = buffer.readUInt32BE(0)
      if (bytes < 14 || bytes > FRAME_BYTES_MAX) problem = new Error(`a frame of ${bytes} bytes: out of step`)
      if (problem !== undefined || buffer.length < 4 + bytes) return
      frames.push(buffer.subarray(4, 4 + bytes))
      buffer = buffer.subarray(4 + bytes)
    }
  })
  return async (wanted) => await until(async () => {
    if (problem !== undefined) throw problem
    return frames.splice(0).find(wanted)
  })
}

/** A frame as ports carry it. */
export function framed (frame: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(frame.length)
  return Buffer.concat([length, frame])
}

/** Who has `target`? Tell `sender` (RFC 826), padded to Ethernet's least. */
export function arpRequest (sender: string, target: string): Buffer {
  const hex = (address: string): string => address.split('.').map((part) => Number(part).toString(16).padStart(2, '0')).join('')
  const mac = '020000009901'
  return Buffer.concat([Buffer.from(`ffffffffffff${mac}08060001080006040001${mac}${hex(sender)}000000000000${hex(target)}`, 'hex'), Buffer.alloc(18)])
}
