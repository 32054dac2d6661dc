/** The switch: where frames go, what it answers itself, who holds what, and its bounds. */
import { describe, expect, test } from 'vitest'
import { arpOf } from '../../protocols/tunnel/arp.ts'
import {
  CLAIMANTS_MAX, LEARNT_LIFE_MS, LEARNT_MOVE_MS, LEARNT_PER_PORT_MAX, MACHINE_STORM_BURST, MACHINE_STORM_PER_S, PEER_STORM_BURST, RING_LIFE_MS, STATIONS_PER_PORT_MAX, STATION_ADDRESSES_MAX, SWITCH_PORTS_MAX
} from '../../protocols/tunnel/constants.ts'
import { formatMac, putMac, putU16 } from '../../protocols/tunnel/ethernet.ts'
import { LearntHosts } from '../../protocols/tunnel/learnt.ts'
import { SwitchCore } from '../../protocols/tunnel/switch-core.ts'
import { SwitchBench, machine, wholeBench } from './switch-bench.ts'
import { BROADCAST, GATEWAY, addressOf, arp, concat, dhcpAsk, ip, ipv4, ipv6, linkLocal, mac, macOf, neighbour, probe, solicit, udp } from './switch-frames.ts'

const LAN = '00:11:22:33:44:55'
const m1 = mac(1)
const m2 = mac(2)
const m3 = mac(3)
const packet = (n: number, to: string): Uint8Array => ipv4({ to, from: mac(n), source: ip(n) })

