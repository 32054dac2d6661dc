/** The version that a publication is: names are their first owner's, and each publication under one's own name is the next. Pure. */
import { PlantError, type KeyId } from '../../../protocols/kit/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import { versionOf, whose } from '../../../protocols/order/versions.ts'
import { familiesOf } from '../eligible.ts'

export interface Owner { domain: string, domainKey: KeyId }

/** A publication under way: what is to come counts as what is there. */
export interface UnderWay extends Owner { name: string, version: number }

/** `removedVersion`: the highest that the owner has removed, 0 for none; it is not given again. Throws GOLDEN_EXISTS when the name is a family's or somebody else's. */
export function nextVersion (name: string, owner: Owner, known: readonly Golden[], underWay: Iterable<UnderWay>, removedVersion: number): number {
  if (familiesOf(known).has(name)) throw new PlantError('GOLDEN_EXISTS', { name, problem: 'it is the name of a family' })
  const mine = whose({ publishedBy: owner })
  const all = [...known.filter((golden) => golden.name === name), ...[...underWay].filter((one) => one.name === name).map((one) => ({ publishedBy: one, version: one.version }))]
  const other = all.find((golden) => whose(golden) !== mine)
  if (other !== undefined) throw new PlantError('GOLDEN_EXISTS', { name, problem: 'the series of this name is not this domain\'s', owner: whose(other) })
  return Math.max(removedVersion, 0, ...all.map(versionOf)) + 1
}
