/** Views on frames: right on what is right, and never more than `undefined` on what is not. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { arpAnswer, arpOf } from '../../protocols/tunnel/arp.ts'
import { dhcpOf, isFromDhcpServer, isToDhcpServer } from '../../protocols/tunnel/dhcp-view.ts'
import { FrameView, formatMac, ipv4Number, ipv4Text, isGroup, parseMac } from '../../protocols/tunnel/ethernet.ts'
import { lengthProblem } from '../../protocols/tunnel/frame-length.ts'
import { icmpv6Checksum, isLinkLocal, macOfLinkLocal, neighbourAnswer, neighbourOf } from '../../protocols/tunnel/neighbour.ts'
import { BROADCAST, GLOBAL, arp, concat, dhcp, dhcpAsk, dhcpGive, ethernet, ip, ipv4, ipv6, linkLocal, mac, macOf, neighbour, probe, solicit, udp } from './switch-frames.ts'

const A = mac(1)
const B = mac(2)

function viewOf (bytes: Uint8Array): FrameView {
  const view = new FrameView().read(bytes)
  if (view === undefined) throw new Error('a frame of at least 14 bytes has a view')
  return view
}

/** Everything that looks at a frame. */
function lookAtAll (bytes: Uint8Array, offload?: Uint8Array): void {
  const view = new FrameView().read(bytes)
  expect(view === undefined).toBe(bytes.length < 14)
  if (view === undefined) return
  expect(view.contentsAt).toBeLessThanOrEqual(bytes.length)
  expect(view.endAt).toBeLessThanOrEqual(bytes.length)
  expect(view.transportAt).toBeLessThanOrEqual(view.endAt)
  arpOf(bytes, view.contentsAt)
  const found = neighbourOf(view)
  if (typeof found === 'object' && found.targetAt >= 0) {
    expect(found.targetAt + 16).toBeLessThanOrEqual(view.endAt)
    expect(neighbourAnswer(view, found.targetAt, 1, false).length).toBe(view.contentsAt + 72)
  }
  dhcpOf(view)
  isToDhcpServer(view)
  isFromDhcpServer(view)
  lengthProblem(view, offload, 1500)
}

test('MACs and addresses are the same as text and as numbers, and other text is neither', () => {
  fc.assert(fc.property(fc.nat(2 ** 48 - 1), (number) => { expect(parseMac(formatMac(number))).toBe(number) }))
  fc.assert(fc.property(fc.nat(2 ** 32 - 1), (number) => { expect(ipv4Number(ipv4Text(number))).toBe(number) }))
  expect(parseMac('52:54:00:AB:cd:ef')).toBe(0x525400abcdef)
  for (const bad of ['', '52:54:00:ab:cd', '52:54:00:ab:cd:ef:00', '52-54-00-ab-cd-ef', '52:54:00:ab:cd:eg', ' 52:54:00:ab:cd:ef']) expect(parseMac(bad)).toBeUndefined()
  for (const bad of ['', '1.2.3', '1.2.3.4.5', '1.2.3.256', '1.2.3.4 ', '1.2.3.x', '1..3.4', '1000.1.1.1']) expect(ipv4Number(bad)).toBeUndefined()
  expect([isGroup(macOf(BROADCAST)), isGroup(macOf('01:00:5e:00:00:01')), isGroup(macOf(A)), isGroup(macOf('fe:ff:ff:ff:ff:ff'))]).toEqual([true, true, false, false])
})

describe('whatever the bytes', () => {
  const kinds = fc.constantFrom(0x0800, 0x0806, 0x86dd, 0x8100, 0x0026, 0xffff)

  test('looking never throws and stays within the frame', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.option(fc.uint8Array({ maxLength: 12 }), { nil: undefined }), (bytes, offload) => { lookAtAll(bytes, offload) }), { numRuns: 2000 })
    fc.assert(fc.property(kinds, fc.uint8Array({ maxLength: 120 }), fc.constantFrom(undefined, 5), (type, contents, tag) => { lookAtAll(ethernet(B, A, type, contents, tag)) }), { numRuns: 5000 })
  })

  test('frames that were right but for a byte, or cut anywhere, never throw', () => {
    const whole = [
      arp({ from: A, sender: ip(1), target: ip(2) }), dhcpAsk(A), dhcpGive(B, ip(9), A, ip(1)), probe(A, linkLocal(A)), solicit(A, linkLocal(A), linkLocal(B)),
      ipv6({ to: B, from: A, source: linkLocal(A), next: 0, contents: concat(Uint8Array.of(44, 0, 0, 0, 0, 0, 0, 0), Uint8Array.of(58, 0, 0, 1, 0, 0, 0, 1), neighbour(134, GLOBAL)) })
    ]
    fc.assert(fc.property(fc.constantFrom(...whole), fc.nat(400), fc.nat(255), fc.nat(400), (frame, at, byte, cut) => {
      const bent = frame.slice(0, cut < 20 ? Math.max(0, frame.length - cut) : frame.length)
      if (at < bent.length) bent[at] = byte
      lookAtAll(bent)
    }), { numRuns: 5000 })
  })

  test.each([0, 1, 13, 14, 17, 18, 65_535, 65_553])('%i bytes of any one value are looked at', (length) => {
    for (const fill of [0, 0x08, 0x45, 0x60, 0x81, 0xff]) lookAtAll(new Uint8Array(length).fill(fill), new Uint8Array(10).fill(fill))
  })
})

