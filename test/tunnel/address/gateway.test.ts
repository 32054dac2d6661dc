import fc from 'fast-check'
import { decode, encode } from 'dns-packet'
import { beforeEach, describe, expect, test } from 'vitest'
import { ANSWERS_A_SECOND, ANSWERS_BURST, GATEWAY_MAC as FIXED_MAC, GATEWAY_MAC_NUMBER, NAMES_KEPT_MS, NetworkGateway, type DnsForward } from '../../../protocols/tunnel/address/index.ts'
import { parseMac } from '../../../protocols/tunnel/ethernet.ts'
import type { Station } from '../../../protocols/tunnel/types.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { CLIENT_MAC, EVERYONE_MAC, GATEWAY_MAC, dhcpFrame, dhcpMessage, ipBytes, ipFrame, macBytes, readIp, readReply, readUdp, sumOf, udp, type Dhcp, type DhcpSeen } from './packets.ts'

const web: Station = { mac: CLIENT_MAC, addresses: ['10.200.1.2'], name: 'web-1a2b' }
const own: Station = { mac: CLIENT_MAC, addresses: ['192.168.7.10'], name: 'own', given: { sinceMs: 1, prefixBits: 24 } }
const others: Station[] = [web, { mac: '02:00:00:00:00:02', addresses: ['10.200.1.3', '192.168.7.9'], name: 'DB' }, { mac: '02:00:00:00:00:03', addresses: ['10.200.1.4'], name: 'not a name' }]
let clock: FakeClock
let gateway: NetworkGateway

beforeEach(() => {
  clock = new FakeClock()
  gateway = new NetworkGateway({ network: 'Lab_Net', clock })
  gateway.setStations(() => others)
})
const only = (answers: Uint8Array[]): Uint8Array => {
  expect(answers).toHaveLength(1)
  return answers[0] ?? new Uint8Array(0)
}
const dhcp = (message: Dhcp, station = web, way = {}): DhcpSeen & { to: string, toMac: string } => {
  const { data, to, toMac, from, fromPort, toPort, fromMac } = readUdp(only(gateway.onFrame(station, dhcpFrame(message, way))))
  expect({ from, fromPort, toPort, fromMac }).toEqual({ from: '10.192.0.1', fromPort: 67, toPort: 68, fromMac: GATEWAY_MAC })
  return { ...readReply(data), to, toMac }
}
const asked = (ip: string): [number, Buffer] => [50, ipBytes(ip)]
const server = (ip: string): [number, Buffer] => [54, ipBytes(ip)]

test('the gateway\'s card is the same as text and as number', () => { expect(parseMac(FIXED_MAC)).toBe(GATEWAY_MAC_NUMBER) })