describe('forwarding', () => {
  test('goes to the port of a station, through one tunnel at most', () => {
    const bench = wholeBench()
    expect(bench.from('m1', packet(1, m2))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', packet(1, m3))).toEqual({ to: ['peer'] })
    expect(bench.from('peer', packet(3, m1))).toEqual({ to: ['m1'] })
    expect(bench.from('peer', packet(3, mac(4)))).toEqual({ to: [], drop: 'BETWEEN_TUNNELS' })
    expect(bench.from('m1', packet(1, m1))).toEqual({ to: [], drop: 'SAME_PORT' })
  })

  test('an unknown destination is looked for behind uplinks only', () => {
    const bench = wholeBench()
    expect(bench.from('m1', packet(1, LAN))).toEqual({ to: ['proxy', 'uplink'] })
    expect(bench.from('peer', packet(3, LAN))).toEqual({ to: ['uplink'] })
    bench.core.removePort(bench.id('uplink'))
    expect(bench.from('peer', packet(3, LAN))).toEqual({ to: [], drop: 'NOWHERE' })
    expect(bench.from('m1', packet(1, LAN))).toEqual({ to: ['proxy'] })
    bench.set('proxy', [machine(4)], false)
    expect(bench.from('m1', packet(1, LAN))).toEqual({ to: [], drop: 'NOWHERE' })
  })

  test('what is for all goes to each once, and out of a tunnel into none', () => {
    const bench = wholeBench()
    const toAll = (n: number): Uint8Array => ipv4({ to: BROADCAST, from: mac(n), source: ip(n), protocol: 17, contents: udp(9, 9) })
    expect(bench.from('m1', toAll(1))).toEqual({ to: ['m2', 'peer', 'proxy', 'uplink'] })
    expect(bench.from('peer', toAll(3))).toEqual({ to: ['m1', 'm2', 'uplink'] })
  })

  test('a port that is gone neither speaks nor hears', () => {
    const bench = wholeBench()
    bench.core.removePort(bench.id('m2'))
    bench.core.removePort(bench.id('m2'))
    expect(bench.from('m2', packet(2, m1))).toEqual({ to: [], drop: 'NO_PORT' })
    expect(bench.from('m1', packet(1, m2))).toEqual({ to: ['proxy', 'uplink'] })
    expect(bench.set('m2', [machine(2)])).toEqual({ refused: [] })
    bench.core.noteSent(bench.id('m2'), 9)
    expect(bench.core.ports()).toHaveLength(4)
  })

  test('ports are bounded and never numbered twice', () => {
    const core = new SwitchCore({ addressing: 'mesh', mtuBytes: 1500 })
    const ids = Array.from({ length: SWITCH_PORTS_MAX }, () => core.addPort('peer'))
    expect(core.addPort('machine')).toBeUndefined()
    if (ids[0] !== undefined) core.removePort(ids[0])
    const next = core.addPort('machine')
    expect([next === undefined, ids.includes(next)]).toEqual([false, false])
  })
})

describe('the gateway', () => {
  test('gets what is for it, from ports here, and nobody else does', () => {
    const bench = wholeBench()
    for (const frame of [packet(1, GATEWAY.mac), arp({ from: m1, sender: ip(1), target: GATEWAY.address }), arp({ to: GATEWAY.mac, from: m1, sender: ip(1), target: GATEWAY.address }), dhcpAsk(m1), dhcpAsk(m1, 3)]) {
      expect(bench.from('m1', frame)).toEqual({ to: [], gateway: true })
    }
    expect(bench.from('uplink', ipv4({ to: GATEWAY.mac, from: LAN, source: '10.200.0.1' }))).toEqual({ to: [], gateway: true })
  })

  test('cannot be a station, nor have its address at one', () => {
    const bench = wholeBench()
    expect(bench.set('peer', [machine(3, { mac: GATEWAY.mac }), machine(5, { addresses: [GATEWAY.address] })]).refused).toEqual([
      { mac: GATEWAY.mac, problem: 'MAC_INVALID' }, { mac: mac(5), address: GATEWAY.address, problem: 'ADDRESS_INVALID' }
    ])
  })

  test('is not there where the client\'s LAN has its own', () => {
    const bench = wholeBench({ addressing: 'external' })
    expect(bench.from('uplink', arp({ from: LAN, sender: GATEWAY.address, target: ip(1) }))).toMatchObject({ to: ['m1', 'm2', 'peer', 'proxy'] })
    expect(bench.from('peer', arp({ from: m3, sender: ip(3), target: GATEWAY.address }))).toMatchObject({ to: ['m1', 'm2', 'uplink'] })
  })
})

describe('suppression', () => {
  const answered = (answer: Uint8Array | undefined): unknown => answer === undefined ? undefined : arpOf(answer, 14)

  test('a station\'s address is answered for where it is asked, and asked of nobody', () => {
    const bench = wholeBench()
    for (const [port, n, target] of [['m1', 1, 2], ['m1', 1, 3], ['m1', 1, 4], ['peer', 3, 1]] as const) {
      const seen = bench.from(port, arp({ from: mac(n), sender: ip(n), target: ip(target) }))
      expect(seen.to).toEqual([])
      expect(answered(seen.answer)).toEqual({ isRequest: false, senderMac: macOf(mac(target)), senderAddress: addressOf(ip(target)), targetAddress: addressOf(ip(n)) })
    }
    expect(answered(bench.from('uplink', arp({ from: LAN, sender: '10.200.0.1', target: ip(3) })).answer)).toMatchObject({ senderMac: macOf(m3) })
    expect(bench.from('peer', arp({ from: m3, sender: ip(3), target: ip(4) }))).toEqual({ to: [], drop: 'BETWEEN_TUNNELS' })
    // The uplink's own host hears its LAN itself.
    bench.set('uplink', [machine(7)])
    expect(bench.from('uplink', arp({ from: LAN, sender: '10.200.0.1', target: ip(7) }))).toEqual({ to: [], drop: 'SAME_PORT' })
  })

  test('an address that no station has can only be behind an uplink', () => {
    expect(wholeBench().from('m1', arp({ from: m1, sender: ip(1), target: '10.250.0.1' }))).toEqual({ to: ['proxy', 'uplink'] })
  })

  test('a probe for its own address stays unanswered, for another\'s it is answered', () => {
    const bench = wholeBench()
    expect(bench.from('m1', arp({ from: m1, sender: '0.0.0.0', target: ip(1) }))).toEqual({ to: [] })
    expect(answered(bench.from('m1', arp({ from: m1, sender: '0.0.0.0', target: ip(2) })).answer)).toMatchObject({ senderMac: macOf(m2) })
  })

  test('a neighbour is answered for by its MAC, and who nobody knows is asked of all', () => {
    const bench = wholeBench()
    const seen = bench.from('m1', solicit(m1, linkLocal(m1), linkLocal(m3)))
    expect([seen.to, seen.answer?.subarray(0, 12)]).toEqual([[], concat(solicit(m1, linkLocal(m1), linkLocal(m1)).subarray(6, 12), solicit(m3, linkLocal(m1), linkLocal(m1)).subarray(6, 12))])
    expect(bench.from('m1', solicit(m1, linkLocal(m1), linkLocal(LAN)))).toEqual({ to: ['m2', 'peer', 'proxy', 'uplink'] })
    expect(bench.from('m1', probe(m1, linkLocal(m1)))).toEqual({ to: [] })
    expect(bench.from('peer', solicit(m3, linkLocal(m3), linkLocal(mac(4))))).toEqual({ to: [], drop: 'BETWEEN_TUNNELS' })
  })

  test('a question to one goes to that one', () => {
    expect(wholeBench().from('m1', arp({ to: m2, from: m1, sender: ip(1), target: ip(2) }))).toEqual({ to: ['m2'] })
    expect(wholeBench().from('m1', ipv6({ to: m2, from: m1, source: linkLocal(m1), next: 58, contents: neighbour(135, linkLocal(m2)) }))).toEqual({ to: ['m2'] })
  })
})

describe('who holds a MAC', () => {
  test('is the first, until it leaves', () => {
    const bench = wholeBench()
    expect(bench.add('late', 'peer', [machine(3, { addresses: [ip(33)] })])).toEqual({ refused: [{ mac: m3, problem: 'MAC_TAKEN', by: bench.id('peer') }] })
    expect(bench.from('m1', packet(1, m3))).toEqual({ to: ['peer'] })
    expect(bench.from('late', packet(3, m1))).toMatchObject({ drop: 'SOURCE_FOREIGN' })
    bench.core.removePort(bench.id('peer'))
    expect(bench.from('m1', packet(1, m3))).toEqual({ to: ['late'] })
    expect(bench.from('late', ipv4({ to: m1, from: m3, source: ip(33) }))).toEqual({ to: ['m1'] })
  })

  test('is the newer one at once when it is proven to have moved, with its addresses', () => {
    const bench = wholeBench()
    expect(bench.add('next', 'peer', [machine(1, { sinceMs: 7 })])).toEqual({ refused: [] })
    expect(bench.from('m2', packet(2, m1))).toEqual({ to: ['next'] })
    expect(bench.from('next', packet(1, m2))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', packet(1, m2))).toMatchObject({ drop: 'SOURCE_FOREIGN' })
    expect(arpOf(bench.from('m2', arp({ from: m2, sender: ip(2), target: ip(1) })).answer ?? new Uint8Array(), 14)).toMatchObject({ senderMac: macOf(m1) })
    // It comes back: newer still.
    expect(bench.set('m1', [machine(1, { sinceMs: 9 })])).toEqual({ refused: [] })
    expect(bench.from('m2', packet(2, m1))).toEqual({ to: ['m1'] })
    expect(bench.set('next', [machine(1, { sinceMs: 8 })]).refused).toMatchObject([{ problem: 'MAC_TAKEN' }])
  })

  test('a host that was learnt is a station from when it is announced', () => {
    const bench = wholeBench()
    bench.from('uplink', ipv4({ to: m1, from: mac(9), source: '10.200.0.9' }))
    expect(bench.from('m1', packet(1, mac(9)))).toEqual({ to: ['uplink'] })
    bench.set('peer', [machine(3), machine(9)])
    expect(bench.from('m1', packet(1, mac(9)))).toEqual({ to: ['peer'] })
    expect(bench.from('uplink', ipv4({ to: m1, from: mac(9), source: '10.200.0.9' }))).toMatchObject({ drop: 'SOURCE_OF_STATION' })
  })
})

describe('who holds an address', () => {
  test('is the first, wherever its MAC moves; the next in line has it when the first leaves', () => {
    const bench = wholeBench()
    expect(bench.add('thief', 'peer', [machine(5, { addresses: [ip(1), ip(5)], sinceMs: 99 })]).refused).toEqual([{ mac: mac(5), address: ip(1), problem: 'ADDRESS_TAKEN', by: bench.id('m1') }])
    const asked = (): unknown => arpOf(bench.from('m2', arp({ from: m2, sender: ip(2), target: ip(1) })).answer ?? new Uint8Array(), 14)?.senderMac
    expect(bench.from('thief', ipv4({ to: m2, from: mac(5), source: ip(1) }))).toMatchObject({ drop: 'IPV4_SOURCE' })
    bench.set('peer', [machine(3), machine(1, { sinceMs: 7 })])
    expect(asked()).toBe(macOf(m1))
    bench.core.removePort(bench.id('m1'))
    expect(asked()).toBe(macOf(m1))
    bench.set('peer', [machine(3)])
    expect(asked()).toBe(macOf(mac(5)))
    expect(bench.from('thief', ipv4({ to: m2, from: mac(5), source: ip(1) }))).toEqual({ to: ['m2'] })
  })

  test('a machine whose address was taken away frees it for the next', () => {
    const bench = new SwitchBench()
    bench.add('a', 'peer', [machine(1), machine(2, { addresses: [ip(1)] })])
    bench.add('m', 'machine', [machine(9)])
    bench.set('a', [machine(1, { addresses: [ip(7)] }), machine(2, { addresses: [ip(1)] })])
    expect(bench.core.macs(0).map(({ addresses }) => addresses)).toEqual([[ip(7)], [ip(1)], [ip(9)]])
  })

  test('lines are bounded: who found one full waits from when it is announced again', () => {
    const bench = new SwitchBench()
    const crowd = Array.from({ length: CLAIMANTS_MAX + 5 }, (_, i) => machine(i + 1, { addresses: [ip(1)] }))
    expect(bench.add('a', 'peer', crowd).refused).toHaveLength(CLAIMANTS_MAX + 4)
    bench.set('a', crowd.slice(CLAIMANTS_MAX))
    const held = (): string[] => bench.core.macs(0).flatMap(({ mac, addresses }) => addresses.length > 0 ? [mac] : [])
    expect(held()).toEqual([mac(CLAIMANTS_MAX + 1)])
    bench.set('a', crowd.slice(-1))
    expect(held()).toEqual([mac(CLAIMANTS_MAX + 5)])
  })
})

test('stations that cannot be are refused, and too many', () => {
  const bench = new SwitchBench()
  const bad = ['', 'x', '00:00:00:00:00:00', BROADCAST, '33:33:00:00:00:01'].map((text) => machine(1, { mac: text }))
  expect(bench.add('a', 'peer', bad).refused.map(({ problem }) => problem)).toEqual(bad.map(() => 'MAC_INVALID'))
  const addresses = ['', '1.2.3', '0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255', '10.0.0.1/8']
  expect(bench.set('a', [machine(1, { addresses })]).refused).toEqual(addresses.map((address) => ({ mac: m1, address, problem: 'ADDRESS_INVALID' })))
  const many = Array.from({ length: STATION_ADDRESSES_MAX + 1 }, (_, i) => `10.9.0.${i + 1}`)
  expect(bench.set('a', [machine(1, { addresses: many })]).refused).toEqual([{ mac: m1, address: many.at(-1), problem: 'LIMIT' }])
  expect(bench.set('a', [machine(1), machine(1)]).refused).toEqual([{ mac: m1, problem: 'MAC_TAKEN', by: bench.id('a') }])
  const crowd = Array.from({ length: STATIONS_PER_PORT_MAX + 2 }, (_, i) => machine(i + 1, { mac: formatMac(0x525400000000 + i), addresses: [] }))
  expect(bench.set('a', crowd).refused.map(({ problem }) => problem)).toEqual(['LIMIT', 'LIMIT'])
  expect(bench.add('m', 'machine', [machine(60_001), machine(60_002)]).refused).toEqual([{ mac: mac(60_002), problem: 'LIMIT' }])
})

describe('learning', () => {
  const host = (n: number): string => formatMac(0x02_0000_0000_00 + n)
  const hello = (n: number): Uint8Array => ipv4({ to: m1, from: host(n), source: '10.200.0.1' })

  test('a host is behind the uplink where it was heard, until it is silent too long', () => {
    const bench = wholeBench()
    bench.from('proxy', hello(1))
    expect(bench.from('m1', packet(1, host(1)))).toEqual({ to: ['proxy'] })
    expect(bench.from('peer', packet(3, host(1)))).toEqual({ to: [], drop: 'BETWEEN_TUNNELS' })
    bench.nowMs += LEARNT_LIFE_MS - 1
    expect(bench.from('m1', packet(1, host(1)))).toEqual({ to: ['proxy'] })
    bench.nowMs += 1
    expect(bench.from('m1', packet(1, host(1)))).toEqual({ to: ['proxy', 'uplink'] })
  })

  test('a host moves when it was silent where it was; a frame that went round is dropped', () => {
    const bench = wholeBench()
    bench.from('proxy', hello(1))
    expect(bench.from('uplink', hello(1))).toEqual({ to: [], drop: 'SOURCE_ELSEWHERE' })
    bench.nowMs += LEARNT_MOVE_MS
    expect(bench.from('uplink', hello(1))).toEqual({ to: ['m1'] })
    expect(bench.from('m1', packet(1, host(1)))).toEqual({ to: ['uplink'] })
  })

  test('uplinks that lead into one LAN are kept apart, for hosts that nobody announced', () => {
    const bench = wholeBench()
    const toAll = ipv4({ to: BROADCAST, from: host(1), source: '10.200.0.1', protocol: 17, contents: udp(9, 9) })
    // The LAN carries one broadcast to both: here, and to the proxy, whose tunnel is behind.
    expect(bench.from('uplink', toAll)).toEqual({ to: ['m1', 'm2', 'peer', 'proxy'] })
    expect(bench.from('proxy', toAll)).toEqual({ to: [], drop: 'SOURCE_ELSEWHERE' })
    // What came round the LAN again does not start another round.
    expect(bench.from('uplink', toAll)).toEqual({ to: ['m1', 'm2', 'peer'] })
    expect(bench.from('proxy', ipv4({ to: BROADCAST, from: host(2), source: '10.200.0.2', protocol: 17, contents: udp(9, 9) }))).toEqual({ to: ['m1', 'm2'] })
    expect(bench.from('proxy', ipv4({ to: host(1), from: host(2), source: '10.200.0.2' }))).toEqual({ to: [], drop: 'RING' })
    expect(bench.from('m1', ipv4({ to: BROADCAST, from: m1, source: ip(1) }))).toEqual({ to: ['m2', 'peer', 'proxy', 'uplink'] })
    bench.nowMs += RING_LIFE_MS
    expect(bench.from('uplink', toAll)).toEqual({ to: ['m1', 'm2', 'peer', 'proxy'] })
  })

  test('room is made by the silent first, then by the port that floods, and for a port that has none by the one with most', () => {
    const hosts = new LearntHosts<string>(8, 10)
    for (let n = 0; n < 8; n++) hosts.hear(n, 'a', n)
    for (let n = 0; n < 3; n++) hosts.hear(100 + n, 'b', 10)
    expect([hosts.countOf('a'), hosts.countOf('b'), hosts.portOf(100, 10)]).toEqual([8, 2, undefined])
    hosts.hear(200, 'c', 10)
    expect([hosts.countOf('a'), hosts.countOf('b'), hosts.countOf('c'), hosts.portOf(0, 10)]).toEqual([7, 2, 1, undefined])
    hosts.hear(7, 'a', 400_000)
    hosts.hear(300, 'a', 400_000)
    expect([hosts.countOf('a'), hosts.portOf(7, 400_000), hosts.size]).toEqual([2, 'a', 5])
  })

  test('a million addresses from one uplink stay within its bound and push out neither stations nor others\' hosts', () => {
    const bench = wholeBench()
    for (let n = 0; n < 10; n++) bench.from('proxy', hello(5_000_000 + n))
    const frame = hello(0)
    for (let n = 0; n < 1_000_000; n++) {
      putMac(frame, 6, 0x02_0000_0000_00 + n)
      bench.core.onFrame(bench.nowMs + n / 1000, bench.id('uplink'), { bytes: frame })
    }
    bench.nowMs += 1000
    const macs = bench.core.macs(bench.nowMs)
    expect(macs.filter(({ port }) => port === bench.id('uplink'))).toHaveLength(LEARNT_PER_PORT_MAX)
    expect(macs).toHaveLength(4 + LEARNT_PER_PORT_MAX + 10)
    for (const [n, port] of [[2, 'm2'], [3, 'peer'], [4, 'proxy']] as const) expect(bench.from('m1', packet(1, mac(n)))).toEqual({ to: [port] })
    expect(bench.from('m1', packet(1, host(5_000_003)))).toEqual({ to: ['proxy'] })
    // The last heard are known, and one that kept speaking would be.
    expect(bench.from('m1', packet(1, host(999_999)))).toEqual({ to: ['uplink'] })
  })

  test('a million addresses from a machine teach nothing at all', () => {
    const bench = wholeBench()
    const frame = packet(1, m2)
    for (let n = 0; n < 1_000_000; n++) {
      putMac(frame, 6, 0x02_0000_0000_00 + n)
      bench.core.onFrame(bench.nowMs, bench.id('m1'), { bytes: frame })
    }
    expect(bench.core.macs(bench.nowMs)).toHaveLength(4)
    expect(bench.drops('m1')).toEqual({ SOURCE_FOREIGN: 1_000_000 })
  })
})

describe('storms', () => {
  const toAll = ipv4({ to: BROADCAST, from: m1, source: ip(1), protocol: 17, contents: udp(9, 9) })

  test('a port sends to many within its burst and rate, and to one as before', () => {
    const bench = wholeBench()
    let passed = 0
    for (let n = 0; n < 100_000; n++) if (bench.from('m1', toAll).drop === undefined) passed++
    expect(passed).toBe(MACHINE_STORM_BURST)
    expect(bench.drops('m1')).toEqual({ STORM: 100_000 - passed })
    expect(bench.from('m1', packet(1, m2))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', packet(1, LAN))).toEqual({ to: [], drop: 'STORM' })
    expect(bench.from('m2', ipv4({ to: BROADCAST, from: m2, source: ip(2) })).to).toHaveLength(4)
    bench.nowMs += 100
    passed = 0
    for (let n = 0; n < 1_000; n++) if (bench.from('m1', toAll).drop === undefined) passed++
    expect(passed).toBe(MACHINE_STORM_PER_S / 10)
  })

  test('64 KiB with offload count for what they are on the wire', () => {
    const bench = wholeBench()
    const big = ipv4({ to: '01:00:5e:00:00:fb', from: m3, source: ip(3), protocol: 17, contents: udp(9, 9, new Uint8Array(60_000)) })
    let passed = 0
    while (bench.from('peer', big, udpOffload(1400)).drop === undefined) passed++
    expect(passed).toBe(Math.floor(PEER_STORM_BURST / 30))
  })

  test('an unknown destination that only one port can have is no flood', () => {
    const bench = wholeBench()
    bench.set('proxy', [], false)
    for (let n = 0; n < 3 * MACHINE_STORM_BURST; n++) expect(bench.from('m1', packet(1, LAN)).to).toEqual(['uplink'])
  })
})

/** A header that leaves sum and cutting of UDP to others. */
function udpOffload (segmentBytes: number): Uint8Array {
  return Uint8Array.of(1, 5, 42, 0, segmentBytes & 0xff, segmentBytes >> 8, 34, 0, 6, 0)
}

test('frames, bytes and drops are counted at their ports', () => {
  const bench = wholeBench()
  bench.from('m1', packet(1, m2))
  bench.from('m1', packet(2, m2))
  bench.from('m1', arp({ from: m1, sender: ip(1), target: ip(2) }))
  bench.from('m1', ipv4({ to: BROADCAST, from: m1, source: ip(1) }))
  bench.core.noteSent(bench.id('m1'), 100)
  const [one, two, peer] = bench.core.ports()
  expect(one).toEqual({
    port: bench.id('m1'), kind: 'machine', hasUplink: false, stations: 1, learnt: 0, in: { frames: 4, bytes: 54 * 3 + 42 }, out: { frames: 2, bytes: 142 }, drops: { SOURCE_FOREIGN: 1 }
  })
  expect(two).toMatchObject({ out: { frames: 2, bytes: 108 }, in: { frames: 0 } })
  expect(peer).toMatchObject({ kind: 'peer', stations: 1, out: { frames: 1 } })
  expect(bench.core.macs(bench.nowMs)[0]).toEqual({ mac: m1, port: bench.id('m1'), kind: 'station', addresses: [ip(1)] })
})

test('a frame is not written to, and its bytes may be used again', () => {
  const bench = wholeBench()
  for (const frame of [arp({ from: m1, sender: ip(1), target: ip(2) }), solicit(m1, linkLocal(m1), linkLocal(m2)), packet(1, m2)]) {
    const copy = frame.slice()
    const { answer } = bench.from('m1', frame)
    expect(frame).toEqual(copy)
    const said = answer?.slice()
    putU16(frame, 0, 0xffff)
    expect(answer).toEqual(said)
  }
})
