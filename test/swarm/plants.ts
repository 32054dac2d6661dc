/** Plants with a swarm each, on real libp2p nodes over TCP. */
import { BittorrentWire } from '../../node/drivers/swarm-wire.ts'
import type { Mesh } from '../../node/drivers/libp2p-mesh.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { SystemRandom } from '../../node/drivers/system-random.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { swarm } from '../../storage/swarm/index.ts'
import type { Swarm, SwarmInit, WireMaker } from '../../storage/swarm/index.ts'
import { afterTest, meshOf, quietLog, until } from '../support/mesh.ts'

export interface SwarmPlant { mesh: Mesh, peer: PeerId, swarm: Swarm }

export interface PlantOptions extends SwarmInit {
  /** Stands between a plant and its wires: how a test makes a peer behave badly. */
  wire?: (make: WireMaker) => WireMaker
}

/** A started swarm on a mesh node. */
export async function swarmOn (mesh: Mesh, options: PlantOptions = {}): Promise<SwarmPlant> {
  const peer = mesh.transport.self
  const make: WireMaker = (stream) => new BittorrentWire(stream, peer)
  const one = swarm(options)({
    transport: mesh.transport, wire: options.wire?.(make) ?? make, clock: new SystemClock(), random: new SystemRandom(), log: quietLog
  })
  await one.start()
  afterTest(async () => one.stop())
  return { mesh, peer, swarm: one }
}

/** So many plants; `options` for each by its number. */
export async function swarmPlants (count: number, options: (i: number) => PlantOptions = () => ({})): Promise<SwarmPlant[]> {
  const meshes = await meshOf(count)
  for (const mesh of meshes) await until('all are neighbours', () => mesh.transport.connected().length === count - 1, 20_000)
  return Promise.all(meshes.map(async (mesh, i) => swarmOn(mesh, options(i))))
}

/** These peers, each time they are looked up. */
export function fixed (...peers: PeerId[]): () => AsyncIterable<PeerId> {
  return async function * () { yield * peers }
}
