/** Addresses of machines' cards, as they follow from whose they are: any plant can tell whose such an address is, whatever another says. */
import type { VmId } from '../kit/index.ts'

/** A locally administered unicast address (IEEE 802, second-least bit of the first byte) that follows from the VMID: 46 bits of a digest. */
export function macOf (vmId: VmId): string {
  const bytes = vmId.slice(0, 12).match(/../g) ?? []
  const first = (Number.parseInt(bytes[0] ?? '0', 16) & 0xfc) | 0x02
  return [first.toString(16).padStart(2, '0'), ...bytes.slice(1)].join(':')
}

/** The address of a machine's card beside its first: of other digits of the VMID, and another for each (`nth` is 1 and up). */
export function cardMacOf (vmId: VmId, nth: number): string {
  const last = (Number.parseInt(vmId.slice(22, 24), 16) + nth) & 0xff
  return macOf(`${vmId.slice(12, 22)}${last.toString(16).padStart(2, '0')}` as VmId)
}

/** Whether a card's address follows from the machine's VMID. A spare's does not: its card was there before the machine was ordered. */
export function isCardOf (mac: string, vmId: VmId): boolean {
  // All but the last byte, which tells its further cards apart.
  return mac === macOf(vmId) || mac.slice(0, 15) === cardMacOf(vmId, 1).slice(0, 15)
}
