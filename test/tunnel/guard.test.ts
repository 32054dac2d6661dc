/** What a port may say: everything that pretends is dropped, with its reason, and what is honest passes. */
import { describe, expect, test } from 'vitest'
import { DROP_TEXTS, type DropReason } from '../../protocols/tunnel/drops.ts'
import { SwitchBench, machine, wholeBench } from './switch-bench.ts'
import {
  BROADCAST, GATEWAY, GLOBAL, UNSPECIFIED, advert, arp, concat, dhcp, dhcpAsk, dhcpGive, dhcpRenew, ethernet, ip, ipv4, ipv6, linkLocal, mac, neighbour, probe, solicit, udp
} from './switch-frames.ts'

const LAN = '00:11:22:33:44:55'
const OTHER = linkLocal([1, 2, 3, 4])
const m1 = mac(1)
const m2 = mac(2)
const m3 = mac(3)
const packet = (from: string, source: string, to = m2): Uint8Array => ipv4({ to, from, source })
const packet6 = (from: string, source: Uint8Array, to = m2): Uint8Array => ipv6({ to, from, source })
const nd = (from: string, type: number, target: Uint8Array, option?: { kind: number, mac: string }): Uint8Array =>
  ipv6({ to: '33:33:00:00:00:01', from, source: linkLocal(from), next: 58, contents: neighbour(type, target, option) })