describe('dhcp', () => {
  test('offers and confirms the station\'s one address, with all that it needs', () => {
    const offer = dhcp({ type: 1 })
    expect(offer).toMatchObject({ type: 2, xid: 0x01020304, yourIp: '10.200.1.2', mac: CLIENT_MAC, to: '10.200.1.2', toMac: CLIENT_MAC, broadcast: false })
    const ack = dhcp({ type: 3, options: [asked('10.200.1.2'), server('10.192.0.1')] })
    for (const { ip, options } of [offer, ack]) {
      expect([1, 3, 6, 28, 54].map(ip)).toEqual(['255.192.0.0', '10.192.0.1', '10.192.0.1', '10.255.255.255', '10.192.0.1'])
      expect([options.get(12)?.toString(), options.get(15)?.toString(), options.get(26)?.readUInt16BE(0)]).toEqual(['web-1a2b', 'lab-net', 1500])
      expect([51, 58, 59].map((code) => options.get(code)?.readUInt32BE(0))).toEqual([3600, 1800, 3150])
    }
    expect(ack).toMatchObject({ type: 5, yourIp: '10.200.1.2' })
  })

  test('tells what is behind routers, with the gateway for all else unless one of them is for that', () => {
    const routes = (station: Station): string => dhcp({ type: 1 }, station).options.get(121)?.toString('hex') ?? ''
    const [east, west] = [{ to: '10.2.0.0/15', via: '10.200.1.9' }, { to: '192.168.2.128/25', via: '10.200.1.8' }]
    expect(routes(web)).toBe('')
    // RFC 3442: the prefix's length, the bytes of the subnet that it covers, the router.
    expect(routes({ ...web, routes: [east, west] })).toBe('0f0a020ac8010919c0a802800ac80108000ac00001')
    expect(routes({ ...web, routes: [{ to: '0.0.0.0/0', via: '10.200.1.9' }] })).toBe('000ac80109')
    expect(routes({ ...own, routes: [{ to: '10.0.0.7/32', via: '192.168.7.1' }] })).toBe('200ac0000100000000200a000007c0a80701')
    expect(routes({ ...own, routes: [{ to: 'x', via: '192.168.7.1' }, { to: '10.0.0.0/8', via: 'y' }] })).toBe('200ac0000100000000')
    expect(dhcp({ type: 1 }, { ...web, routes: Array.from({ length: 24 }, (_, index) => ({ to: `10.0.0.${index}/32`, via: '10.200.1.9' })) }).options.get(121)).toHaveLength(24 * 9 + 5)
  })

  test('answers to everyone when the client asks for that', () => {
    expect(dhcp({ type: 1, broadcast: true })).toMatchObject({ type: 2, to: '255.255.255.255', toMac: EVERYONE_MAC, broadcast: true })
  })

  test('confirms the address after a boot, on renewal by either way, and after the server was away', () => {
    expect(dhcp({ type: 3, options: [asked('10.200.1.2')] }).type).toBe(5)
    expect(dhcp({ type: 3, clientIp: '10.200.1.2' }, web, { to: '10.192.0.1', toMac: GATEWAY_MAC })).toMatchObject({ type: 5, to: '10.200.1.2', toMac: CLIENT_MAC })
    expect(dhcp({ type: 3, clientIp: '10.200.1.2' })).toMatchObject({ type: 5 })
  })

  test('refuses another address, however it is asked for', () => {
    for (const message of [{ type: 3, options: [asked('10.200.1.3')] }, { type: 3, options: [asked('10.200.1.3'), server('10.192.0.1')] }, { type: 3, clientIp: '10.200.1.3' }, { type: 3 }]) {
      expect(dhcp(message)).toMatchObject({ type: 6, yourIp: '0.0.0.0', to: '255.255.255.255', toMac: EVERYONE_MAC })
    }
    expect(gateway.counters.dhcpRefused).toBe(4)
  })

  test('tells settings without a lease to whoever has set its address itself', () => {
    const ack = dhcp({ type: 8, clientIp: '10.200.1.2' })
    expect(ack).toMatchObject({ type: 5, yourIp: '0.0.0.0', to: '10.200.1.2' })
    expect([ack.options.has(51), ack.ip(1), ack.ip(6)]).toEqual([false, '255.192.0.0', '10.192.0.1'])
  })

  test('is silent to those that chose another server, give back, decline, are relayed, lie about their card, or have no address of ours', () => {
    const silent: Array<[Dhcp, Station]> = [
      [{ type: 3, options: [asked('10.200.1.2'), server('10.200.1.9')] }, web], [{ type: 7, clientIp: '10.200.1.2' }, web], [{ type: 4, options: [asked('10.200.1.2')] }, web],
      [{ type: 1, relay: '10.200.1.9' }, web], [{ type: 1 }, { ...web, addresses: [] }], [{ type: 8, clientIp: '10.200.1.9' }, web], [{ type: 2 }, web], [{ type: 13 }, web]
    ]
    for (const [message, station] of silent) expect(gateway.onFrame(station, dhcpFrame(message))).toEqual([])
    const lying = ipFrame({ from: '0.0.0.0', to: '255.255.255.255', toMac: EVERYONE_MAC, protocol: 17, payload: udp({ from: 68, to: 67 }, dhcpMessage({ type: 1, mac: '02:00:00:00:00:99' })) })
    expect(gateway.onFrame(web, lying)).toEqual([])
    expect(gateway.counters).toMatchObject({ dhcp: 0, dhcpDeclined: 1 })
    expect(dhcp({ type: 1 }).yourIp).toBe('10.200.1.2')
  })

  test('gives a subnet of one\'s own no router, unless the gateway lies in it, but the way to it for names', () => {
    const { ip, options } = dhcp({ type: 1 }, own)
    expect([ip(1), ip(28), ip(3), ip(6), options.has(26)]).toEqual(['255.255.255.0', '192.168.7.255', undefined, '10.192.0.1', true])
    expect(options.get(121)?.toString('hex')).toBe('200ac0000100000000')
    const wide = dhcp({ type: 1 }, { ...own, addresses: ['10.1.2.3'], given: { sinceMs: 1, prefixBits: 8 } })
    expect([wide.ip(1), wide.ip(3), wide.ip(6)]).toEqual(['255.0.0.0', '10.192.0.1', '10.192.0.1'])
  })
})

