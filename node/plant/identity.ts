/** What a clone becomes: everything in which it must differ from its golden machine and its siblings (VMM.md, "A clone is not yet a machine of its own"). */
import { toHex, type KeyId, type Random, type VmId } from '../../protocols/kit/index.ts'
import { macOf } from '../../protocols/tunnel/card-mac.ts'
import type { Identity } from '../lines/line.ts'
import { sshKeyOf } from './ssh-key.ts'

/** Bytes of host entropy mixed into the clone's random pool: the full strength of its generator (ChaCha20, 256 bits). */
const SEED_BYTES = 32

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
