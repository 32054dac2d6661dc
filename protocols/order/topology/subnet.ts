/** IPv4 subnets as numbers. */

/** From `base` on, 2 to the power of 32 - `prefix` addresses. */
export interface Subnet { base: number, prefix: number }

/** A dotted quad as a number. The text must be one. */
export function addressNumber (text: string): number {
  return text.split('.').reduce((number, octet) => number * 256 + Number(octet), 0)
}

/** A number as a dotted quad. */
export function addressText (number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')
}

/** The subnet in `192.168.7.0/24`; undefined when the text is none, or has bits of a host. */
export function subnetOf (text: string): Subnet | undefined {
  const [, quad = '', prefixText = ''] = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(text) ?? []
  const prefix = Number(prefixText)
  if (quad === '' || prefix > 32 || quad.split('.').some((octet) => Number(octet) > 255 || String(Number(octet)) !== octet)) return undefined
  const base = addressNumber(quad)
  return base % sizeOf(prefix) === 0 ? { base, prefix } : undefined
}

/** 10.192.0.1, where the plants themselves answer (protocols/tunnel/address). */
const GATEWAY = 0x0ac00001

/** How many addresses a prefix leaves. */
export function sizeOf (prefix: number): number { return 2 ** (32 - prefix) }

/** True for an address of the subnet. */
export function contains ({ base, prefix }: Subnet, address: number): boolean {
  return address >= base && address < base + sizeOf(prefix)
}

/** True when an address is in both. */
export function overlap (a: Subnet, b: Subnet): boolean {
  return contains(a, b.base) || contains(b, a.base)
}

/** Whether a machine may have this address: not the subnet's name or broadcast address, nor that at which plants answer on every network. */
export function isMachines (subnet: Subnet, address: number): boolean {
  const { base, prefix } = subnet
  return contains(subnet, address) && address !== base && address !== base + sizeOf(prefix) - 1 && address !== GATEWAY
}