const dnsFrame = (query: Uint8Array): Buffer => ipFrame({ from: '10.200.1.2', to: '10.192.0.1', protocol: 17, payload: udp({ from: 40_000, to: 53 }, query) })
const dnsAnswer = (query: Uint8Array): Buffer => {
  const { data, to, toPort, fromPort } = readUdp(only(gateway.onFrame(web, dnsFrame(query))))
  expect({ to, toPort, fromPort }).toEqual({ to: '10.200.1.2', toPort: 40_000, fromPort: 53 })
  return data
}
type RecordType = 'A' | 'AAAA' | 'PTR' | 'TXT'
const query = (name: string, type: RecordType = 'A'): Buffer => encode({ type: 'query', id: 77, flags: 0x100, questions: [{ type, name }] })
const ask = (name: string, type: RecordType = 'A'): { code: number, data: unknown[] } => {
  const bytes = dnsAnswer(query(name, type))
  const packet = decode(bytes)
  expect({ id: packet.id, type: packet.type, question: packet.questions?.[0]?.name, rd: packet.flag_rd }).toEqual({ id: 77, type: 'response', question: name, rd: true })
  return { code: (bytes[3] ?? 0) & 0x0f, data: (packet.answers ?? []).map((answer) => 'data' in answer ? answer.data : undefined) }
}

