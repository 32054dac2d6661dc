/** Which of several templates stands for a series or a label: the most recently used, else the newest (SO-MVDS, "Template life cycle"). */
import type { Golden } from '../../protocols/order/golden.ts'
import { templateKey, versionOf } from '../../protocols/order/versions.ts'

/** Of `goldens`, all sizes of the one template that is chosen; empty when there is none. Does not depend on their order. */
export function chosenOf<T extends { golden: Golden }> (goldens: readonly T[], lastUsedMs: (golden: Golden) => number | undefined): T[] {
  let best: { sizes: T[], usedMs: number, version: number, createdAtMs: number, key: string } | undefined
  for (const [key, sizes] of Map.groupBy(goldens, ({ golden }) => templateKey(golden))) {
    const one = {
      key,
      sizes,
      usedMs: Math.max(...sizes.map(({ golden }) => lastUsedMs(golden) ?? -1)),
      version: Math.max(...sizes.map(({ golden }) => versionOf(golden))),
      createdAtMs: Math.min(...sizes.map(({ golden }) => golden.createdAtMs))
    }
    if (best === undefined || isBefore(one, best)) best = one
  }
  return best?.sizes ?? []
}

interface Ranked { sizes: ReadonlyArray<{ golden: Golden }>, usedMs: number, version: number, createdAtMs: number, key: string }

/** Versions count within a series; across series the time of making does. */
function isBefore (a: Ranked, b: Ranked): boolean {
  if (a.usedMs !== b.usedMs) return a.usedMs > b.usedMs
  const sameSeries = a.sizes[0]?.golden.name === b.sizes[0]?.golden.name
  if (sameSeries && a.version !== b.version) return a.version > b.version
  if (a.createdAtMs !== b.createdAtMs) return a.createdAtMs > b.createdAtMs
  return a.key < b.key
}
