/** What a user means by a template's name. */
import { PlantError } from '../../protocols/kit/index.ts'
import { parseVersionName } from '../../protocols/order/versions.ts'
import type { TemplateView } from '../plant/templates/template-view.ts'

/** All that answer to it: the one with this id or version, or the whole series. Throws GOLDEN_UNKNOWN, or USAGE when several owners have one of that name. */
export function templatesNamed (all: readonly TemplateView[], name: string): TemplateView[] {
  const byId = all.filter(({ sizes }) => sizes.some(({ goldenId }) => goldenId === name))
  if (byId.length > 0) return byId
  const exact = parseVersionName(name)
  const found = all.filter((one) => exact === undefined ? one.series === name : one.series === exact.name && one.version === exact.version)
  if (found.length === 0) throw new PlantError('GOLDEN_UNKNOWN', { name })
  const owners = Map.groupBy(found, ({ domain, domainKey, publisher }) => `${domain ?? ''} ${domainKey ?? publisher ?? ''}`)
  if (owners.size === 1) return found
  // What plants build themselves is on each: the one here is meant.
  const here = [...owners.values()].filter((templates) => templates.some((one) => one.here))
  if (here.length === 1) return here[0] ?? []
  throw new PlantError('USAGE', { name, problem: 'several owners have templates of this name', allowed: `one of the ids ${found.map(({ goldenId }) => goldenId).join(', ')}` })
}

/** The one that is meant: of a series the newest. Throws as `templatesNamed`. */
export function oneNamed (all: readonly TemplateView[], name: string): TemplateView {
  const [newest] = templatesNamed(all, name).toSorted((a, b) => b.version - a.version)
  if (newest === undefined) throw new PlantError('GOLDEN_UNKNOWN', { name })
  return newest
}

/** Where trees begin: at what has no base that is known, or at what has this name and a base that has not. */
export function rootsOf (all: readonly TemplateView[], name?: string): TemplateView[] {
  if (name === undefined) return all.filter(({ base }) => base?.name === undefined)
  const named = templatesNamed(all, name)
  const ids = new Set(named.flatMap(({ sizes }) => sizes.map(({ goldenId }) => goldenId)))
  return named.filter(({ base }) => base === undefined || !ids.has(base.goldenId))
}