describe('dns', () => {
  test('knows the machines by their names, with and without the network\'s, in any case', () => {
    expect(ask('web-1a2b')).toEqual({ code: 0, data: ['10.200.1.2'] })
    expect(ask('WEB-1a2b.lab-NET')).toEqual({ code: 0, data: ['10.200.1.2'] })
    expect(ask('db.lab-net')).toEqual({ code: 0, data: ['10.200.1.3', '192.168.7.9'] })
    expect(ask('gateway.lab-net')).toEqual({ code: 0, data: ['10.192.0.1'] })
  })

  test('knows the machines by their addresses', () => {
    expect(ask('2.1.200.10.in-addr.arpa', 'PTR')).toEqual({ code: 0, data: ['web-1a2b.lab-net'] })
    expect(ask('9.7.168.192.in-addr.arpa', 'PTR')).toEqual({ code: 0, data: ['db.lab-net'] })
    expect(ask('1.0.192.10.in-addr.arpa', 'PTR')).toEqual({ code: 0, data: ['gateway.lab-net'] })
    expect(ask('9.9.200.10.in-addr.arpa', 'PTR')).toEqual({ code: 3, data: [] })
  })

  test('has nothing of other types, and says that other names of the network are nobody\'s', () => {
    expect([ask('web-1a2b', 'AAAA'), ask('web-1a2b', 'TXT'), ask('lab-net')]).toEqual(Array.from({ length: 3 }, () => ({ code: 0, data: [] })))
    for (const name of ['nobody', 'nobody.lab-net', 'a.b.lab-net', 'not a name']) expect(ask(name)).toEqual({ code: 3, data: [] })
  })

  test('refuses the world\'s names, and hands them on when the network leads outside', () => {
    expect([ask('example.org'), ask('8.8.8.8.in-addr.arpa', 'PTR')]).toEqual(Array.from({ length: 2 }, () => ({ code: 5, data: [] })))
    const forwarded: DnsForward[] = []
    gateway = new NetworkGateway({ network: 'lab', clock, forward: (one) => { forwarded.push(one) } })
    gateway.setStations(() => others)
    expect(gateway.onFrame(web, dnsFrame(query('example.org')))).toEqual([])
    expect(ask('web-1a2b').data).toEqual(['10.200.1.2'])
    const [one] = forwarded
    expect(forwarded).toHaveLength(1)
    expect(Buffer.from(one?.query ?? [])).toEqual(query('example.org'))
    const answer = encode({ type: 'response', id: 77, questions: [{ type: 'A', name: 'example.org' }], answers: [{ type: 'A', name: 'example.org', data: '192.0.2.1' }] })
    expect(readUdp(one?.reply(answer) ?? new Uint8Array(0))).toMatchObject({ from: '10.192.0.1', to: '10.200.1.2', toPort: 40_000, data: answer })
    const cut = readUdp(one?.reply(Buffer.concat([answer, Buffer.alloc(4_000)])) ?? new Uint8Array(0))
    expect([cut.data.length, (cut.data[2] ?? 0) & 0x02]).toEqual([12, 0x02])
  })

  test('hears of stations that come and go, and does not go through them for each query', async () => {
    expect(ask('web-1a2b').code).toBe(0)
    await clock.advance(NAMES_KEPT_MS)
    let looks = 0
    for (let i = 0; i < 10; i++) {
      gateway.setStations(() => {
        looks++
        return []
      })
      expect(ask('web-1a2b').code).toBe(3)
    }
    expect(looks).toBe(1)
    gateway.setStations(() => others)
    await clock.advance(NAMES_KEPT_MS)
    expect(ask('web-1a2b').code).toBe(0)
  })

  test('answers queries with options in kind', () => {
    const bytes = dnsAnswer(encode({ type: 'query', id: 77, questions: [{ type: 'A', name: 'web-1a2b' }], additionals: [{ type: 'OPT', name: '.', udpPayloadSize: 4096, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] }] }))
    expect(decode(bytes).additionals?.map(({ type }) => type)).toEqual(['OPT'])
  })

  test('says of what cannot be read that it cannot, and nothing to answers', () => {
    const broken = query('web-1a2b').subarray(0, -3)
    expect((dnsAnswer(broken)[3] ?? 0) & 0x0f).toBe(1)
    const two = Buffer.from(query('web-1a2b'))
    two.writeUInt16BE(60_000, 4)
    expect((dnsAnswer(two)[3] ?? 0) & 0x0f).toBe(1)
    const update = Buffer.from(query('web-1a2b'))
    update[2] = 0x28
    expect((dnsAnswer(update)[3] ?? 0) & 0x0f).toBe(4)
    const response = Buffer.from(query('web-1a2b'))
    response[2] = 0x81
    expect(gateway.onFrame(web, dnsFrame(response))).toEqual([])
  })
})

const arp = (operation: number, target: string, { sender = '10.200.1.2', mac = CLIENT_MAC } = {}): Buffer =>
  Buffer.concat([macBytes(EVERYONE_MAC), macBytes(CLIENT_MAC), Buffer.from([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]), macBytes(mac), ipBytes(sender), macBytes('00:00:00:00:00:00'), ipBytes(target)])
const ping = (payload: Buffer, more = {}): Buffer => {
  const icmp = Buffer.concat([Buffer.from([8, 0, 0, 0, 0, 7, 0, 1]), payload])
  icmp.writeUInt16BE(0xffff - sumOf(icmp), 2)
  return ipFrame({ from: '10.200.1.2', to: '10.192.0.1', protocol: 1, payload: icmp, ...more })
}

