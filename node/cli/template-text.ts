/** Templates as text for people. */
import type { TemplateView } from '../plant/templates/template-view.ts'
import { printable, table } from './output.ts'

const MIB = 2 ** 20

/** A line a template; `isNew` marks those that were not shown before. */
export function templatesTable (templates: readonly TemplateView[], isNew?: (template: TemplateView) => boolean): string {
  if (templates.length === 0) return 'no templates'
  return table([['NAME', 'OS', 'MEMORY', 'OWN SIZE', 'WHERE', 'LAST USED', 'LABELS', ...(isNew === undefined ? [] : [''])], ...templates.map((one) => [...rowOf(one), ...(isNew === undefined ? [] : [isNew(one) ? 'new' : ''])])])
}

function rowOf (one: TemplateView): string[] {
  return [printable(one.name), printable(one.os), `${one.memoryMiB} MiB`, `${Math.round(one.ownBytes / MIB)} MiB`, whereText(one), usedText(one), printable(one.labels.join(', '))]
}

/** Each under what it was made from. */
export function treeText (templates: readonly TemplateView[], roots: readonly TemplateView[]): string {
  if (roots.length === 0) return 'no templates'
  const childrenOf = Map.groupBy(templates.filter(({ base }) => base?.name !== undefined), ({ base }) => base?.goldenId ?? '')
  const lines: string[] = []
  const shown = new Set<TemplateView>()
  const show = (one: TemplateView, indent: string, last: boolean, top: boolean): void => {
    if (shown.has(one)) return
    shown.add(one)
    const labels = one.labels.length === 0 ? '' : `  [${printable(one.labels.join(', '))}]`
    const orphan = top && one.base !== undefined && one.base.name === undefined ? '  (its base is not known any more)' : ''
    lines.push(`${indent}${top ? '' : last ? '└─ ' : '├─ '}${printable(one.name)}  ${whereText(one)}, ${Math.round(one.ownBytes / MIB)} MiB of its own, ${usedText(one)}${labels}${orphan}`)
    const children = one.sizes.flatMap(({ goldenId }) => childrenOf.get(goldenId) ?? [])
    const below = top ? indent : `${indent}${last ? '   ' : '│  '}`
    children.forEach((child, i) => { show(child, below, i === children.length - 1, false) })
  }
  for (const root of roots) show(root, '', true, true)
  return lines.join('\n')
}

function whereText ({ here, holders }: TemplateView): string {
  const others = holders - Number(here)
  return [...(here ? ['here'] : []), ...(others > 0 ? [`${others} elsewhere`] : [])].join(' + ')
}

function usedText ({ lastUsedMs }: TemplateView): string {
  return lastUsedMs === undefined ? 'not used yet' : `used ${new Date(lastUsedMs).toISOString().slice(0, 16).replace('T', ' ')}`
}
