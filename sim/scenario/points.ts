/** The points of a scenario file: each case with each combination of the sweep's values, as documents of their own. */
import { foundText, type Path, type RawProblem } from '../../protocols/order/problems.ts'
import { POINTS_MAX } from './constants.ts'

/** A field by path and what it is set to. */
export interface Setting {
  path: string
  value: unknown
  /** Where it was said, for problems: `cases[0].set`, `sweep`, `--set`. */
  where: Path
}

/** What one point sets: the case's fields, then the sweep's. */
export interface PointPlan {
  /** `256 MB, policy.k=4`; empty for the only point of a file. */
  name: string
  case: string
  sweep: Setting[]
  set: Setting[]
}

/** The plans of all points, cases first; problems when there are too many, or two of one name. */
export function pointPlans (cases: ReadonlyArray<{ name: string, set: Record<string, unknown> }>, sweep: Readonly<Record<string, readonly unknown[]>>): { plans: PointPlan[], problems: RawProblem[] } {
  const axes = Object.entries(sweep)
  const count = Math.max(1, cases.length) * axes.reduce((product, [, values]) => product * values.length, 1)
  if (count > POINTS_MAX) return { plans: [], problems: [{ path: ['sweep'], found: `${count} points`, allowed: `at most ${POINTS_MAX}`, message: 'cases and sweep make too many points' }] }
  const twice = axes.flatMap(([path, values]) => values.flatMap((value, index): RawProblem[] => values.findIndex((other) => valueText(other) === valueText(value)) === index
    ? []
    : [{ path: ['sweep', path, index], found: foundText(value), allowed: 'values that differ, as points are named by them', message: 'the value is there twice' }]))
  if (twice.length > 0) return { plans: [], problems: twice }
  let combinations: Setting[][] = [[]]
  for (const [path, values] of axes) combinations = combinations.flatMap((before) => values.map((value) => [...before, { path, value, where: ['sweep'] }]))
  const named = cases.length === 0 ? [{ name: '', set: {} }] : cases
  const plans = named.flatMap((one, index) => combinations.map((settings) => ({
    name: [one.name, ...settings.map(({ path, value }) => `${path}=${valueText(value)}`)].filter((text) => text !== '').join(', '),
    case: one.name,
    sweep: settings,
    set: [...Object.entries(one.set).map(([path, value]) => ({ path, value, where: ['cases', index, 'set'] })), ...settings]
  })))
  return { plans, problems: [] }
}

function valueText (value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value) ?? String(value)
}

/** `orders[0].machine.memoryMiB` in parts; `[*]` stands for all items. Undefined for what is no path. */
export function parsePath (text: string): Array<string | number> | undefined {
  const parts: Array<string | number> = []
  const pattern = /(?:^|\.)([A-Za-z_][A-Za-z0-9_-]*)|\[(\d{1,6}|\*)\]/gy
  let end = 0
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    if (match[1] === undefined && parts.length === 0) return undefined
    parts.push(match[1] ?? (match[2] === '*' ? '*' : Number(match[2])))
    end = pattern.lastIndex
  }
  return end === text.length && parts.length > 0 && !parts.includes('__proto__') ? parts : undefined
}

/**
 * A copy of a plain document with fields set by path: maps on the way are made where they are not, items of lists must be there. `problems` gets
 * what cannot be set.
 */
export function withSettings (document: unknown, settings: readonly Setting[], problems: RawProblem[]): unknown {
  const copy: unknown = structuredClone(document)
  for (const { path, value, where } of settings) {
    const parts = parsePath(path)
    if (parts === undefined || !put(copy, parts, value)) {
      problems.push({ path: [...where, path], found: foundText(path), allowed: 'the path of a field of this scenario, such as policy.k, plants[0].count or orders[*].machine.memoryMiB', message: parts === undefined ? 'is not the path of a field' : 'leads nowhere' })
    }
  }
  return copy
}

function put (target: unknown, [first, ...rest]: Array<string | number>, value: unknown): boolean {
  if (first === undefined) return false
  if (Array.isArray(target)) {
    const items: unknown[] = target
    const indices = first === '*' ? [...items.keys()] : typeof first === 'number' && first < items.length ? [first] : []
    return indices.length > 0 && indices.every((index) => {
      if (rest.length > 0) return put(items[index], rest, value)
      items[index] = structuredClone(value)
      return true
    })
  }
  if (typeof target !== 'object' || target === null || typeof first === 'number' || first === '*') return false
  const map = target as Record<string, unknown>
  if (rest.length === 0) {
    map[first] = structuredClone(value)
    return true
  }
  if (map[first] === undefined && typeof rest[0] === 'string' && rest[0] !== '*') map[first] = {}
  return put(map[first], rest, value)
}
