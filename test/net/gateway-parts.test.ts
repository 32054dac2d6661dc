/** The pure parts of a client's end: which frames pass, what became of a connection, and names. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isLoopback, listenAt, publication } from '../../node/cli/proxy-arguments.ts'
import { DialWatch } from '../../node/net/dial-watch.ts'
import { macBytes, setOwnMac, wantedBy } from '../../node/net/gateway-frames.ts'
import { answerIn, isHostName, questionFrame } from '../../node/net/name-question.ts'

const OWN = { mac: macBytes('02:00:00:00:00:05'), address: 0x0ac00005 }
const VM = { mac: macBytes('52:54:00:00:00:09'), address: 0x0ac00009 }

/** A TCP segment, or another packet, from `from` to `to`; checksums are nobody's concern here. */
function packet (from: typeof OWN, to: typeof OWN, { protocol = 6, ports = [22, 40_000], flags = 0 }: { protocol?: number, ports?: [number, number], flags?: number } = {}): Uint8Array {
  const bytes = new Uint8Array(54)
  const view = new DataView(bytes.buffer)
  bytes.set(to.mac, 0)
  bytes.set(from.mac, 6)
  view.setUint16(12, 0x0800)
  view.setUint8(14, 0x45)
  view.setUint16(16, 40)
  view.setUint8(23, protocol)
  view.setUint32(26, from.address)
  view.setUint32(30, to.address)
  view.setUint16(34, ports[0])
  view.setUint16(36, ports[1])
  view.setUint8(47, flags)
  return bytes
}

function arp (from: typeof OWN): Uint8Array {
  const bytes = new Uint8Array(42)
  const view = new DataView(bytes.buffer)
  bytes.set(from.mac, 6)
  view.setUint16(12, 0x0806)
  bytes.set(from.mac, 22)
  view.setUint32(28, from.address)
  return bytes
}

describe('frames of a user-mode gateway', () => {
  test('let in ARP and TCP to its own card and address, nothing else', () => {
    expect(wantedBy(packet(VM, OWN), OWN.mac, OWN.address)).toBe(true)
    expect(wantedBy(arp(VM), OWN.mac, OWN.address)).toBe(true)
    expect(wantedBy(packet(VM, OWN, { protocol: 17, ports: [68, 67] }), OWN.mac, OWN.address)).toBe(false)
    expect(wantedBy(packet(VM, { ...OWN, address: OWN.address + 1 }), OWN.mac, OWN.address)).toBe(false)
    expect(wantedBy(packet(VM, { ...OWN, mac: VM.mac }), OWN.mac, OWN.address)).toBe(false)
  })

  test('let out its own only, with its own card as the sender', () => {
    const process = { mac: macBytes('52:55:0a:c0:00:05'), address: OWN.address }
    for (const frame of [packet(process, VM), arp(process)]) {
      expect(setOwnMac(frame, OWN.mac, OWN.address)).toBe(true)
      expect(frame.subarray(6, 12)).toEqual(OWN.mac)
    }
    expect(setOwnMac(arp({ ...process, address: VM.address }), OWN.mac, OWN.address)).toBe(false)
    expect(setOwnMac(packet(process, VM, { protocol: 17 }), OWN.mac, OWN.address)).toBe(false)
  })

  test('never throw, whatever comes', () => {
    const watch = new DialWatch()
    watch.expect({ address: VM.address, port: 22, localPort: 40_000 }, () => {})
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(0x0800, 0x0806), (bytes, type) => {
      if (bytes.length > 13) new DataView(bytes.buffer, bytes.byteOffset).setUint16(12, type)
      wantedBy(bytes, OWN.mac, OWN.address)
      answerIn(bytes, { address: OWN.address, port: 40_000 })
      watch.onFrame(bytes)
      setOwnMac(bytes, OWN.mac, OWN.address)
    }))
  })
})

