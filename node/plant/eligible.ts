/**
 * Which golden machines an order may be made from, by whose they are (README.md, "Whose golden machine"). What somebody did to a machine must not come to
 * others who merely ask for its family, and nobody's golden machine may pass for a family.
 */
import type { KeyId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { Order } from '../../protocols/order/order.ts'
import { whose } from '../../protocols/order/versions.ts'

/** Families that plants build themselves; others are those of golden machines that an administrator made. */
export const BUILT_IN_FAMILIES: readonly string[] = ['tiny', 'debian']

/** A golden machine that may be chosen, and what of it is not here. `here`: it is on this plant's shelf. */
export interface Choice {
  golden: Golden
  missingBytes: number
  /** Of what is missing, what must come before a machine of its size starts, when that is not all. */
  startBytes?: number
  /** Of any size: its disk is booted while it is coming. */
  boots?: boolean
  here?: true
}

/** `ambiguous`: the order names a golden machine of somebody, and several have one of that name. */
export type Eligible = { kind: 'choices', choices: Choice[] } | { kind: 'ambiguous', choices: Choice[] }

/** Names that orders ask a family by: no golden machine of a domain answers to one as its own name. */
export function familiesOf (goldens: Iterable<Golden>): Set<string> {
  const families = new Set(BUILT_IN_FAMILIES)
  for (const { os, publishedBy } of goldens) if (publishedBy === undefined) families.add(os)
  return families
}

/** One pass over them. What is the order's own by name is looked for before (`resolve.ts`). */
export function eligible (order: Order, all: readonly Choice[], domainKey?: KeyId): Eligible {
  const { os } = order.software
  const families = familiesOf(all.map(({ golden }) => golden))
  const mayBase = ({ golden: { name, publishedBy: by } }: Choice): boolean =>
    by === undefined || (by.domainKey === domainKey && by.domain === order.domain) || (name === os && !families.has(name))
  const choices = all.filter(mayBase)
  const named = families.has(os) ? [] : choices.filter(({ golden }) => golden.name === os)
  return new Set(named.map(({ golden }) => whose(golden))).size > 1 ? { kind: 'ambiguous', choices: named } : { kind: 'choices', choices }
}
