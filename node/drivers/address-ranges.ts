/** Ranges of IP addresses. */
import { BlockList, isIP } from 'node:net'
import { PlantError } from '../../protocols/kit/index.ts'

/** Ranges that are not routed on the Internet: RFC 1918, 6598, 3927, 1122, 4193, 4291. */
export const PRIVATE_RANGES: readonly string[] = [
  '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '169.254.0.0/16', '127.0.0.0/8', 'fc00::/7', 'fe80::/10', '::1/128'
]

export interface AddressRanges { has (address: string): boolean }

/** The addresses in these ranges (CIDR). Throws CONFIG_INVALID for one that is none. */
export function addressRanges (ranges: readonly string[]): AddressRanges {
  const list = new BlockList()
  for (const range of ranges) {
    const [network = '', bits, ...more] = range.split('/')
    const version = isIP(network)
    const prefix = /^[0-9]{1,3}$/.test(bits ?? '') ? Number(bits) : Infinity
    if (version === 0 || more.length > 0 || prefix > (version === 4 ? 32 : 128)) {
      throw new PlantError('CONFIG_INVALID', { field: 'inside', found: range.slice(0, 100), allowed: 'a range such as 10.77.0.0/16 or fd00:77::/32' })
    }
    list.addSubnet(network, prefix, version === 4 ? 'ipv4' : 'ipv6')
  }
  return {
    has (address) {
      const version = isIP(address)
      return version !== 0 && list.check(address, version === 4 ? 'ipv4' : 'ipv6')
    }
  }
}
