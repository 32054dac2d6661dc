/** What must always work, on a mesh that is whole and empty: of a few small orders at each plant, of a golden machine that is there and fits, one runs. */
import type { VmId } from '../../protocols/kit/index.ts'
import type { Scenario } from '../scenario/index.ts'
import { ClientOrder } from '../world/client.ts'
import type { World } from '../world/world.ts'

/** One after the other on plants that are empty. */
const PROBES_EACH = 3
/** Links that lose so much fail more orders than they let through, with everything else in peace: there it takes more orders, each when the one before has its answer. Several at once hold each other up. */
const LOSSY_SHARE = 0.1
const PROBES_EACH_LOSSY = 8
/** From one order to the next. */
export const PROBE_EVERY_MS = 8_000
/** From the last order until it is looked. */
export const PROBE_MS = 40_000

/** None where there is nothing that fits. */
export function placeProbes (world: World, { golden: [golden], plants: groups, links }: Scenario, { atMs, first }: { atMs: number, first: number }): ClientOrder[] {
  // A golden machine that one plant has can be had by all; one that lay on a lost disk alone is gone.
  const isThere = golden !== undefined && world.plants.some(({ host }) => [...host.shelf.values()].some((item) => !item.off && item.golden.name === golden.name))
  const fits = golden !== undefined && isThere && groups.some(({ capacity }) => capacity.machines > 0 && capacity.memoryMiB >= golden.memoryMiB && capacity.diskMiB >= golden.diskMiB && capacity.cpus >= golden.cpus)
  if (golden === undefined || !fits) return []
  const lossy = links.default.lossShare > LOSSY_SHARE
  const shops = Array.from({ length: lossy ? PROBES_EACH_LOSSY : PROBES_EACH }, () => world.plants).flat()
  // Whoever comes after them finds none under way.
  const untilMs = atMs + PROBE_EVERY_MS * shops.length
  const { name, os = name, cpus, memoryMiB, diskMiB } = golden
  const probes: ClientOrder[] = shops.map((plant, at) => new ClientOrder(world, {
    sequence: first + at, source: 1, id: `probe-${at}`, atMs: lossy ? atMs : atMs + PROBE_EVERY_MS * at, shops: [plant], holdMs: PROBE_EVERY_MS / 4,
    machine: { os, cpus, memoryMiB, diskMiB, domain: `probe-${at}`, actions: [], requirements: 'true', strict: true },
    ...(lossy && { onAnswered: () => { if (world.timeline.nowMs < untilMs) probes[at + 1]?.place() } })
  }))
  for (const probe of lossy ? probes.slice(0, 1) : probes) probe.place()
  return probes
}

/** Shops all of whose orders were answered or have had their time, and none runs. */
export function deadShops (probes: readonly ClientOrder[]): Array<{ text: string, vmId: VmId }> {
  const byShop = Map.groupBy(probes, ({ plan }) => plan.shops[0]?.name ?? '')
  return [...byShop].flatMap(([name, here]) => {
    const [one] = here
    // Those that wait behind others have not been asked.
    const asked = here.filter(({ result }) => result.shop !== '')
    if (one === undefined || here.some(({ result }) => result.end === 'running') || asked.length < here.length) return []
    return [{ text: `of ${here.length} orders at ${name}, on a mesh that is whole and empty, none runs: ${here.map(({ result }) => `${result.end} ${result.error ?? ''}`).join(', ')}`, vmId: one.vmId }]
  })
}
