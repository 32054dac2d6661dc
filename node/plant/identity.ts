/** What a clone becomes: everything in which it must differ from its golden machine and its siblings (VMM.md, "A clone is not yet a machine of its own"). */
import { toHex, type KeyId, type Random, type VmId } from '../../protocols/kit/index.ts'
import type { Identity } from '../lines/line.ts'
import { sshKeyOf } from './ssh-key.ts'

/** Bytes of host entropy mixed into the clone's random pool: the full strength of its generator (ChaCha20, 256 bits). */
const SEED_BYTES = 32

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

/** A host name (RFC 1123): from the order's name where it is one, made unique by the VMID. */
export function hostNameOf (name: string, vmId: VmId): string {
  const base = name.toLowerCase().replace(/[^a-z0-9-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 50)
  return `${base === '' ? 'vm' : base}-${vmId.slice(0, 8)}`
}

/** The identity of a clone: what follows from its VMID and owner, and fresh chance for the rest. `networked`: its card leads somewhere. */
export function identityOf (vmId: VmId, name: string, owner: KeyId, random: Random, networked: boolean): Identity {
  const ownerKey = sshKeyOf(owner)
  return { mac: macOf(vmId), hostName: hostNameOf(name, vmId), machineId: toHex(random.bytes(16)), seed: random.bytes(SEED_BYTES), ...(networked && { networked }), ...(ownerKey !== undefined && { ownerKey }) }
}
