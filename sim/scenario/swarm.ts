/** What `mode: swarm` takes: an image that one plant has and all others want at once. */
import { z } from 'zod'
import { foundText, type Path, type RawProblem } from '../../protocols/order/problems.ts'
import { count, mbit, share } from './fields.ts'
import { plantCount } from './plants-of.ts'
import type { PlantGroup } from './plants.ts'

/** Plants and chunks of a crowd: a bit for each pair, so 512 MiB. */
const CROWD_BITS_MAX = 2 ** 32

/** Only for `mode: swarm`. Plants are equal; the first one has the image. */
export const swarm = z.strictObject({
  imageBytes: count(1, 2 ** 40).prefault(3_000_000_000),
  /** Each plant's line, up and down. */
  lineMbit: mbit.prefault(2_400),
  /** The model's grain: a plant sends on what it has whole. The swarm's own pieces have 64 KiB; larger ones take less time to run and a little more simulated time. */
  chunkKiB: count(64, 65_536).prefault(1_024),
  /** Others that a fetch dials (WIRES_DIALLED_MAX). */
  dialled: count(1, 64).prefault(32),
  /** Of these plants the lines carry `slowRate` of the others'. */
  slowShare: share.prefault(0),
  slowRate: z.number().gt(0).max(1).prefault(0.5)
})
export type SwarmSpec = z.output<typeof swarm>

/** Problems of a scenario that is to run as a swarm. */
export function swarmProblems ({ plants, orders, faults, swarm: { imageBytes, chunkKiB } }: { plants: readonly PlantGroup[], orders: readonly unknown[], faults: readonly unknown[], swarm: SwarmSpec }): RawProblem[] {
  const wrong = (is: boolean, path: Path, found: string, allowed: string): RawProblem[] => is ? [{ path, found, allowed, message: 'mode: swarm has nothing of it' }] : []
  const counted = plantCount({ plants })
  const chunks = Math.ceil(imageBytes / (chunkKiB * 1_024))
  return [
    ...wrong(counted < 2, ['plants'], `${counted} plants`, 'two plants or more, as the first one has the image'),
    ...wrong(orders.length > 0, ['orders'], `${orders.length} sources`, 'none with mode: swarm, as every plant wants the image at the start'),
    ...wrong(faults.length > 0, ['faults'], `${faults.length} faults`, 'none with mode: swarm'),
    ...wrong(counted * chunks > CROWD_BITS_MAX, ['swarm', 'chunkKiB'], foundText(chunkKiB), `so large that plants times chunks, here ${counted * chunks}, are at most ${CROWD_BITS_MAX}`)
  ]
}
