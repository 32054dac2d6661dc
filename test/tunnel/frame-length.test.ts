/** What an MTU allows, also of frames whose cutting and sums were left to others. */
import { describe, expect, test } from 'vitest'
import { wholeBench } from './switch-bench.ts'
import { ethernet, ip, ipv4, mac } from './switch-frames.ts'

const m1 = mac(1)
const m2 = mac(2)

describe('MTU', () => {
  const ofBytes = (bytes: number, more = {}): Uint8Array => ipv4({ to: m2, from: m1, source: ip(1), contents: new Uint8Array(bytes - 20), ...more })
  const tcp = (bytes: number): Uint8Array => {
    const contents = new Uint8Array(bytes - 20)
    contents[12] = 0x80
    return ipv4({ to: m2, from: m1, source: ip(1), contents })
  }
  const header = (flags: number, kind: number, segment: number, start = 34, offset = 16): Uint8Array => {
    const bytes = Uint8Array.of(flags, kind, 66, 0, segment & 0xff, segment >> 8, 0, 0, 0, 0)
    bytes.set([start & 0xff, start >> 8, offset & 0xff, offset >> 8], 6)
    return bytes
  }

  test('a packet of the MTU passes, tagged or not, and one byte more does not', () => {
    const bench = wholeBench()
    expect(bench.from('m1', ofBytes(1500))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', ofBytes(1500, { tag: 3 }))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', ofBytes(1501))).toMatchObject({ drop: 'TOO_LONG' })
    expect(bench.from('m1', ofBytes(1501), header(1, 0, 0))).toMatchObject({ drop: 'TOO_LONG' })
    expect(bench.from('m1', new Uint8Array(65_535).fill(0x52))).toMatchObject({ to: [] })
    expect(wholeBench({ mtuBytes: 9000 }).from('m1', ofBytes(9000))).toEqual({ to: ['m2'] })
  })

  test('with offload its segments count: headers of 20 + 32 bytes and 1448 of contents are 1500', () => {
    const bench = wholeBench()
    expect(bench.from('m1', tcp(60_000), header(1, 1, 1448))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', tcp(60_000), header(1, 0x81, 1448))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', tcp(60_000), header(1, 1, 1449))).toMatchObject({ drop: 'TOO_LONG' })
    expect(bench.from('m1', ofBytes(60_000, { protocol: 17 }), header(1, 5, 1472))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', ofBytes(60_000, { protocol: 17 }), header(1, 5, 1473))).toMatchObject({ drop: 'TOO_LONG' })
  })

  test.each<[string, Uint8Array, Uint8Array]>([
    ['of another length', ofBytes(100), new Uint8Array(12)],
    ['empty', ofBytes(100), new Uint8Array(0)],
    ['with unknown flags', ofBytes(100), header(0x80, 0, 0)],
    ['of an unknown kind', tcp(3000), header(1, 2, 1000)],
    ['of UDP fragments, which no kernel makes now', ofBytes(3000, { protocol: 17 }), header(1, 3, 1000)],
    ['of the other IP', tcp(3000), header(1, 4, 1000)],
    ['of the other protocol', ofBytes(3000, { protocol: 17 }), header(1, 1, 1000)],
    ['with segments of nothing', tcp(3000), header(1, 1, 0)],
    ['that cuts and does not sum', tcp(3000), header(0, 1, 1000)],
    ['with a sum outside of the frame', ofBytes(100), header(1, 0, 0, 100, 13)],
    ['with a sum far outside', ofBytes(100), header(1, 0, 0, 65_535, 65_535)],
    ['for a TCP header that is none', ofBytes(3000), header(1, 1, 1000)],
    ['for a later fragment', ofBytes(3000, { fragmentAt: 8 }), header(1, 1, 1000)],
    ['for what is no IP', ethernet(m2, m1, 0x88b5, new Uint8Array(3000)), header(1, 1, 1000)]
  ])('an offload header %s is not passed on', (_what, frame, offload) => {
    expect(wholeBench().from('m1', frame, offload)).toEqual({ to: [], drop: 'OFFLOAD_INVALID' })
  })
})
