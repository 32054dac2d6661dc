/** The way out of a network: what passes, what the plant forbids, and names of the world. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answered, arpReplyFor, dnsQuestion, dnsRefusal, inward, outward } from '../../node/net/egress-frames.ts'
import { egressPolicy } from '../../node/net/egress-policy.ts'
import { macBytes } from '../../node/net/gateway-frames.ts'
import { ownAddresses } from '../../node/net/own-addresses.ts'
import { DEFAULT_SUBNET, GATEWAY_MAC, GATEWAY_MAC_NUMBER, NetworkGateway, gatewayOf } from '../../protocols/tunnel/address/index.ts'
import { udpFrame } from '../../protocols/tunnel/address/packet.ts'
import { ipv4Number, parseMac } from '../../protocols/tunnel/ethernet.ts'

const none = (): number[] => []
const ip = (text: string): number => ipv4Number(text) ?? 0
const MAC = '52:54:00:00:00:09'
const self = { mac: macBytes(MAC), address: ip('10.192.0.9') }
const gatewayMac = macBytes(GATEWAY_MAC)
const gateway = { mac: GATEWAY_MAC_NUMBER, ip: gatewayOf(DEFAULT_SUBNET) }
const sent = (to: number, port = 53, payload = new Uint8Array(12), from = self.address): Uint8Array => udpFrame({ mac: parseMac(MAC) ?? 0, ip: from, port: 40_000 }, { mac: gateway.mac, ip: to, port }, payload)

describe('policy', () => {
  test('the public Internet leaves out what is not of it, and the host itself', () => {
    const allows = egressPolicy(true, () => [ip('198.18.7.7'), ip('9.9.9.9')])
    expect(['8.8.8.8', '1.1.1.1', '193.0.0.1'].every((text) => allows(ip(text)))).toBe(true)
    for (const text of ['127.0.0.1', '10.1.2.3', '192.168.1.1', '172.16.0.1', '169.254.169.254', '100.64.0.1', '224.0.0.1', '255.255.255.255', '0.0.0.0', '203.0.113.7', '9.9.9.9']) expect(allows(ip(text)), text).toBe(false)
  })

  test('a list is all that there is, and never what the host says to itself', () => {
    const allows = egressPolicy(['192.168.0.0/16', '203.0.113.7', '127.0.0.0/8'], none)
    expect([allows(ip('192.168.4.4')), allows(ip('203.0.113.7')), allows(ip('203.0.113.8')), allows(ip('8.8.8.8')), allows(ip('127.0.0.1'))]).toEqual([true, true, false, false, false])
    expect(egressPolicy(['0.0.0.0/0'], none)(ip('127.0.0.1'))).toBe(false)
    expect(() => egressPolicy(['localhost'], none)).toThrow('CONFIG_INVALID')
  })

  test('a range that the host is in leaves the host out, also under an address that it was given later, unless it is named singly', () => {
    const own = [ip('192.168.1.5')]
    const allows = egressPolicy(['192.168.0.0/16'], () => own)
    expect([allows(ip('192.168.1.5')), allows(ip('192.168.1.6'))]).toEqual([false, true])
    own.push(ip('192.168.1.6'))
    expect(allows(ip('192.168.1.6'))).toBe(false)
    expect(egressPolicy(['192.168.0.0/16', '192.168.1.5'], () => own)(ip('192.168.1.5'))).toBe(true)
    expect(ownAddresses()()).toContain(ip('127.0.0.1'))
  })
})

describe('frames', () => {
  test('go out from the machine itself to its gateway only', () => {
    expect(outward(sent(ip('8.8.8.8')), self, gatewayMac)).toBe(ip('8.8.8.8'))
    expect(outward(sent(ip('8.8.8.8'), 53, undefined, ip('10.192.0.10')), self, gatewayMac)).toBeUndefined()
    expect(outward(sent(ip('8.8.8.8')), { ...self, mac: macBytes('52:54:00:00:00:0a') }, gatewayMac)).toBeUndefined()
    const toOther = sent(ip('8.8.8.8'))
    toOther.set(macBytes('52:54:00:00:00:0b'), 0)
    expect(outward(toOther, self, gatewayMac)).toBeUndefined()
  })

  test('a name that the network refuses is found again, and answered in its place', () => {
    const network = new NetworkGateway({ network: 'lan', clock: { monotonicMs: () => 0 } })
    // A query for example.org, id 0x1234.
    const query = Buffer.from('123401000001000000000000076578616d706c65036f72670000010001', 'hex')
    const asked = sent(gateway.ip, 53, query)
    const [refused] = network.onFrame({ mac: MAC, addresses: ['10.192.0.9'] }, asked)
    const question = dnsQuestion(asked)
    expect(Buffer.from(question?.query ?? [])).toEqual(query)
    expect(dnsRefusal(refused ?? new Uint8Array(), gateway.ip)).toBe(question?.key)
    const answer = answered(refused ?? new Uint8Array(), Uint8Array.from(query))
    expect(inward(answer, self)).toBe(true)
    expect(dnsRefusal(answer, gateway.ip)).toBeUndefined()
    expect(answered(refused ?? new Uint8Array(), new Uint8Array(1_300)).length).toBe(14 + 20 + 8 + 12)
  })

  test('ARP for the machine is answered, for others not', () => {
    const request = new Uint8Array(42)
    const view = new DataView(request.buffer)
    request.fill(0xff, 0, 6)
    request.set(macBytes('52:55:0a:c0:00:01'), 6)
    view.setUint16(12, 0x0806)
    view.setUint16(14, 1)
    view.setUint16(16, 0x0800)
    view.setUint16(18, 0x0604)
    view.setUint16(20, 1)
    request.set(macBytes('52:55:0a:c0:00:01'), 22)
    view.setUint32(28, gateway.ip)
    view.setUint32(38, self.address)
    const reply = Buffer.from(arpReplyFor(request, self) ?? [])
    expect(reply.toString('hex')).toBe('52550ac00001525400000009080600010800060400025254000000090ac0000952550ac000010ac00001')
    view.setUint32(38, self.address + 1)
    expect(arpReplyFor(request, self)).toBeUndefined()
  })

  test('never throw, whatever comes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.constantFrom(0x0800, 0x0806), (bytes, type) => {
      if (bytes.length > 13) new DataView(bytes.buffer, bytes.byteOffset).setUint16(12, type)
      outward(bytes, self, gatewayMac)
      inward(bytes, self)
      dnsQuestion(bytes)
      dnsRefusal(bytes, gateway.ip)
      arpReplyFor(bytes, self)
    }))
  })
})