describe('arp and icmp', () => {
  test('arp is answered for the gateway, and for nobody else', () => {
    const answer = Buffer.from(only(gateway.onFrame(web, arp(1, '10.192.0.1'))))
    expect(answer.toString('hex')).toBe(Buffer.concat([macBytes(CLIENT_MAC), macBytes(GATEWAY_MAC), Buffer.from([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]), macBytes(GATEWAY_MAC), ipBytes('10.192.0.1'), macBytes(CLIENT_MAC), ipBytes('10.200.1.2')]).toString('hex'))
    expect(gateway.onFrame(web, arp(1, '10.192.0.1', { sender: '0.0.0.0' }))).toHaveLength(1)
    for (const other of [arp(1, '10.200.1.3'), arp(2, '10.192.0.1'), arp(1, '10.192.0.1', { mac: '02:00:00:00:00:99' }), arp(1, '10.192.0.1').subarray(0, 40)]) expect(gateway.onFrame(web, other)).toEqual([])
  })

  test('pings are answered with what they brought, of odd length too', () => {
    for (const bytes of [0, 1, 56, 1_471]) {
      const { payload, ...ip } = readIp(only(gateway.onFrame(web, ping(Buffer.alloc(bytes, 0xab)))))
      expect(ip).toMatchObject({ from: '10.192.0.1', to: '10.200.1.2', toMac: CLIENT_MAC, fromMac: GATEWAY_MAC, protocol: 1 })
      expect([payload[0], payload.readUInt16BE(4), payload.length, sumOf(payload)]).toEqual([0, 7, 8 + bytes, 0xffff])
    }
  })

  test('what goes nowhere is told at once: no port, no way out', () => {
    const code = (frame: Buffer): [number | undefined, number | undefined] => {
      const { payload, to } = readIp(only(gateway.onFrame(web, frame)))
      expect([to, sumOf(payload), payload.subarray(8, 28).equals(frame.subarray(14, 34))]).toEqual(['10.200.1.2', 0xffff, true])
      return [payload[0], payload[1]]
    }
    const syn = Buffer.alloc(20)
    syn.writeUInt16BE(22, 2)
    expect(code(ipFrame({ from: '10.200.1.2', to: '10.192.0.1', protocol: 6, payload: syn }))).toEqual([3, 3])
    expect(code(ipFrame({ from: '10.200.1.2', to: '10.192.0.1', protocol: 17, payload: udp({ from: 1, to: 123 }, Buffer.alloc(4)) }))).toEqual([3, 3])
    expect(code(ipFrame({ from: '10.200.1.2', to: '192.0.2.1', protocol: 6, payload: syn }))).toEqual([3, 13])
    gateway = new NetworkGateway({ network: 'lab', clock, forward: () => {} })
    for (let i = 0; i < 2 * ANSWERS_BURST; i++) expect(gateway.onFrame(web, ipFrame({ from: '10.200.1.2', to: '192.0.2.1', protocol: 6, payload: syn }))).toEqual([])
    expect(gateway.onFrame(web, ping(Buffer.alloc(8)))).toHaveLength(1)
  })

  test('others\' addresses, fragments, wrong sums, tags, errors about errors and foreign cards have no answer', () => {
    const damaged = ping(Buffer.alloc(8))
    damaged[24] = (damaged[24] ?? 0) ^ 1
    const tagged = Buffer.concat([ping(Buffer.alloc(8)).subarray(0, 12), Buffer.from([0x81, 0, 0, 5]), ping(Buffer.alloc(8)).subarray(12)])
    const error = ipFrame({ from: '10.200.1.2', to: '192.0.2.1', protocol: 1, payload: Buffer.from([3, 1, 0, 0, 0, 0, 0, 0]) })
    const none = [ping(Buffer.alloc(8), { from: '10.200.1.9' }), ping(Buffer.alloc(8), { fragment: 0x2000 }), ping(Buffer.alloc(8), { fragment: 1 }), damaged, tagged, error,
      ping(Buffer.alloc(8), { to: '10.200.1.3' }), ping(Buffer.alloc(8), { to: '224.0.0.1' }), ping(Buffer.alloc(8), { fromMac: '02:00:00:00:00:99' }), ping(Buffer.alloc(8), { toMac: '02:00:00:00:00:02' })]
    for (const frame of none) expect(gateway.onFrame(web, frame)).toEqual([])
    expect(gateway.onFrame({ ...web, router: true }, ping(Buffer.alloc(8), { from: '10.200.1.9' }))).toHaveLength(1)
  })
})

