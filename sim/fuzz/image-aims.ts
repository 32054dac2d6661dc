/** Aims at golden machines that are being fetched: whoever fetches dies or its disk fills, or whoever gives them is gone for good. */
import type { RandomStream } from '../kernel/index.ts'
import type { SimPlant } from '../world/plant.ts'
import { usOf } from '../world/timeline.ts'
import type { World } from '../world/world.ts'

/** Each strikes once, when a fetch has got something from then on. */
export type ImageAim =
  /** The process that fetches dies. */
  | { kind: 'crashInFetch', fromMs: number, restartAfterMs: number }
  /** The disk of the plant that fetches is full for a while. */
  | { kind: 'fullInFetch', fromMs: number, forMs: number }
  /** A plant that has all of what is fetched loses power and disk, and is not started again until all is mended. */
  | { kind: 'holderGone', fromMs: number }

/** Aims strike before this. */
const FROM_MS_MAX = 45_000

/** Those of a case where plants fetch; `loss`: whether one disk more may be lost. */
export function drawImageAims (random: RandomStream, loss: boolean): ImageAim[] {
  const fromMs = (): number => 4_000 + random.int(FROM_MS_MAX - 4_000)
  return [
    ...(random.chance(0.4) ? [{ kind: 'crashInFetch' as const, fromMs: fromMs(), restartAfterMs: random.int(4_000) }] : []),
    ...(random.chance(0.25) ? [{ kind: 'fullInFetch' as const, fromMs: fromMs(), forMs: 500 + random.int(20_000) }] : []),
    ...(random.chance(0.25) && loss ? [{ kind: 'holderGone' as const, fromMs: fromMs() }] : [])
  ]
}

/** True: it has struck. */
export function strikeImages (world: World, aim: ImageAim): SimPlant | undefined {
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
