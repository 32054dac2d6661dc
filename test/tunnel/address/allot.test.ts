import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NodeCrypto } from '../../../node/drivers/node-crypto.ts'
import { addressKey, candidates, holderDigest, holderOf, isOwnAddress, wantedAddress } from '../../../protocols/tunnel/address/allot.ts'
import { DEFAULT_SUBNET, broadcastOf, contains, gatewayOf, isHost, maskOf, parseCidr, sizeOf, subnetOf, subnetText } from '../../../protocols/tunnel/address/index.ts'
import { ipv4Text } from '../../../protocols/tunnel/ethernet.ts'
import type { NetworkId } from '../../../protocols/tunnel/types.ts'
import { lab, macOf, vm } from './plants.ts'

const crypto = new NodeCrypto()
const other = 'cd'.repeat(16) as NetworkId

describe('subnets', () => {
  test('the network\'s own is 10.192.0.0/10 with its first address for the gateway', () => {
    expect([subnetText(DEFAULT_SUBNET), ipv4Text(gatewayOf(DEFAULT_SUBNET)), ipv4Text(broadcastOf(DEFAULT_SUBNET)), ipv4Text(maskOf(10)), sizeOf(DEFAULT_SUBNET)]).toEqual(['10.192.0.0/10', '10.192.0.1', '10.255.255.255', '255.192.0.0', 4_194_304])
  })

  test('an address lies in its subnet, whose ends are no hosts', () => {
    fc.assert(fc.property(fc.nat(0xffffffff), fc.integer({ min: 0, max: 32 }), (ip, prefixBits) => {
      const subnet = subnetOf(ip, prefixBits)
      expect([contains(subnet, ip), contains(subnet, subnet.base), contains(subnet, broadcastOf(subnet))]).toEqual([true, true, true])
      expect(broadcastOf(subnet)).toBeLessThanOrEqual(0xffffffff)
      if (prefixBits < 31) expect([isHost(subnet, subnet.base), isHost(subnet, broadcastOf(subnet))]).toEqual([false, false])
      expect(parseCidr(subnetText(subnet))).toEqual({ ip: subnet.base, prefixBits })
    }))
  })

  test('text that is no address with a prefix is none, whatever it is', () => {
    for (const text of ['10.0.0.1', '10.0.0.1/33', '10.0.0.1/-1', '10.0.0.1/08', '10.0.0.256/8', '10.0.0/8', '/8', '10.0.0.1/8/8', '10.0.0.1/ 8', '']) expect(parseCidr(text)).toBeUndefined()
    fc.assert(fc.property(fc.string(), (text) => { wantedAddress(text) }))
  })
})

describe('candidates', () => {
  test('are hosts of the subnet, each once, never the gateway; the same for one machine, others for another', () => {
    const of = (networkId: NetworkId, id: string): number[] => [...candidates(crypto, networkId, id)]
    const first = of(lab, vm(1))
    expect(first).toHaveLength(new Set(first).size)
    expect(first.every((ip) => isHost(DEFAULT_SUBNET, ip) && ip !== gatewayOf(DEFAULT_SUBNET))).toBe(true)
    expect(of(lab, vm(1))).toEqual(first)
    expect([of(lab, vm(2))[0], of(other, vm(1))[0]]).not.toContain(first[0])
  })

  test('are all hosts of a small subnet', () => {
    const subnet = subnetOf(0x0a_c8_00_00, 28)
    const found = [...candidates(crypto, lab, vm(1), subnet)].toSorted((a, b) => a - b)
    expect(found).toEqual(Array.from({ length: 13 }, (_, i) => subnet.base + 2 + i))
  })
})

describe('what registrars are told', () => {
  test('a key is of one network and address', () => {
    const keys = [addressKey(crypto, lab, 1), addressKey(crypto, lab, 2), addressKey(crypto, other, 1)]
    expect(new Set(keys).size).toBe(3)
    expect(keys.every((key) => /^[0-9a-f]{32}$/.test(key))).toBe(true)
  })

  test('the holder is read by those who know network and address, and by nobody else', () => {
    const digest = holderDigest(crypto, lab, 5, { vmId: vm(7), mac: macOf(7) })
    expect(digest).toMatch(/^[0-9a-f]{64}$/)
    expect(digest).not.toContain(vm(7).slice(8))
    expect(holderOf(crypto, lab, 5, digest)).toBe(vm(7))
    expect([holderOf(crypto, lab, 6, digest), holderOf(crypto, other, 5, digest), holderOf(crypto, lab, 5, '0'.repeat(64)), holderOf(crypto, lab, 5, 'rubbish')]).toEqual([undefined, undefined, undefined, undefined])
    expect(holderOf(crypto, lab, 5, holderDigest(crypto, lab, 5, { mac: macOf(7) }))).toBeUndefined()
  })
})

test('an address is a machine\'s own that is among its candidates or in its order, and no other', () => {
  const own = [...candidates(crypto, lab, vm(7))]
  for (const ip of [own[0], own[15], own.at(-1)]) {
    expect(isOwnAddress(crypto, lab, vm(7), ip ?? 0, [])).toBe(true)
    expect(isOwnAddress(crypto, lab, vm(8), ip ?? 0, [])).toBe(false)
    expect(isOwnAddress(crypto, other, vm(7), ip ?? 0, [])).toBe(false)
  }
  const ordered = ['10.200.1.2', '192.168.7.10/24', 'nonsense']
  for (const text of ['10.200.1.2', '192.168.7.10', '192.168.7.11', '10.200.1.3']) {
    const ip = text.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
    expect(isOwnAddress(crypto, lab, vm(7), ip, ordered)).toBe(text === '10.200.1.2' || text === '192.168.7.10')
  }
})
