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

/** What the mesh says it has, described; what nobody describes in time is left out. Throws the signal's reason only. */
export async function templatesElsewhere (mesh: Pick<MeshImages, 'held' | 'describe'>, os: string | undefined, signal: AbortSignal): Promise<Elsewhere[]> {
  const held = new Map<GoldenId, HeldImage>(mesh.held(os).slice(0, ELSEWHERE_MAX).map((one) => [one.goldenId, one]))
  const described = await mesh.describe([...held.keys()], signal)
  return described.map((golden) => {
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