describe('DialWatch', () => {
  const key = { address: VM.address, port: 22, localPort: 40_000 }
  test('tells open by the machine\'s SYN with ACK and refused by its RST, once', () => {
    for (const [flags, expected] of [[0x12, 'open'], [0x14, 'refused']] as const) {
      const watch = new DialWatch()
      const told: string[] = []
      watch.expect(key, (outcome) => { told.push(outcome) })
      watch.onFrame(packet(VM, OWN, { flags: 0x10 }))
      watch.onFrame(packet(VM, OWN, { flags, ports: [22, 40_001] }))
      expect(told).toEqual([])
      watch.onFrame(packet(VM, OWN, { flags }))
      watch.onFrame(packet(VM, OWN, { flags }))
      expect(told).toEqual([expected])
    }
  })

  test('tells nothing once it was called off', () => {
    const watch = new DialWatch()
    watch.expect(key, () => { throw new Error('told') })()
    watch.onFrame(packet(VM, OWN, { flags: 0x12 }))
  })
})

describe('names', () => {
  /** As a server answers: the question again, and addresses by pointers to its name. */
  function answerTo (question: Uint8Array, addresses: number[]): Uint8Array {
    const bytes = new Uint8Array(question.length + 16 * addresses.length)
    bytes.set(question)
    const view = new DataView(bytes.buffer)
    view.setUint32(26, view.getUint32(30))
    view.setUint32(30, OWN.address)
    view.setUint16(36, view.getUint16(34))
    view.setUint16(34, 53)
    view.setUint16(44, 0x8180)
    view.setUint16(48, addresses.length)
    addresses.forEach((address, i) => {
      const at = question.length + 16 * i
      view.setUint16(at, 0xc00c)
      view.setUint16(at + 2, 1)
      view.setUint16(at + 4, 1)
      view.setUint16(at + 10, 4)
      view.setUint32(at + 12, address)
    })
    return bytes
  }

  test('are asked so that the answer to the same port gives the addresses', () => {
    const question = questionFrame({ id: 77, name: 'web.lan', from: { ...OWN, port: 50_000 }, to: { mac: VM.mac, address: 0x0ac00001 } })
    expect(answerIn(answerTo(question, [VM.address]), { address: OWN.address, port: 50_000 })).toEqual({ id: 77, addresses: [VM.address] })
    expect(answerIn(answerTo(question, []), { address: OWN.address, port: 50_000 })).toEqual({ id: 77, addresses: [] })
    expect(answerIn(answerTo(question, [VM.address]), { address: OWN.address, port: 50_001 })).toBeUndefined()
    expect(answerIn(question, { address: OWN.address, port: 50_000 })).toBeUndefined()
  })

  test('that nobody can have are not asked for', () => {
    expect(['web', 'web-1.lan', 'a_b.', 'x'.repeat(63)].map(isHostName)).toEqual([true, true, true, true])
    expect(['', '.', 'a..b', 'ä', 'x'.repeat(64), '-a', 'a b', `${'x.'.repeat(127)}xx`].map(isHostName)).toEqual([false, false, false, false, false, false, false, false])
  })
})

describe('arguments of proxy', () => {
  test('listen on loopback unless a host is named', () => {
    expect(listenAt('1080')).toEqual({ host: '127.0.0.1', port: 1080 })
    expect(listenAt('0.0.0.0:0')).toEqual({ host: '0.0.0.0', port: 0 })
    expect(listenAt('[::1]:1080')).toEqual({ host: '::1', port: 1080 })
    for (const wrong of ['', 'x', '1:2:3', '65536', ':1', '::1:80']) expect(() => listenAt(wrong)).toThrow()
  })

  test('call loopback only what is an address of it: a host name may lead anywhere', () => {
    expect(['127.0.0.1', '127.1.2.3', '::1', 'localhost'].every(isLoopback)).toBe(true)
    expect(['0.0.0.0', '::', '192.0.2.1', '127.example.org', '127.0.0.1.example.org'].some(isLoopback)).toBe(false)
  })

  test('publish a machine\'s port by name, VMID or address', () => {
    expect(publication('127.0.0.1:2222:web:22')).toEqual({ host: '127.0.0.1', port: 2222, machine: 'web', machinePort: 22 })
    expect(publication('[::1]:2222:10.192.0.7:22')).toEqual({ host: '::1', port: 2222, machine: '10.192.0.7', machinePort: 22 })
    expect(publication('0:0123456789abcdef0123456789abcdef:80').port).toBe(0)
    for (const wrong of ['', '2222', '2222:web', '2222:web:0', '2222:web:65536', '2222::22', 'a b:1:c:2']) expect(() => publication(wrong)).toThrow()
  })
})