describe('IP', () => {
  test('ports are found behind options, extension headers and a tag', () => {
    expect(viewOf(ipv4({ to: B, from: A, source: ip(1), protocol: 17, contents: udp(68, 67), tag: 7 }))).toMatchObject({ contents: 'ipv4', contentsAt: 18, sourcePort: 68, destinationPort: 67, etherType: 0x0800 })
    const options = concat(Uint8Array.of(60, 0, 1, 4, 0, 0, 0, 0), Uint8Array.of(17, 1, ...Array.from({ length: 14 }, () => 0)), udp(546, 547))
    expect(viewOf(ipv6({ to: B, from: A, source: linkLocal(A), next: 0, contents: options }))).toMatchObject({ contents: 'ipv6', protocol: 17, sourcePort: 546, destinationPort: 547 })
  })

  test('a later fragment has no ports, a first one must show them', () => {
    expect(viewOf(ipv4({ to: B, from: A, source: ip(1), protocol: 17, contents: udp(67, 68), fragmentAt: 8 }))).toMatchObject({ contents: 'ipv4', protocol: 17, sourcePort: -1, transportAt: -1 })
    expect(viewOf(ipv4({ to: B, from: A, source: ip(1), protocol: 17, contents: new Uint8Array(7) })).contents).toBe('malformed')
    const fragment = (offset: number): Uint8Array => ipv6({ to: B, from: A, source: linkLocal(A), next: 44, contents: concat(Uint8Array.of(17, 0, offset >> 8, offset | 1, 0, 0, 0, 1), new Uint8Array(4)) })
    expect(viewOf(fragment(8))).toMatchObject({ contents: 'ipv6', protocol: 17, transportAt: -1 })
    expect(viewOf(fragment(0)).contents).toBe('malformed')
  })

  test('lengths that lie make a packet malformed', () => {
    const lying = [
      ipv4({ to: B, from: A, source: ip(1), totalBytes: 41 }), ipv4({ to: B, from: A, source: ip(1), totalBytes: 19 }), ipv6({ to: B, from: A, source: linkLocal(A), length: 21 }),
      ipv6({ to: B, from: A, source: linkLocal(A), next: 0, contents: Uint8Array.of(58, 1, 0, 0, 0, 0, 0, 0) }),
      // A chain of headers that never ends.
      ipv6({ to: B, from: A, source: linkLocal(A), next: 0, contents: new Uint8Array(400) })
    ]
    for (const frame of lying) expect(viewOf(frame).contents).toBe('malformed')
    expect(viewOf(concat(ipv4({ to: B, from: A, source: ip(1) }), new Uint8Array(30)))).toMatchObject({ contents: 'ipv4', endAt: 54 })
  })
})

describe('ARP', () => {
  test('an answer names the address that was asked for, with the tag of the question', () => {
    for (const tag of [undefined, 0xe005]) {
      const question = arp({ from: A, sender: ip(1), target: ip(2), ...tag !== undefined && { tag } })
      const at = tag === undefined ? 14 : 18
      const answer = arpAnswer(question, at, macOf(B))
      expect(arpOf(answer, at)).toEqual({ isRequest: false, senderMac: macOf(B), senderAddress: ipv4Number(ip(2)), targetAddress: ipv4Number(ip(1)) })
      expect(viewOf(answer)).toMatchObject({ destination: macOf(A), source: macOf(B), contents: 'arp', contentsAt: at })
    }
    expect(Buffer.from(arpAnswer(arp({ from: A, sender: ip(1), target: ip(2) }), 14, macOf(B))).toString('hex')).toBe('525400000001525400000002080600010800060400025254000000020ac001025254000000010ac00101')
  })

  test('other hardware and protocols are none', () => {
    const frame = arp({ from: A, sender: ip(1), target: ip(2) })
    for (const [at, value] of [[15, 6], [16, 9], [18, 8], [19, 16], [21, 3], [21, 0]] as const) {
      const bent = frame.slice()
      bent[at] = value
      expect(arpOf(bent, 14)).toBeUndefined()
    }
    expect(arpOf(frame.subarray(0, 41), 14)).toBeUndefined()
  })
})

