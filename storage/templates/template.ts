/** Templates: golden machines seen as nodes of the copy-on-write tree, with series and version, labels and uses. Pure. */
import type { GoldenId, KeyId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { templateKey, versionOf } from '../../protocols/order/versions.ts'

/** A golden machine as it is known of: here, elsewhere, or both. */
export interface KnownGolden {
  golden: Golden
  here: boolean
  /** Plants that have it, this one included. */
  holders: number
  bytes: number
  /** What it ships beside its base. */
  ownBytes: number
  /** Wall clock of its last use; absent: none is known. */
  lastUsedMs?: number
  uses: number
}

/** Who put a label on it, when, and on which of its sizes. */
export interface LabelBy { label: string, by: KeyId, atMs: number, goldenId: GoldenId }

export interface Template {
  series: string
  version: number
  /** The golden machine that it stands for: the newest that is no other size of another. */
  main: Golden
  /** All sizes, the main one first. */
  sizes: KnownGolden[]
  labels: LabelBy[]
  pinnedBy: KeyId[]
  /** The golden machine that it was made from, whether that is known or not. */
  baseId: GoldenId | undefined
  /** Of those that are known. */
  base: Template | undefined
  depth: number
  here: boolean
  holders: number
  bytes: number
  ownBytes: number
  lastUsedMs: number | undefined
  uses: number
}

/** What marks say of a golden machine. */
export interface MarksOfGolden { labels: LabelBy[], pinnedBy: KeyId[] }

/** Bases are followed so far: a tree that somebody made deeper, or a circle of forged ids, ends there. */
export const DEPTH_MAX = 1_024

/** All templates of what is known, by series, owner and version. */
export function templatesOf (known: readonly KnownGolden[], marksOf: (goldenId: GoldenId) => MarksOfGolden): Template[] {
  const groups = Map.groupBy(known, ({ golden }) => templateKey(golden))
  const byGolden = new Map<GoldenId, Template>()
  const templates = [...groups.values()].map((sizes) => {
    const template = templateOf(sizes, marksOf)
    for (const { golden } of sizes) byGolden.set(golden.goldenId, template)
    return template
  })
  for (const template of templates) {
    const base = template.baseId === undefined ? undefined : byGolden.get(template.baseId)
    if (base !== template) template.base = base
  }
  for (const template of templates) template.depth = depthOf(template)
  return templates.sort((a, b) => order(a.series, b.series) || a.version - b.version || order(a.main.goldenId, b.main.goldenId))
}

function templateOf (sizes: readonly KnownGolden[], marksOf: (goldenId: GoldenId) => MarksOfGolden): Template {
  const ids = new Set(sizes.map(({ golden }) => golden.goldenId))
  const roots = sizes.filter(({ golden: { from } }) => from === undefined || !ids.has(from))
  const newestFirst = (a: KnownGolden, b: KnownGolden): number => b.golden.createdAtMs - a.golden.createdAtMs || order(a.golden.goldenId, b.golden.goldenId)
  const main = (roots.length === 0 ? sizes : roots).toSorted(newestFirst)[0] as KnownGolden // A group has one at least.
  const marks = sizes.map(({ golden }) => marksOf(golden.goldenId))
  const used = sizes.flatMap(({ lastUsedMs }) => lastUsedMs ?? [])
  return {
    series: main.golden.name,
    version: versionOf(main.golden),
    main: main.golden,
    sizes: [main, ...sizes.filter((one) => one !== main).sort(newestFirst)],
    labels: marks.flatMap(({ labels }) => labels).sort((a, b) => order(a.label, b.label) || order(a.by, b.by)),
    pinnedBy: [...new Set(marks.flatMap(({ pinnedBy }) => pinnedBy))],
    baseId: main.golden.from,
    base: undefined,
    depth: 0,
    here: sizes.some(({ here }) => here),
    holders: Math.max(...sizes.map(({ holders }) => holders)),
    bytes: main.bytes,
    ownBytes: main.ownBytes,
    lastUsedMs: used.length === 0 ? undefined : Math.max(...used),
    uses: sizes.reduce((sum, { uses }) => sum + uses, 0)
  }
}

function depthOf (template: Template): number {
  let depth = 0
  for (let base = template.base; base !== undefined && depth < DEPTH_MAX; base = base.base) depth++
  return depth
}

/** By code unit, so that every plant orders alike. */
function order (a: string, b: string): number { return a < b ? -1 : Number(a > b) }
