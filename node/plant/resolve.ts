/**
 * What `software.os` means: a golden machine's id, `name@version`, a family, a series (the most recently used version, else the newest) or a label (the most
 * recently used template that has it, else the newest), the first of these that there is. One's own series and labels come before what others call by that name,
 * save the families that plants build: else anybody who publishes under a name takes over the orders that say it. Pure: judging a bid and making the machine
 * resolve alike.
 */
import type { GoldenId, KeyId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { Order } from '../../protocols/order/order.ts'
import { parseVersionName, templateKey, whose } from '../../protocols/order/versions.ts'
import { chosenOf } from '../../storage/templates/choose.ts'
import { BUILT_IN_FAMILIES, eligible, familiesOf, type Choice } from './eligible.ts'

/** Who orders. */
export interface Asker {
  owner?: KeyId
  /** Speaks for the order's domain. */
  domainKey?: KeyId
}

/** What this plant knows of templates beside their descriptions. */
export interface TemplateFacts {
  /** Who put a label on what. */
  labelled (label: string): Iterable<{ by: KeyId, goldenId: GoldenId }>
  lastUsedMs (golden: Golden): number | undefined
  /** Whether somebody who may has removed it. */
  isRemoved (golden: Golden): boolean
}

/** `exact`: the choices are the very ones asked for, whatever their names. `ambiguous`: several people have one of that name. */
export type Resolved = { kind: 'choices' | 'ambiguous', choices: Choice[], exact: boolean }

/** What there is when nothing was marked or used. */
const NO_FACTS: TemplateFacts = { labelled: () => [], lastUsedMs: () => undefined, isRemoved: () => false }

/** One pass for each meaning that is tried. Does not depend on the order of `all`. */
export function resolve (order: Order, all: readonly Choice[], asker: Asker, facts: TemplateFacts = NO_FACTS): Resolved {
  const there = all.filter(({ golden }) => !facts.isRemoved(golden))
  const { os } = order.software
  const exact = there.filter(({ golden }) => golden.goldenId === os)
  if (exact.length > 0) return { kind: 'choices', choices: exact, exact: true }
  const families = familiesOf(there.map(({ golden }) => golden))
  const version = parseVersionName(os)
  if (version !== undefined) return versions(order, there.filter(({ golden }) => golden.name === version.name && (golden.version ?? 1) === version.version), asker, families.has(version.name))
  const own = BUILT_IN_FAMILIES.includes(os) ? [] : ownFor(order, there, asker, facts)
  if (own.length > 0) return { kind: 'choices', choices: chosenOf(own, facts.lastUsedMs), exact: true }
  const { kind, choices } = eligible(order, there, asker.domainKey)
  if (kind === 'ambiguous' || families.has(os)) return { kind, choices, exact: false }
  const named = choices.filter(({ golden }) => golden.name === os)
  if (named.length > 0) {
    const chosen = new Set(chosenOf(named, facts.lastUsedMs))
    return { kind, choices: choices.filter((choice) => choice.golden.name !== os || chosen.has(choice)), exact: false }
  }
  const labelled = labelledBy(order, there, facts, (by, golden) => golden.publishedBy === undefined && by === golden.publisher)
  return labelled.length > 0 ? { kind, choices: chosenOf(labelled, facts.lastUsedMs), exact: true } : { kind, choices, exact: false }
}

/** What to look for in the mesh, besides what is here, for this `software.os`: names, families or ids. */
export function soughtNames (os: string, asker: Asker, facts: Pick<TemplateFacts, 'labelled'>): string[] {
  const version = parseVersionName(os)
  if (version !== undefined) return [version.name]
  return [os, ...new Set([...facts.labelled(os)].filter(({ by }) => by === asker.owner || by === asker.domainKey).map(({ goldenId }) => goldenId))]
}

/** One's own first; of a family those that administrators made, whichever plant did. */
function versions (order: Order, found: readonly Choice[], asker: Asker, family: boolean): Resolved {
  const own = found.filter(({ golden }) => isOwn(order, golden, asker))
  const choices = own.length > 0 ? own : family ? found.filter(({ golden }) => golden.publishedBy === undefined) : [...found]
  const several = !family && new Set(choices.map(({ golden }) => whose(golden))).size > 1
  return { kind: several ? 'ambiguous' : 'choices', choices, exact: true }
}

/** What the order's own people call so: their series of that name, else what they put such a label on. */
function ownFor (order: Order, all: readonly Choice[], asker: Asker, facts: TemplateFacts): Choice[] {
  const series = all.filter(({ golden }) => golden.name === order.software.os && isOwn(order, golden, asker))
  return series.length > 0 ? series : labelledBy(order, all, facts, (by) => by === asker.owner || by === asker.domainKey)
}

/** All sizes of templates whose label counts. */
function labelledBy (order: Order, all: readonly Choice[], facts: TemplateFacts, counts: (by: KeyId, golden: Golden) => boolean): Choice[] {
  const byId = new Map(all.map(({ golden }) => [golden.goldenId, golden]))
  const templates = new Set<string>()
  for (const { by, goldenId } of facts.labelled(order.software.os)) {
    const golden = byId.get(goldenId)
    if (golden !== undefined && counts(by, golden)) templates.add(templateKey(golden))
  }
  return templates.size === 0 ? [] : all.filter(({ golden }) => templates.has(templateKey(golden)))
}

function isOwn (order: Order, { publishedBy: by }: Golden, { domainKey }: Asker): boolean {
  return by !== undefined && by.domainKey === domainKey && by.domain === order.domain
}
