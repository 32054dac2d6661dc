/** Golden machines that other plants hold, as templates: who says to have them, and their descriptions as their ids bind them. */
import type { GoldenId, PeerId } from '../../../protocols/kit/index.ts'
import type { HeldImage, MeshImages } from '../../../protocols/image/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'

/** What plants say of a golden machine that was described. */
export interface Elsewhere { golden: Golden, holders: PeerId[], ownBytes: number, totalBytes: number, lastUsedMs: number | undefined }

/** Golden machines elsewhere that one list describes: more are found by their names. */
export const ELSEWHERE_MAX = 1_024

/** The last use that plants tell of; what was never used is told with the time of its making. */
export function usedElsewhereMs (golden: Pick<Golden, 'createdAtMs'>, usedS: readonly number[]): number | undefined {
  const latestS = Math.max(0, ...usedS)
  return latestS <= Math.floor(golden.createdAtMs / 1_000) ? undefined : latestS * 1_000
}

/** A holder describes some at once (`protocols/image`, DESCRIBE_AT_ONCE_MAX): as many asks as it takes for all that one plant tells of, and one more. */
const DESCRIBE_ROUNDS_MAX = 5

/** What the mesh says it has, described; what nobody describes in time is left out. Those that are `here` need nobody to describe them. Throws the signal's reason only. */
export async function templatesElsewhere (mesh: Pick<MeshImages, 'held' | 'describe'>, os: string | undefined, here: readonly Golden[], signal: AbortSignal): Promise<Elsewhere[]> {
  const held = new Map<GoldenId, HeldImage>(fairly(mesh.held(os), ELSEWHERE_MAX).map((one) => [one.goldenId, one]))
  const known = here.filter(({ goldenId }) => held.has(goldenId))
  const ids = new Set(known.map(({ goldenId }) => goldenId))
  const described = await allDescribed(mesh, [...held.keys()].filter((goldenId) => !ids.has(goldenId)), signal)
  return [...known, ...described].map((golden) => {
    const said = [...held.get(golden.goldenId)?.said ?? []]
    return {
      golden,
      holders: said.map(([peer]) => peer),
      ownBytes: Math.max(0, ...said.map(([, holding]) => holding.ownBytes)),
      totalBytes: Math.max(0, ...said.map(([, holding]) => holding.totalBytes)),
      lastUsedMs: usedElsewhereMs(golden, said.map(([, holding]) => holding.usedS))
    }
  })
}

/** Asked again for as long as that brings any. */
async function allDescribed (mesh: Pick<MeshImages, 'describe'>, goldenIds: readonly GoldenId[], signal: AbortSignal): Promise<Golden[]> {
  let described: Golden[] = []
  for (let round = 0; round < DESCRIBE_ROUNDS_MAX && described.length < goldenIds.length; round++) {
    const before = described.length
    described = await mesh.describe(goldenIds, signal)
    if (described.length <= before) break
  }
  return described
}

/** At most so many, a few of each plant before many of any: one that claims to have thousands must not hide what others have. */
function fairly (held: readonly HeldImage[], max: number): HeldImage[] {
  if (held.length <= max) return [...held]
  const told = new Map<PeerId, number>()
  const ranked = held.map((image) => {
    const counts = [...image.said.keys()].map((peer) => told.get(peer) ?? 0)
    for (const peer of image.said.keys()) told.set(peer, (told.get(peer) ?? 0) + 1)
    return { image, rank: Math.min(...counts) }
  })
  return ranked.sort((a, b) => a.rank - b.rank).slice(0, max).map(({ image }) => image)
}
