/**
 * A machine that is not provisional is on the disks of most of its registrars before it is begun. Who they are is reckoned here: the three plants of the world
 * whose digests are closest to the VMID's.
 */
import { decodeKept } from '../../protocols/claim/index.ts'
import { toHex, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import type { World } from '../world/world.ts'
import type { Goodbyes } from './goodbyes.ts'
import { isLive, problem, type Checker, type Seen } from './seen.ts'

const REGISTRARS = 3

/** Looks once at each machine, when its record first says that it is no provisional one. */
export function registered (goodbyes: Goodbyes): Checker {
  const name = 'registered'
  const looked = new Set<string>()
  return {
    name,
    afterEvent (seen) {
      for (const { host } of seen.world.plants) {
        for (const { vmId, provisional, lease, ...record } of host.records.machines.values()) {
          const key = `${lease.id}`
          if (provisional || looked.has(key) || !isLive({ vmId, provisional, lease, ...record })) continue
          looked.add(key)
          const knowing = (registrars: PeerId[]): PeerId[] => registrars.filter((peer) => knows(seen, peer, vmId, host.peer))
          const sets = registrarSets(seen.world, vmId, goodbyes.openAt(host.peer))
          if (sets.some((set) => 2 * knowing(set).length > set.length)) continue
          const registrars = sets[0] ?? []
          return problem(name, seen, `${host.name} begins ${vmId} as the only one of its order, and of its registrars ${names(seen.world, registrars)} only [${names(seen.world, knowing(registrars))}] have it on disk`, vmId)
        }
      }
      return undefined
    }
  }
}

/** A liar may have said that it notes it. */
function knows ({ world, liars }: Seen, registrar: PeerId, vmId: VmId, holder: PeerId): boolean {
  const plant = world.at(registrar)
  if (plant === undefined || liars.has(plant.name)) return plant !== undefined
  const entry = plant.host.records.claims.get(vmId)
  return entry !== undefined && decodeKept(entry).holder === holder
}

/** The plants of the world that are closest to the VMID. */
export function registrarsOf ({ plants, ring }: Pick<World, 'plants' | 'ring'>, vmId: VmId): PeerId[] {
  const place = (text: string): Uint8Array => ring.sha256(new TextEncoder().encode(text))
  const to = place(vmId)
  const far = plants.map(({ peer }) => ({ peer, far: toHex(place(peer).map((byte, i) => byte ^ (to[i] ?? 0))) }))
  return far.sort((a, b) => a.far < b.far ? -1 : 1).slice(0, REGISTRARS).map(({ peer }) => peer)
}

/**
 * Who they may be taken for by a plant to which some have said goodbye: with each of those or without. The first set is that of all plants.
 */
export function registrarSets ({ plants, ring }: World, vmId: VmId, gone: readonly PeerId[]): PeerId[][] {
  return Array.from({ length: 2 ** gone.length }, (_, left) => registrarsOf({ ring, plants: plants.filter(({ peer }) => !gone.some((one, at) => one === peer && (left >> at & 1) === 1)) }, vmId))
}

function names (world: World, peers: readonly PeerId[]): string { return peers.map((peer) => world.nameOf(peer)).join(', ') }
