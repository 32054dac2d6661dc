/** Where machines that may go out may go. Pure. */
import { PlantError } from '../../protocols/kit/index.ts'
import { contains, parseCidr, subnetOf, type Subnet } from '../../protocols/tunnel/address/index.ts'

/** `true`: the public Internet; a list: these ranges and nothing else. */
export type EgressRanges = true | readonly string[]

/** Not of the public Internet (IANA's IPv4 special-purpose registry), and so perhaps the plant's own LAN, its services, or nobody's. */
const SPECIAL = [
  '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16',
  '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/3'
].map(rangeOf)

/** Never, whatever is listed: what this host says to itself, and groups. */
const NEVER = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3'].map(rangeOf)

/**
 * Whether a machine may send to an address. `own` are the host's addresses, of which only those are open that the list has singly: what listens on them takes what comes from a
 * machine for the host's own. Throws CONFIG_INVALID when a range is none.
 */
export function egressPolicy (ranges: EgressRanges, own: () => readonly number[]): (address: number) => boolean {
  if (ranges === true) return (address) => !SPECIAL.some((range) => contains(range, address)) && !own().includes(address)
  const listed = ranges.map(rangeOf)
  const singly = new Set(listed.filter(({ prefixBits }) => prefixBits === 32).map(({ base }) => base))
  return (address) => !NEVER.some((range) => contains(range, address)) && listed.some((range) => contains(range, address)) && (singly.has(address) || !own().includes(address))
}

function rangeOf (text: string): Subnet {
  const parsed = parseCidr(text.includes('/') ? text : `${text}/32`)
  if (parsed === undefined) throw new PlantError('CONFIG_INVALID', { option: 'egress', found: text, allowed: 'IPv4 ranges such as 192.0.2.0/24' })
  return subnetOf(parsed.ip, parsed.prefixBits)
}
