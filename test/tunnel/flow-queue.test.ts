import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CODEL_INTERVAL_MS, CODEL_TARGET_MS, FLOWS_MAX, FRAME_BYTES_MAX, FRAME_COST_BYTES } from '../../protocols/tunnel/constants.ts'
import { flowOf } from '../../protocols/tunnel/flow-hash.ts'
import { FlowQueue } from '../../protocols/tunnel/flow-queue.ts'
import type { Frame } from '../../protocols/tunnel/types.ts'
import { packet } from './frames.ts'

const size = ({ bytes }: Frame): number => bytes.length
const one = (queue: FlowQueue, nowMs: number): Uint8Array | undefined => queue.take(nowMs, 1, size)[0]?.bytes
const udp = (flow: number, mark = 0, payloadBytes = 1_400): Frame => ({ bytes: packet({ from: 1, to: 2, sourcePort: flow, mark, payloadBytes }) })
const portOf = (frame: Uint8Array | undefined): number => frame === undefined ? -1 : ((frame[34] ?? 0) << 8) | (frame[35] ?? 0)

describe('which flow a frame is of', () => {
  test('is the same for all of a flow, both ways of splitting a packet, and others for others', () => {
    const seen = new Set(Array.from({ length: 500 }, (_, port) => flowOf(udp(port).bytes, 7, 1 << 30)))
    expect(seen.size).toBe(500)
    expect(flowOf(udp(5, 1).bytes, 7, FLOWS_MAX)).toBe(flowOf(udp(5, 2, 30).bytes, 7, FLOWS_MAX))
  })

  test('leaves the ports out when a packet is in fragments, as only the first has them', () => {
    const fragment = (port: number, word: number): Uint8Array => {
      const { bytes } = udp(port)
      new DataView(bytes.buffer).setUint16(20, word)
      return bytes
    }
    expect(flowOf(fragment(1, 0x2000), 7, 1 << 30)).toBe(flowOf(fragment(2, 0x00b9), 7, 1 << 30))
    expect(flowOf(fragment(1, 0x4000), 7, 1 << 30)).not.toBe(flowOf(fragment(2, 0x4000), 7, 1 << 30))
  })

  test('looks through a tag, and at the cards when it is no IP', () => {
    const tagged = (port: number): Uint8Array => {
      const { bytes } = udp(port)
      return Uint8Array.from([...bytes.subarray(0, 12), 0x81, 0, 0, 5, ...bytes.subarray(12)])
    }
    expect(flowOf(tagged(5), 7, 1 << 30)).not.toBe(flowOf(tagged(6), 7, 1 << 30))
    const arp = (last: number): Uint8Array => Uint8Array.from([...new Uint8Array(11), last, 0x08, 0x06, 1, 2, 3])
    expect(flowOf(arp(1), 7, 1 << 30)).not.toBe(flowOf(arp(2), 7, 1 << 30))
  })

  test('is a number in range whatever the bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), fc.integer(), (bytes, seed) => {
      const flow = flowOf(bytes, seed, FLOWS_MAX)
      return Number.isInteger(flow) && flow >= 0 && flow < FLOWS_MAX
    }))
    expect(flowOf(new Uint8Array(FRAME_BYTES_MAX), 1, FLOWS_MAX)).toBeLessThan(FLOWS_MAX)
  })
})

