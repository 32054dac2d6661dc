/** Aims at golden machines that are being fetched: whoever fetches dies or its disk fills, or whoever gives them is gone for good. */
import type { RandomStream } from '../kernel/index.ts'
import type { SimPlant } from '../world/plant.ts'
import { usOf } from '../world/timeline.ts'
import type { World } from '../world/world.ts'

/** Each strikes once: when a fetch has got something from then on, or a copy is about to go. */
export type ImageAim =
  /** The process that fetches dies. */
  | { kind: 'crashInFetch', fromMs: number, restartAfterMs: number }
  /** The disk of the plant that fetches is full for a while. */
  | { kind: 'fullInFetch', fromMs: number, forMs: number }
  /** A plant that has all of what is fetched loses power and disk, and is not started again until all is mended, or another fault that strikes it is over. */
  | { kind: 'holderGone', fromMs: number }
  /** A plant is about to give up its copy, and the only other plant with one loses power and disk. */
  | { kind: 'keeperGone', fromMs: number }

/** Aims strike before this. */
const FROM_MS_MAX = 45_000

/** Those of a case where plants fetch; `loss`: whether one disk more may be lost. */
export function drawImageAims (random: RandomStream, loss: boolean): ImageAim[] {
  const fromMs = (): number => 4_000 + random.int(FROM_MS_MAX - 4_000)
  // One disk more is lost at most.
  const lost = loss ? random.chance(0.6) ? 'holderGone' as const : 'keeperGone' as const : 'none'
  return [
    ...(random.chance(0.4) ? [{ kind: 'crashInFetch' as const, fromMs: fromMs(), restartAfterMs: random.int(4_000) }] : []),
    ...(random.chance(0.5) ? [{ kind: 'fullInFetch' as const, fromMs: fromMs(), forMs: 500 + random.int(20_000) }] : []),
    // A copy is given up as soon as it may be: who waits for it waits from the beginning.
    ...(lost === 'none' ? [] : [{ kind: lost, fromMs: lost === 'keeperGone' ? 0 : fromMs() }])
  ]
}

/** Whom it has struck. */
export function strikeImages (world: World, aim: ImageAim): SimPlant | undefined {
  if (aim.kind === 'keeperGone') return strikeKeeper(world)
  const fetch = [...world.swarms?.fetches ?? []].find(({ have, life }) => have > 0 && !life.dead)
  const fetcher = fetch && world.at(fetch.peer)
  if (fetch === undefined || fetcher === undefined) return undefined
  switch (aim.kind) {
    case 'crashInFetch':
      fetcher.crash()
      world.timeline.after(usOf(aim.restartAfterMs), () => { fetcher.start() })
      return fetcher
    case 'fullInFetch':
      fetcher.host.diskFull = true
      world.timeline.after(usOf(aim.forMs), () => { fetcher.host.diskFull = false })
      return fetcher
    case 'holderGone': {
      const holder = world.plants.find((plant) => plant !== fetcher && plant.life !== undefined && plant.imageDisk?.packs.get(fetch.infoHash)?.pieces.every((piece) => piece !== undefined) === true)
      holder?.powerOff(true)
      return holder
    }
  }
}

function strikeKeeper (world: World): SimPlant | undefined {
  for (const plant of world.plants) {
    for (const { goldenId, here, holders, target, does } of plant.node?.life?.why().templates ?? []) {
      if (does !== 'wait' || here !== 'copy' || holders <= target) continue
      const others = world.plants.filter((other) => other !== plant && other.host.shelf.get(goldenId)?.off === false)
      if (others.length !== 1 || others[0]?.life === undefined) continue
      others[0].powerOff(true)
      return others[0]
    }
  }
  return undefined
}
