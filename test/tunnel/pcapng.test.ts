/** Captures are files that others read: checked against the format's own layout, block by block. */
import { expect, test } from 'vitest'
import { toHex } from '../../protocols/kit/index.ts'
import { captureDrops, captureFrame, captureHead } from '../../protocols/tunnel/pcapng.ts'

test('a capture begins with a section of unknown length and one Ethernet interface', () => {
  expect(toHex(captureHead())).toBe('0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c0000000100000014000000010000000000040014000000')
})

test('a frame is a packet block, padded to four bytes, in microseconds', () => {
  const block = captureFrame(1_700_000_000_000.5, Uint8Array.of(1, 2, 3, 4, 5))
  const us = 1_700_000_000_000_500n
  const view = new DataView(block.buffer)
  expect([view.getUint32(0, true), view.getUint32(4, true), view.getUint32(block.length - 4, true)]).toEqual([6, 40, 40])
  expect((BigInt(view.getUint32(12, true)) << 32n) | BigInt(view.getUint32(16, true))).toBe(us)
  expect([view.getUint32(20, true), view.getUint32(24, true)]).toEqual([5, 5])
  expect([...block.subarray(28, 36)]).toEqual([1, 2, 3, 4, 5, 0, 0, 0])
})

test('frames of no length and of the longest are whole blocks, and clocks before 1970 do not matter', () => {
  expect(captureFrame(0, new Uint8Array(0))).toHaveLength(32)
  expect(captureFrame(0, new Uint8Array(65_535))).toHaveLength(32 + 65_536)
  expect(captureFrame(-1, new Uint8Array(4))).toHaveLength(36)
})

test('frames that were left out are counted by the interface', () => {
  const block = captureDrops(1, 7)
  const view = new DataView(block.buffer)
  expect([view.getUint32(0, true), block.length, view.getUint16(20, true), view.getUint16(22, true), view.getBigUint64(24, true), view.getUint32(32, true)]).toEqual([5, 40, 5, 8, 7n, 0])
})
