/** Which plants keep track of a VMID, worked out from the protocol's words (`protocols/claim/README.md`) over the plants that there are. */
import type { VmId } from '../../protocols/kit/index.ts'
import type { SimPlant } from '../world/plant.ts'
import type { World } from '../world/world.ts'

/** As `protocols/claim` has it. */
const REGISTRARS = 3

/** The plants whose ids are closest to that of the machine; plants that are down count, as none is forgotten as long as a drawn case takes. */
export function registrarsOf (world: World, vmId: VmId): SimPlant[] {
  const place = (text: string): bigint => world.ring.sha256(new TextEncoder().encode(text)).reduce((sum, byte) => sum << 8n | BigInt(byte), 0n)
  const wanted = place(vmId)
  const far = new Map(world.plants.map((plant) => [plant, place(plant.peer) ^ wanted]))
  return world.plants.toSorted((a, b) => (far.get(a) ?? 0n) < (far.get(b) ?? 0n) ? -1 : 1).slice(0, REGISTRARS)
}