describe('a flow queue', () => {
  test('lets a flow that sends seldom pass one that fills the queue', () => {
    const queue = new FlowQueue(1)
    for (let i = 0; i < 500; i++) queue.push(udp(1, i % 256), 0)
    for (let i = 0; i < 3; i++) one(queue, 0)
    queue.push(udp(2), 1)
    expect(portOf(one(queue, 1))).toBe(2)
  })

  test('shares by bytes between flows of long and of short frames', () => {
    const queue = new FlowQueue(1)
    for (let i = 0; i < 1_000; i++) queue.push(udp(1, 0, 100), 0)
    for (let i = 0; i < 200; i++) queue.push(udp(2, 0, 1_458), 0)
    for (let i = 0; i < 10; i++) queue.push({ bytes: packet({ from: 1, to: 2, sourcePort: 3, payloadBytes: 60_000 }) }, 0)
    const sent = new Map<number, number>()
    for (let bytes = 0; bytes < 500_000;) {
      const frame = one(queue, 0)
      if (frame === undefined) break
      const cost = frame.length + FRAME_COST_BYTES
      bytes += cost
      sent.set(portOf(frame), (sent.get(portOf(frame)) ?? 0) + cost)
    }
    const shares = [1, 2, 3].map((flow) => sent.get(flow) ?? 0)
    expect(Math.max(...shares) / Math.min(...shares)).toBeLessThan(1.6)
  })

  test('keeps the order of each flow, whatever is pushed, taken and dropped', () => {
    const act = fc.oneof(fc.record({ flow: fc.nat(5), bytes: fc.constantFrom(1, 100, 1_400, 30_000) }), fc.record({ take: fc.nat(9), afterMs: fc.nat(60) }))
    fc.assert(fc.property(fc.array(act, { maxLength: 400 }), (acts) => {
      const queue = new FlowQueue(3, 100_000)
      const last = new Map<number, number>()
      let nowMs = 0
      let count = 0
      for (const doing of acts) {
        if ('flow' in doing) {
          const frame = udp(doing.flow, 0, Math.max(5, doing.bytes))
          new DataView(frame.bytes.buffer).setUint32(43, ++count)
          queue.push(frame, nowMs)
        } else {
          nowMs += doing.afterMs
          for (const { bytes } of queue.take(nowMs, doing.take * 1_500, size)) {
            const number = new DataView(bytes.buffer).getUint32(43)
            expect(number).toBeGreaterThan(last.get(portOf(bytes)) ?? 0)
            last.set(portOf(bytes), number)
          }
        }
        expect(queue.bytes).toBeLessThanOrEqual(100_000)
      }
    }))
  })

  test('has as many frames as went in and did not come out or get dropped', () => {
    const queue = new FlowQueue(3, 50_000)
    let taken = 0
    for (let i = 0; i < 1_000; i++) {
      queue.push(udp(i % 7), i)
      if (i % 3 === 0) taken += queue.take(i, 2_000, size).length
    }
    while (one(queue, 2_000) !== undefined) taken++
    expect(taken + queue.drops.full + queue.drops.late).toBe(1_000)
    expect(queue.frames).toBe(0)
    expect(queue.bytes).toBe(0)
    expect(queue.flows).toBe(0)
  })

  test('drops from the flow that holds most when it is full, and from no other', () => {
    const queue = new FlowQueue(1, 200_000)
    for (let i = 0; i < 5; i++) queue.push(udp(2, i), 0)
    for (let i = 0; i < 10_000; i++) queue.push(udp(1), 0)
    expect(queue.bytes).toBeLessThanOrEqual(200_000)
    expect(queue.drops.full).toBeGreaterThan(9_000)
    const frames = queue.take(0, 1_000_000, size)
    expect(frames.filter(({ bytes }) => portOf(bytes) === 2)).toHaveLength(5)
  })

  test('is bounded in frames and flows as well when a flood of short frames of all flows comes', () => {
    const queue = new FlowQueue(1)
    for (let i = 0; i < 100_000; i++) queue.push({ bytes: packet({ from: 1, to: 2, sourcePort: i % 65_536, destinationPort: i >>> 16, payloadBytes: 1 }) }, 0)
    expect(queue.flows).toBeLessThanOrEqual(FLOWS_MAX)
    expect(queue.frames).toBeLessThan(12_000)
  })

  test('drops from a flow that is never short for an interval, ever faster, and lets a sparse one be', () => {
    const queue = new FlowQueue(1)
    let sparse = 0
    // 1 frame a millisecond goes out, 2 of the hog come in; 20 times a second one of the sparse flow.
    for (let nowMs = 0; nowMs < 5_000; nowMs++) {
      queue.push(udp(1), nowMs)
      queue.push(udp(1), nowMs)
      if (nowMs % 50 === 0) queue.push(udp(2, 0, 50), nowMs)
      if (portOf(one(queue, nowMs)) === 2) sparse++
    }
    expect(sparse).toBe(100)
    expect(queue.drops.late).toBeGreaterThan(100)
  })

  test('drops nothing when the queue empties within each interval', () => {
    const queue = new FlowQueue(1)
    for (let burst = 0; burst < 20; burst++) {
      for (let i = 0; i < 50; i++) queue.push(udp(1), burst * 200)
      for (let i = 0; i < 50; i++) one(queue, burst * 200 + i)
    }
    expect(queue.drops).toEqual({ late: 0, full: 0 })
  })

  test('drops nothing of a queue of one longest frame, however long that takes to be sent', () => {
    const queue = new FlowQueue(1)
    for (let nowMs = 0; nowMs < 10_000; nowMs += 500) {
      queue.push(udp(1), nowMs)
      expect(one(queue, nowMs + 20 * CODEL_TARGET_MS + CODEL_INTERVAL_MS)).toBeDefined()
    }
    expect(queue.drops).toEqual({ late: 0, full: 0 })
  })

  test('gives frames in batches that keep to their bound, but for a frame that alone is longer', () => {
    const queue = new FlowQueue(1)
    queue.push({ bytes: new Uint8Array(5_000) }, 0)
    for (let i = 0; i < 10; i++) queue.push(udp(1), 0)
    const sizes: number[] = []
    for (let frames = queue.take(0, 4_000, size); frames.length > 0; frames = queue.take(0, 4_000, size)) sizes.push(frames.reduce((sum, frame) => sum + size(frame), 0))
    expect(sizes.filter((bytes) => bytes > 4_000)).toEqual([5_000])
    expect(queue.frames).toBe(0)
  })
})