describe('a machine', () => {
  test.each<[string, DropReason, Uint8Array]>([
    ['another\'s MAC', 'SOURCE_FOREIGN', packet(m2, ip(2))],
    ['an invented MAC', 'SOURCE_FOREIGN', packet(LAN, ip(1))],
    ['a group as its MAC', 'SOURCE_INVALID', packet('01:00:5e:00:00:01', ip(1))],
    ['no MAC', 'SOURCE_INVALID', packet('00:00:00:00:00:00', ip(1))],
    ['the gateway\'s MAC', 'SOURCE_GATEWAY', packet(GATEWAY.mac, ip(1))],
    ['another\'s address', 'IPV4_SOURCE', packet(m1, ip(2))],
    ['an address that nobody has', 'IPV4_SOURCE', packet(m1, '10.200.0.1')],
    ['another\'s address in a tag', 'IPV4_SOURCE', ipv4({ to: m2, from: m1, source: ip(2), tag: 5 })],
    ['another\'s address in a later fragment', 'IPV4_SOURCE', ipv4({ to: m2, from: m1, source: ip(2), fragmentAt: 800 })],
    ['the gateway\'s address', 'ADDRESS_GATEWAY', packet(m1, GATEWAY.address)],
    ['no address, asking for none', 'IPV4_SOURCE', packet(m1, '0.0.0.0')],
    ['ARP with another\'s address', 'ARP_SENDER', arp({ from: m1, sender: ip(2), target: ip(3) })],
    ['an ARP answer for another', 'ARP_SENDER', arp({ to: m2, from: m1, reply: true, sender: ip(3), target: ip(2) })],
    ['ARP with another\'s MAC', 'ARP_SENDER', arp({ from: m1, senderMac: m2, sender: ip(1), target: ip(3) })],
    ['an ARP answer without an address', 'ARP_SENDER', arp({ from: m1, reply: true, sender: '0.0.0.0', target: ip(2) })],
    ['ARP as the gateway', 'ADDRESS_GATEWAY', arp({ to: m2, from: m1, reply: true, sender: GATEWAY.address, target: ip(2) })],
    ['ARP of another kind', 'MALFORMED', ethernet(BROADCAST, m1, 0x0806, new Uint8Array(28))],
    ['a DHCP server\'s answer', 'DHCP_SERVER', ipv4({ to: m2, from: m1, source: ip(1), protocol: 17, contents: udp(67, 68, dhcp({ reply: true, kind: 5, client: m2, your: ip(9) })) })],
    ['a DHCP server\'s answer from another port', 'DHCP_SERVER', ipv4({ to: m2, from: m1, source: ip(1), protocol: 17, contents: udp(4000, 68) })],
    ['a DHCPv6 server\'s answer', 'DHCP_SERVER', ipv6({ to: m2, from: m1, source: linkLocal(m1), next: 17, contents: udp(547, 546) })],
    ['asking for an address for another', 'DHCP_IDENTITY', dhcpAsk(m1, 1, m2)],
    ['rubbish to the DHCP server', 'MALFORMED', ipv4({ to: BROADCAST, from: m1, source: '0.0.0.0', protocol: 17, contents: udp(68, 67, new Uint8Array(9)) })],
    ['another\'s link-local address', 'IPV6_SOURCE', packet6(m1, linkLocal(m2))],
    ['a link-local address that follows from a MAC elsewhere', 'IPV6_SOURCE', packet6(m1, linkLocal(LAN))],
    ['a global IPv6 address', 'IPV6_SOURCE', packet6(m1, GLOBAL)],
    ['no IPv6 address, to one', 'IPV6_SOURCE', packet6(m1, UNSPECIFIED)],
    ['a router advertisement', 'ROUTER_ADVERT', ipv6({ to: '33:33:00:00:00:01', from: m1, source: linkLocal(m1), next: 58, contents: concat(Uint8Array.of(134), new Uint8Array(15)) })],
    ['a router advertisement behind a header', 'ROUTER_ADVERT', ipv6({ to: '33:33:00:00:00:01', from: m1, source: linkLocal(m1), next: 60, contents: concat(Uint8Array.of(58, 0, 1, 4, 0, 0, 0, 0), Uint8Array.of(134), new Uint8Array(15)) })],
    ['a neighbour advert whose options come in another fragment', 'MALFORMED', ipv6({ to: m2, from: m1, source: linkLocal(m1), next: 44, contents: concat(Uint8Array.of(58, 0, 0, 1, 0, 0, 0, 1), neighbour(136, linkLocal(m1))) })],
    ['a redirect', 'ROUTER_ADVERT', ipv6({ to: m2, from: m1, source: linkLocal(m1), next: 58, contents: concat(Uint8Array.of(137), new Uint8Array(39)) })],
    ['a neighbour advert for another', 'ND_SENDER', nd(m1, 136, linkLocal(m2), { kind: 2, mac: m1 })],
    ['a neighbour advert with another\'s MAC', 'ND_SENDER', nd(m1, 136, linkLocal(m1), { kind: 2, mac: m2 })],
    ['a solicitation with another\'s MAC', 'ND_SENDER', nd(m1, 135, linkLocal(m2), { kind: 1, mac: m2 })],
    ['a chain of headers that hides what it carries', 'MALFORMED', ipv6({ to: m2, from: m1, source: linkLocal(m1), next: 0, contents: Uint8Array.of(60, 9, 0, 0, 0, 0, 0, 0) })],
    ['lengths that lie', 'MALFORMED', ipv4({ to: m2, from: m1, source: ip(1), totalBytes: 1000 })],
    ['a tag in a tag', 'ETHERTYPE', ethernet(m2, m1, 0x8100, concat(Uint8Array.of(0, 6, 0x08, 0), new Uint8Array(40)), 5)],
    ['a service tag', 'ETHERTYPE', ethernet(m2, m1, 0x88a8, new Uint8Array(40))],
    ['802.3', 'ETHERTYPE', ethernet(m2, m1, 38, new Uint8Array(40))],
    ['spanning tree', 'LINK_CONTROL', ethernet('01:80:c2:00:00:00', m1, 0x88cc, new Uint8Array(40))],
    ['13 bytes', 'TOO_SHORT', new Uint8Array(13)],
    ['nothing', 'TOO_SHORT', new Uint8Array(0)]
  ])('does not get through with %s', (_what, reason, frame) => {
    const bench = wholeBench()
    expect(bench.from('m1', frame)).toEqual({ to: [], drop: reason })
    expect(bench.drops('m1')).toEqual({ [reason]: 1 })
    expect(DROP_TEXTS[reason].length).toBeGreaterThan(10)
  })

  test.each<[string, Uint8Array, string[]]>([
    ['its address', packet(m1, ip(1)), ['m2']],
    ['a later fragment', ipv4({ to: m2, from: m1, source: ip(1), protocol: 17, fragmentAt: 800 }), ['m2']],
    ['a tagged packet', ipv4({ to: m2, from: m1, source: ip(1), tag: 0xa000 }), ['m2']],
    ['its link-local address', packet6(m1, linkLocal(m1)), ['m2']],
    ['a report of groups without an address', ipv6({ to: '33:33:00:00:00:16', from: m1, source: UNSPECIFIED, next: 0, contents: concat(Uint8Array.of(58, 0, 5, 2, 0, 0, 1, 0), Uint8Array.of(143), new Uint8Array(7)) }), ['m2', 'peer', 'proxy', 'uplink']],
    ['multicast', ipv4({ to: '01:00:5e:00:00:fb', from: m1, source: ip(1), protocol: 17, contents: udp(5353, 5353) }), ['m2', 'peer', 'proxy', 'uplink']],
    ['telling its address', arp({ from: m1, sender: ip(1), target: ip(1) }), ['m2', 'peer', 'proxy', 'uplink']],
    ['an answer to who asked', arp({ to: m3, from: m1, reply: true, sender: ip(1), target: ip(3) }), ['peer']],
    ['a neighbour answer', nd(m1, 136, linkLocal(m1), { kind: 2, mac: m1 }), ['m2', 'peer', 'proxy', 'uplink']],
    ['other kinds of frames (RARP, as QEMU sends)', ethernet(BROADCAST, m1, 0x8035, new Uint8Array(28)), ['m2', 'peer', 'proxy', 'uplink']]
  ])('gets through with %s', (_what, frame, to) => { expect(wholeBench().from('m1', frame)).toEqual({ to }) })

  test('with more addresses may use each, and none that it lost', () => {
    const bench = new SwitchBench()
    bench.add('m1', 'machine', [machine(1, { addresses: [ip(1), '192.168.7.10'] })])
    bench.add('m2', 'machine', [machine(2)])
    expect(bench.from('m1', packet(m1, '192.168.7.10'))).toEqual({ to: ['m2'] })
    bench.set('m1', [machine(1)])
    expect(bench.from('m1', packet(m1, '192.168.7.10'))).toMatchObject({ drop: 'IPV4_SOURCE' })
  })

  test('renews from an address that it has no longer with the gateway only, which refuses it', () => {
    const bench = wholeBench()
    for (const source of [ip(2), '10.200.0.1']) {
      for (const to of [BROADCAST, GATEWAY.mac]) expect(bench.from('m1', dhcpRenew(m1, source, to))).toEqual({ to: [], gateway: true })
      expect(bench.from('m1', dhcpRenew(m1, source, m2))).toEqual({ to: [], drop: 'IPV4_SOURCE' })
    }
    expect(bench.from('m1', dhcpRenew(m1, ip(2), BROADCAST, m2))).toEqual({ to: [], drop: 'DHCP_IDENTITY' })
  })

  test('that is a router passes on others\' packets and advertises, but has its own MAC and is not the gateway', () => {
    const bench = wholeBench()
    bench.set('m1', [machine(1, { router: true })])
    for (const frame of [packet(m1, '172.16.0.9'), packet6(m1, GLOBAL)]) expect(bench.from('m1', frame)).toEqual({ to: ['m2'] })
    expect(bench.from('m1', ipv6({ to: '33:33:00:00:00:01', from: m1, source: linkLocal(m1), next: 58, contents: concat(Uint8Array.of(134), new Uint8Array(15)) }))).toMatchObject({ to: ['m2', 'peer', 'proxy', 'uplink'] })
    expect(bench.from('m1', dhcpGive(m1, ip(1), m2, '172.16.0.2'))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', packet(m1, GATEWAY.address))).toMatchObject({ drop: 'ADDRESS_GATEWAY' })
    expect(bench.from('m1', packet(m3, ip(3)))).toMatchObject({ drop: 'SOURCE_FOREIGN' })
    expect(bench.from('m1', arp({ from: m1, sender: ip(2), target: ip(3) }))).toMatchObject({ drop: 'ARP_SENDER' })
    expect(bench.from('m1', packet6(m1, linkLocal(m2)))).toMatchObject({ drop: 'IPV6_SOURCE' })
  })
})

describe('a member plant', () => {
  test('speaks for its machines only', () => {
    const bench = wholeBench()
    expect(bench.from('peer', packet(m3, ip(3)))).toEqual({ to: ['m2'] })
    for (const frame of [packet(m1, ip(1)), packet(mac(4), ip(4)), packet(LAN, '10.200.0.1'), packet(mac(9), ip(9))]) expect(bench.from('peer', frame)).toMatchObject({ drop: 'SOURCE_FOREIGN' })
    expect(bench.from('peer', packet(m3, ip(2)))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.from('peer', arp({ from: m3, sender: ip(1), target: ip(2) }))).toMatchObject({ drop: 'ARP_SENDER' })
    expect(bench.from('peer', dhcpGive(m3, ip(3), m2, ip(9)))).toMatchObject({ drop: 'DHCP_SERVER' })
    expect(bench.from('peer', packet(GATEWAY.mac, GATEWAY.address))).toMatchObject({ drop: 'SOURCE_GATEWAY' })
  })

  test('does not use our gateway', () => {
    const bench = wholeBench()
    for (const frame of [ipv4({ to: GATEWAY.mac, from: m3, source: ip(3) }), arp({ from: m3, sender: ip(3), target: GATEWAY.address }), dhcpAsk(m3)]) expect(bench.from('peer', frame)).toEqual({ to: [], drop: 'GATEWAY_REMOTE' })
  })

  test('with an uplink speaks for strangers too, not for stations', () => {
    const bench = wholeBench()
    expect(bench.from('proxy', packet(LAN, '10.200.0.1'))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', packet(m1, ip(1), LAN))).toEqual({ to: ['proxy'] })
    expect(bench.from('proxy', packet(m1, ip(1)))).toMatchObject({ drop: 'SOURCE_OF_STATION' })
    bench.set('proxy', [machine(4)], false)
    expect(bench.from('proxy', packet(LAN, '10.200.0.1'))).toMatchObject({ drop: 'SOURCE_FOREIGN' })
    expect(bench.from('m1', packet(m1, ip(1), LAN))).toEqual({ to: ['uplink'] })
  })
})

describe('an uplink', () => {
  test.each<[string, DropReason, Uint8Array]>([
    ['a machine\'s MAC', 'SOURCE_OF_STATION', packet(m1, ip(1))],
    ['a machine\'s address', 'IPV4_SOURCE', packet(LAN, ip(1))],
    ['ARP with a machine\'s address', 'ARP_SENDER', arp({ from: LAN, sender: ip(1), target: ip(2) })],
    ['ARP with the gateway\'s address', 'ADDRESS_GATEWAY', arp({ from: LAN, sender: GATEWAY.address, target: ip(2) })],
    ['a machine\'s link-local address', 'IPV6_SOURCE', packet6(LAN, linkLocal(m1))],
    ['a neighbour advert with a machine\'s MAC', 'ND_SENDER', nd(LAN, 136, linkLocal(LAN), { kind: 2, mac: m1 })],
    ['a neighbour advert with the gateway\'s MAC', 'ND_SENDER', nd(LAN, 136, linkLocal(LAN), { kind: 2, mac: GATEWAY.mac })],
    ['a DHCP server where the mesh gives addresses', 'DHCP_SERVER', dhcpGive(LAN, '10.200.0.1', m1, '10.200.0.7')],
    ['a router advertisement', 'ROUTER_ADVERT', ipv6({ to: '33:33:00:00:00:01', from: LAN, source: linkLocal(LAN), next: 58, contents: concat(Uint8Array.of(134), new Uint8Array(15)) })],
    ['the gateway\'s MAC', 'SOURCE_GATEWAY', packet(GATEWAY.mac, '10.200.0.1')]
  ])('does not get through with %s', (_what, reason, frame) => { expect(wholeBench().from('uplink', frame)).toEqual({ to: [], drop: reason }) })

  test('brings hosts with any address of their own', () => {
    const bench = wholeBench()
    for (const frame of [packet(LAN, '192.168.0.5'), packet6(LAN, linkLocal(LAN)), packet6(LAN, GLOBAL), packet6(LAN, OTHER)]) expect(bench.from('uplink', frame)).toEqual({ to: ['m2'] })
  })

  test('and its own host\'s station is bound to its address like a machine', () => {
    const bench = wholeBench()
    bench.set('uplink', [{ mac: mac(7), addresses: [ip(7)] }])
    expect(bench.from('uplink', packet(mac(7), ip(7)))).toEqual({ to: ['m2'] })
    expect(bench.from('uplink', packet(mac(7), '192.168.0.5'))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.from('uplink', dhcpAsk(mac(7)))).toEqual({ to: [], gateway: true })
  })
})

describe('a link-local address of its own choice', () => {
  test('is whose it was probed for first, here and at other members', () => {
    const bench = wholeBench()
    expect(bench.from('m1', probe(m1, OTHER))).toEqual({ to: ['m2', 'peer', 'proxy', 'uplink'] })
    expect(bench.from('m2', packet6(m2, OTHER, m1))).toMatchObject({ drop: 'IPV6_SOURCE' })
    bench.nowMs += 3_000
    expect(bench.from('m1', packet6(m1, OTHER))).toEqual({ to: ['m2'] })
    for (const [port, by] of [['m2', m2], ['peer', m3], ['uplink', LAN]] as const) {
      expect(bench.from(port, packet6(by, OTHER, m1))).toMatchObject({ drop: 'IPV6_SOURCE' })
      // Who probes for it is told that it is taken, in the name of who has it.
      expect(bench.from(port, probe(by, OTHER)).answer?.subarray(6, 12)).toEqual(bench.from(port, solicit(by, linkLocal(by), linkLocal(m1))).answer?.subarray(6, 12))
    }
  })

  test('is one: another takes its place by a probe only', () => {
    const bench = wholeBench()
    bench.from('m1', probe(m1, OTHER))
    bench.nowMs += 3_000
    const second = linkLocal([1, 2, 3, 5])
    expect(bench.from('m1', packet6(m1, second))).toMatchObject({ drop: 'IPV6_SOURCE' })
    bench.from('m1', probe(m1, second))
    expect(bench.from('m1', packet6(m1, second))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', packet6(m1, OTHER))).toMatchObject({ drop: 'IPV6_SOURCE' })
    expect(bench.from('m2', packet6(m2, OTHER, m1))).toEqual({ to: ['m1'] })
  })

  test('is not had when another member\'s machine objects to the probe in time', () => {
    const bench = wholeBench()
    bench.from('m1', probe(m1, OTHER))
    expect(bench.from('peer', advert(m3, OTHER))).toEqual({ to: ['m1', 'm2', 'uplink'] })
    expect(bench.from('m1', packet6(m1, OTHER))).toMatchObject({ drop: 'IPV6_SOURCE' })
    bench.nowMs += 10_000
    expect(bench.from('m2', solicit(m2, linkLocal(m2), OTHER)).answer?.subarray(6, 12)).toEqual(advert(m3, OTHER).subarray(6, 12))
  })

  test('used without a probe, as after a restart of the plant, is lent until somebody has it by right', () => {
    const bench = wholeBench()
    expect(bench.from('m1', packet6(m1, OTHER))).toEqual({ to: ['m2'] })
    expect(bench.from('m2', packet6(m2, OTHER, m1))).toMatchObject({ drop: 'IPV6_SOURCE' })
    // Not answered for, as it is not sure.
    bench.nowMs += 60_000
    expect(bench.from('m2', solicit(m2, linkLocal(m2), OTHER))).toEqual({ to: ['m1', 'peer', 'proxy', 'uplink'] })
    expect(bench.from('peer', packet6(m3, OTHER))).toEqual({ to: ['m2'] })
    expect(bench.from('m1', packet6(m1, OTHER))).toMatchObject({ drop: 'IPV6_SOURCE' })
  })

  test('stays with a machine that moved, and is free when it left', () => {
    const bench = wholeBench()
    bench.from('m1', probe(m1, OTHER))
    bench.nowMs += 3_000
    bench.set('peer', [machine(3), machine(1, { sinceMs: 5 })])
    expect(bench.from('peer', packet6(m1, OTHER))).toEqual({ to: ['m2'] })
    bench.core.removePort(bench.id('m1'))
    bench.set('peer', [machine(3)])
    expect(bench.from('m2', packet6(m2, OTHER, m3))).toEqual({ to: ['peer'] })
  })
})

describe('where the client\'s LAN gives addresses', () => {
  const SERVER = '192.168.0.1'
  const leased = '192.168.0.50'

  test('a machine has no address before its lease, the leased one then, and none after', () => {
    const bench = wholeBench({ addressing: 'external' })
    expect(bench.from('m1', packet(m1, leased))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.from('m1', dhcpAsk(m1))).toEqual({ to: ['proxy', 'uplink'] })
    expect(bench.from('uplink', dhcpGive(LAN, SERVER, m1, leased, { kind: 2 }))).toEqual({ to: ['m1'] })
    expect(bench.from('m1', packet(m1, leased))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.from('uplink', dhcpGive(LAN, SERVER, m1, leased))).toEqual({ to: ['m1'], lease: { mac: m1, address: leased, forMs: 3_600_000 } })
    expect(bench.from('m1', packet(m1, leased))).toEqual({ to: ['m2'] })
    expect(bench.from('m2', packet(m2, leased, m1))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.from('uplink', packet(LAN, leased))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.from('peer', packet(m3, leased))).toMatchObject({ drop: 'IPV4_SOURCE' })
    bench.nowMs += 3_600_000
    expect(bench.from('m1', packet(m1, leased))).toMatchObject({ drop: 'IPV4_SOURCE' })
    bench.core.restoreLease(bench.nowMs, { mac: m1, address: leased, forMs: 1000 })
    expect(bench.from('m1', packet(m1, leased))).toEqual({ to: ['m2'] })
  })

  test('a lease is taken from a server behind an uplink only, never from a machine', () => {
    const bench = wholeBench({ addressing: 'external' })
    for (const [port, by] of [['m1', m1], ['m2', m2], ['peer', m3], ['proxy', mac(4)]] as const) {
      expect(bench.from(port, ipv4({ to: BROADCAST, from: by, source: '0.0.0.0', protocol: 17, contents: udp(67, 68, dhcp({ reply: true, kind: 5, client: m1, your: leased, leaseS: 60 })) }))).toMatchObject({ to: [] })
      // An answer that goes the way of questions.
      expect(bench.from(port, ipv4({ to: BROADCAST, from: by, source: '0.0.0.0', protocol: 17, contents: udp(68, 67, dhcp({ reply: true, kind: 5, client: by, your: leased, leaseS: 60 })) })).lease).toBeUndefined()
    }
    // Also not from a machine of the member behind which the LAN is.
    expect(bench.from('proxy', dhcpGive(mac(4), '192.168.0.9', m1, leased))).toEqual({ to: [], drop: 'DHCP_SERVER' })
    expect(bench.from('m1', packet(m1, leased))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.from('proxy', dhcpGive(LAN, SERVER, m1, leased, { to: m1 }))).toMatchObject({ to: ['m1'], lease: { address: leased } })
  })

  test('a machine that gives its lease back has none; a new one takes the place of the former', () => {
    const bench = wholeBench({ addressing: 'external' })
    bench.from('uplink', dhcpGive(LAN, SERVER, m1, leased))
    bench.from('uplink', dhcpGive(LAN, SERVER, m1, '192.168.0.51'))
    expect(bench.from('m1', packet(m1, leased))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.from('m1', ipv4({ to: LAN, from: m1, source: '192.168.0.51', protocol: 17, contents: udp(68, 67, dhcp({ kind: 7, client: m1 })) }))).toEqual({ to: ['uplink'] })
    expect(bench.from('m1', packet(m1, '192.168.0.51'))).toMatchObject({ drop: 'IPV4_SOURCE' })
    // What the server gives to another is that one's.
    bench.from('uplink', dhcpGive(LAN, SERVER, m1, leased))
    bench.from('uplink', dhcpGive(LAN, SERVER, m2, leased))
    expect(bench.from('m1', packet(m1, leased))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.from('m2', packet(m2, leased, m1))).toEqual({ to: ['m1'] })
    bench.from('uplink', dhcpGive(LAN, SERVER, m1, '192.168.0.52'))
    expect(bench.from('m2', packet(m2, leased, m1))).toEqual({ to: ['m1'] })
    expect(bench.from('uplink', packet(LAN, leased))).toMatchObject({ drop: 'IPV4_SOURCE' })
    // With the machine its lease is gone.
    bench.set('m2', [])
    expect(bench.from('uplink', packet(LAN, leased, m1))).toEqual({ to: ['m1'] })
    bench.set('m2', [machine(2, { addresses: [] })])
    expect(bench.from('m2', packet(m2, leased, m1))).toMatchObject({ drop: 'IPV4_SOURCE' })
  })

  test('a machine renews a lease that this switch does not know, and has it when the server confirms; not another\'s', () => {
    const bench = wholeBench({ addressing: 'external' })
    bench.from('uplink', ipv4({ to: m2, from: LAN, source: SERVER }))
    expect(bench.from('m1', packet(m1, leased))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.from('m1', dhcpRenew(m1, leased, LAN))).toEqual({ to: ['uplink'] })
    expect(bench.from('m1', dhcpRenew(m1, leased))).toEqual({ to: ['proxy', 'uplink'] })
    bench.from('uplink', dhcpGive(LAN, SERVER, m1, leased, { to: m1 }))
    expect(bench.from('m1', packet(m1, leased))).toEqual({ to: ['m2'] })
    expect(bench.from('m2', dhcpRenew(m2, leased))).toEqual({ to: [], drop: 'IPV4_SOURCE' })
  })

  test('a lease is on an address that a host can have, and not on another\'s that its order gave it', () => {
    const bench = wholeBench({ addressing: 'external' })
    bench.set('m2', [machine(2, { addresses: ['192.168.0.9'] })])
    for (const your of ['0.0.0.0', '255.255.255.255', '127.0.0.1', '224.0.0.5', '192.168.0.9']) expect(bench.from('uplink', dhcpGive(LAN, SERVER, m1, your))).toEqual({ to: ['m1'] })
    expect(bench.from('m2', packet(m2, '192.168.0.9', m1))).toEqual({ to: ['m1'] })
    expect(bench.from('m1', packet(m1, '192.168.0.9'))).toMatchObject({ drop: 'IPV4_SOURCE' })
    expect(bench.core.macs(bench.nowMs)[0]).toMatchObject({ mac: m1, addresses: [] })
  })

  test('who asks for an address is heard by uplinks and by routers, which may give one', () => {
    const bench = wholeBench({ addressing: 'external' })
    expect(bench.from('m1', dhcpAsk(m1))).toEqual({ to: ['proxy', 'uplink'] })
    bench.set('m2', [machine(2, { addresses: [], router: true })])
    expect(bench.from('m1', dhcpAsk(m1))).toEqual({ to: ['m2', 'proxy', 'uplink'] })
  })

  test('an answer of the LAN\'s server for its own hosts goes to uplinks only, and its ARP to all', () => {
    const bench = wholeBench({ addressing: 'external' })
    expect(bench.from('uplink', dhcpGive(LAN, SERVER, '00:11:22:33:44:66', leased))).toEqual({ to: ['proxy'] })
    expect(bench.from('uplink', arp({ from: LAN, sender: SERVER, target: leased }))).toEqual({ to: ['m1', 'm2', 'peer', 'proxy'] })
    expect(bench.from('m1', arp({ from: m1, sender: '0.0.0.0', target: leased }))).toEqual({ to: ['m2', 'peer', 'proxy', 'uplink'] })
  })
})