describe('neighbours', () => {
  test('a link-local address tells its MAC and back', () => {
    fc.assert(fc.property(fc.nat(2 ** 48 - 1), (number) => {
      expect(macOfLinkLocal(linkLocal(formatMac(number)), 0)).toBe(number)
    }))
    expect(isLinkLocal(linkLocal(A), 0)).toBe(true)
    expect([isLinkLocal(GLOBAL, 0), isLinkLocal(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 1, ...new Uint8Array(8)), 0), macOfLinkLocal(linkLocal([1, 2, 3, 4]), 0)]).toEqual([false, false, undefined])
  })

  test('an answer is an advert with a right checksum, to all when the asker has no address', () => {
    const view = viewOf(solicit(A, linkLocal(A), linkLocal(B)))
    const asked = neighbourOf(view)
    if (typeof asked !== 'object') throw new Error('a solicitation')
    const answer = viewOf(neighbourAnswer(view, asked.targetAt, macOf(B), true))
    expect(neighbourOf(answer)).toEqual({ kind: 'advert', targetAt: 62, mac: macOf(B) })
    expect(icmpv6Checksum(answer.bytes, 14)).toBe(0)
    expect([answer.destination, answer.bytes[58]]).toEqual([macOf(A), 0xe0])
    const probed = viewOf(probe(A, linkLocal(B)))
    const toAll = neighbourAnswer(probed, 62, macOf(B), false)
    expect([formatMac(viewOf(toAll).destination), toAll[58], icmpv6Checksum(toAll, 14)]).toEqual(['33:33:00:00:00:01', 0x20, 0])
  })

  test('options that contradict themselves make a message malformed, a hop makes it none', () => {
    const said = (contents: Uint8Array, hops = 255): ReturnType<typeof neighbourOf> => neighbourOf(viewOf(ipv6({ to: B, from: A, source: linkLocal(A), next: 58, contents, hops })))
    const option = { kind: 1, mac: A }
    expect(said(neighbour(135, linkLocal(B), option))).toMatchObject({ kind: 'solicit', mac: macOf(A) })
    expect(said(neighbour(135, linkLocal(B), option), 254)).toBeUndefined()
    expect(said(concat(neighbour(135, linkLocal(B)), Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)))).toBe('malformed')
    expect(said(concat(neighbour(135, linkLocal(B)), Uint8Array.of(1, 2, 0, 0, 0, 0, 0, 0)))).toBe('malformed')
    expect(said(concat(neighbour(135, linkLocal(B), option), neighbour(135, linkLocal(B), { kind: 1, mac: B }).subarray(24)))).toBe('malformed')
    expect(said(neighbour(135, linkLocal(B)).subarray(0, 23))).toBe('malformed')
  })
})

describe('DHCP', () => {
  const read = (contents: Uint8Array, ports = [67, 68] as const): ReturnType<typeof dhcpOf> => dhcpOf(viewOf(ipv4({ to: B, from: A, source: ip(1), protocol: 17, contents: udp(...ports, contents) })))

  test('who asks and what was given are read', () => {
    expect(read(dhcp({ reply: true, kind: 5, client: A, your: ip(7), leaseS: 600, options: [0, 0, 12, 2, 65, 66] }))).toEqual({ isReply: true, isAck: true, isRelease: false, clientMac: macOf(A), yourAddress: ipv4Number(ip(7)), leaseS: 600 })
    expect(read(dhcp({ kind: 7, client: A }))).toMatchObject({ isReply: false, isAck: false, isRelease: true })
    // An ACK in a question is none.
    expect(read(dhcp({ kind: 5, client: A }))).toMatchObject({ isAck: false })
  })

  test('what is cut or not of Ethernet is none', () => {
    const good = dhcp({ kind: 1, client: A })
    expect(read(good.subarray(0, 239))).toBeUndefined()
    expect(read(good.subarray(0, 242))).toBeUndefined()
    const other = good.slice()
    other[1] = 6
    expect(read(other)).toBeUndefined()
  })

  test('servers are known by either port, of both IP versions', () => {
    const from = (a: number, b: number): boolean => isFromDhcpServer(viewOf(ipv4({ to: B, from: A, source: ip(1), protocol: 17, contents: udp(a, b) })))
    const from6 = (a: number, b: number): boolean => isFromDhcpServer(viewOf(ipv6({ to: B, from: A, source: linkLocal(A), next: 17, contents: udp(a, b) })))
    expect([from(67, 68), from(1234, 68), from(67, 5), from(68, 67), from(68, 53)]).toEqual([true, true, true, false, false])
    expect([from6(547, 546), from6(1, 546), from6(547, 1), from6(546, 547)]).toEqual([true, true, true, false])
  })
})