describe('bounds', () => {
  test('a station gets so many answers at once and then a second, whatever it sends; others are not held up', () => {
    const answers = (count: number, station = web, frame = arp(1, '10.192.0.1')): number => Array.from({ length: count }, () => gateway.onFrame(station, frame).length).reduce((sum, n) => sum + n, 0)
    expect(answers(ANSWERS_BURST + 100)).toBe(ANSWERS_BURST)
    expect(gateway.counters.tooMany).toBe(100)
    expect(gateway.onFrame({ ...web, mac: '02:00:00:00:00:77' }, ping(Buffer.alloc(8), { fromMac: '02:00:00:00:00:77' }))).toHaveLength(1)
  })

  test('the answers come back with time', async () => {
    for (let i = 0; i < ANSWERS_BURST; i++) gateway.onFrame(web, arp(1, '10.192.0.1'))
    expect(gateway.onFrame(web, arp(1, '10.192.0.1'))).toEqual([])
    await clock.advance(1_000)
    let got = 0
    for (let i = 0; i < ANSWERS_BURST; i++) got += gateway.onFrame(web, arp(1, '10.192.0.1')).length
    expect(got).toBe(ANSWERS_A_SECOND)
  })

  test('a name that thousands have is told for a few of them', () => {
    gateway = new NetworkGateway({ network: 'lab', clock })
    gateway.setStations(function * () { for (let i = 0; i < 60_000; i++) yield { mac: '02:00:00:00:00:05', addresses: [`10.210.${i >> 8}.${i & 255}`], name: 'same' } })
    expect(ask('same').data).toHaveLength(16)
  })

  test('rubbish never throws', () => {
    const whole = [dhcpFrame({ type: 1 }), dhcpFrame({ type: 3, options: [asked('10.200.1.2')] }), dnsFrame(query('web-1a2b')), ping(Buffer.alloc(40)), arp(1, '10.192.0.1')]
    fc.assert(fc.property(fc.constantFrom(...whole), fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 12 }), fc.nat(400), (frame, changes, cut) => {
      const broken = Buffer.from(frame)
      for (const [at, value] of changes) if (at < broken.length) broken[at] = value
      const sized = cut % 3 === 0 ? broken.subarray(0, cut) : broken
      // With the sum put right more of it is read.
      if (sized.length >= 34) sized.writeUInt16BE(0, 24)
      if (sized.length >= 34) sized.writeUInt16BE(0xffff - sumOf(sized.subarray(14, 34)), 24)
      new NetworkGateway({ network: 'lab', clock, forward: () => {} }).onFrame(web, sized)
      expect(new NetworkGateway({ network: 'lab', clock }).onFrame(web, sized).length).toBeLessThan(2)
    }), { numRuns: 3_000 })
    for (const bytes of [0, 13, 14, 65_535]) expect(gateway.onFrame(web, Buffer.alloc(bytes, 0xff))).toEqual([])
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      gateway.onFrame(web, dnsFrame(bytes))
      gateway.onFrame(web, ipFrame({ from: '0.0.0.0', to: '255.255.255.255', toMac: EVERYONE_MAC, protocol: 17, payload: udp({ from: 68, to: 67 }, Buffer.concat([dhcpMessage({ type: 1 }).subarray(0, 240), bytes])) }))
    }))
  })
})
