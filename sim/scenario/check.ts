/** What the schema cannot say of a scenario: names that must exist, numbers that must go together, and that the run comes to an end. */
import { asPlantError } from '../../protocols/kit/index.ts'
import { parseExpression } from '../../protocols/order/classad.ts'
import { foundText, nearest, type Path, type RawProblem } from '../../protocols/order/problems.ts'
import { arraysProblems } from './arrays.ts'
import { swarmProblems } from './swarm.ts'
import { CORES_PLANTS_MAX, PLANTS_MAX } from './constants.ts'
import type { Fault, FaultTarget } from './faults.ts'
import { plantCount, plantsOf } from './plants-of.ts'
import type { MachineSpec } from './orders.ts'
import type { ScenarioFile } from './schema.ts'

interface Names { sites: string[], groups: string[], plants: Set<string> | undefined, systems: string[], golden: string[] }

/** Problems of one resolved point. `constantsOf` names what `timings.constants` may change. */
export function scenarioProblems (file: ScenarioFile, constantsOf: (set: ScenarioFile['timings']['set']) => string[]): RawProblem[] {
  const names = namesOf(file)
  return [
    ...sizeProblems(file),
    ...plantProblems(file, names),
    ...linkProblems(file, names),
    ...timingProblems(file, constantsOf(file.timings.set)),
    ...file.orders.flatMap((_, index) => orderProblems(file, index, names)),
    ...file.faults.flatMap((fault, index) => faultProblems(fault, ['faults', index], names)),
    ...endProblems(file),
    ...twice(file.cases.map((one) => one.name), (i) => ['cases', i, 'name'], 'case'),
    ...file.mode === 'arrays' ? arraysProblems(file) : [],
    ...file.mode === 'swarm' ? swarmProblems(file) : []
  ]
}

function namesOf (file: ScenarioFile): Names {
  const counted = plantCount(file)
  return {
    sites: [...new Set([...file.sites.map(({ name }) => name), ...file.plants.map(({ site }) => site)])],
    groups: file.plants.map(({ name }) => name),
    plants: counted > CORES_PLANTS_MAX ? undefined : new Set(Array.from(plantsOf(file), ({ name }) => name)),
    systems: [...new Set(file.golden.flatMap(({ name, os }) => [name, os ?? name]))],
    golden: file.golden.map(({ name }) => name)
  }
}

const wrong = (path: Path, found: unknown, allowed: string, message: string): RawProblem => ({ path, found: typeof found === 'string' ? found : foundText(found), allowed, message })

/** A name that must be one of these. */
function unknownName (path: Path, name: string, known: readonly string[], what: string): RawProblem[] {
  if (known.includes(name)) return []
  const meant = nearest(name, known)
  const listed = known.length <= 20 ? known.join(', ') : `${known.slice(0, 20).join(', ')} and ${known.length - 20} more`
  return [wrong(path, foundText(name), listed === '' ? `no ${what} is there` : listed, `there is no ${what} of that name${meant === undefined ? '' : `; did you mean ${meant}?`}`)]
}

function twice (names: readonly string[], path: (index: number) => Path, what: string): RawProblem[] {
  return names.flatMap((name, index) => names.indexOf(name) === index ? [] : [wrong(path(index), foundText(name), `a name that no other ${what} has`, 'the name is there twice')])
}

function sizeProblems (file: ScenarioFile): RawProblem[] {
  const counted = plantCount(file)
  if (counted > PLANTS_MAX) return [wrong(['plants'], `${counted} plants`, `at most ${PLANTS_MAX}`, 'there are too many plants')]
  if (file.mode === 'cores' && counted > CORES_PLANTS_MAX) return [wrong(['plants'], `${counted} plants`, `at most ${CORES_PLANTS_MAX} with mode: cores; more with mode: arrays`, 'there are too many plants for the daemon\'s own cores')]
  return []
}

function plantProblems (file: ScenarioFile, names: Names): RawProblem[] {
  const problems = [
    ...twice(file.sites.map(({ name }) => name), (i) => ['sites', i, 'name'], 'site'),
    ...twice(names.groups, (i) => ['plants', i, 'name'], 'group of plants'),
    ...twice(names.golden, (i) => ['golden', i, 'name'], 'golden machine'),
    ...file.plants.flatMap(({ golden }, group) => (golden ?? []).flatMap((name, i) => unknownName(['plants', group, 'golden', i], name, names.golden, 'golden machine')))
  ]
  const listed = file.sites.map(({ name }) => name)
  if (listed.length > 0) problems.push(...file.plants.flatMap(({ site }, group) => unknownName(['plants', group, 'site'], site, listed, 'site')))
  if (names.plants !== undefined && names.plants.size < plantCount(file) && twice(names.groups, () => [], '').length === 0) {
    problems.push(wrong(['plants'], `${plantCount(file)} plants with ${names.plants.size} names`, 'groups whose plants (name-1, name-2, …) have names of their own', 'two plants have one name'))
  }
  if (file.policy.costModel === 'file' && file.policy.file === undefined) problems.push(wrong(['policy', 'file'], 'nothing', 'the path of a TypeScript file, as policy.costModel is "file"', 'is missing'))
  return problems
}

function linkProblems (file: ScenarioFile, { sites }: Names): RawProblem[] {
  return file.links.between.flatMap(({ from, to }, i) => [
    ...unknownName(['links', 'between', i, 'from'], from, sites, 'site'),
    ...unknownName(['links', 'between', i, 'to'], to, sites, 'site')
  ])
}

const LINES: Record<ScenarioFile['timings']['set'], string[]> = { paper: ['vmware', 'uml', 'xen'], measured: ['qemu'], none: [] }

function timingProblems ({ timings }: ScenarioFile, constants: string[]): RawProblem[] {
  const { set, line } = timings
  return [
    ...line === undefined || LINES[set].includes(line) ? [] : [wrong(['timings', 'line'], foundText(line), LINES[set].join(', ') || 'nothing', `the set ${set} has no such line`)],
    ...Object.keys(timings.constants).flatMap((name) => unknownName(['timings', 'constants', name], name, constants, `number of the set ${set}`)),
    // Bytes at no rate never come: machines would fail, and nobody would see why.
    ...Object.entries(timings.constants).flatMap(([name, value]) => name.endsWith('BytesPerMs') && value === 0 ? [wrong(['timings', 'constants', name], foundText(value), 'more than 0, as it is a rate', 'nothing would ever be over')] : [])
  ]
}

function orderProblems (file: ScenarioFile, index: number, names: Names): RawProblem[] {
  const source = file.orders[index]
  if (source === undefined) return []
  const path = ['orders', index]
  const problems = machineProblems(source.machine, [...path, 'machine'], names)
  if (source.shop.site !== undefined) problems.push(...unknownName([...path, 'shop', 'site'], source.shop.site, names.sites, 'site'))
  if (source.shop.plant !== undefined) problems.push(...unknownPlant([...path, 'shop', 'plant'], source.shop.plant, names), ...noShopPlant([...path, 'shop', 'plant'], source.shop.plant, file))
  else if (source.shop.site !== undefined) problems.push(...noShopSite([...path, 'shop', 'site'], source.shop.site, file))
  if (!file.plants.some(({ shop }) => shop)) problems.push(wrong(['plants'], 'shop: false everywhere', 'shop: true in at least one group', 'nobody takes orders'))
  if (source.kind === 'poisson' && source.toMs !== undefined && source.toMs <= source.fromMs) problems.push(wrong([...path, 'toMs'], foundText(source.toMs), `a time after fromMs, which is ${source.fromMs}`, 'is over before it begins'))
  if (source.kind === 'list') {
    for (const [i, { machine, shop }] of source.orders.entries()) {
      if (machine !== undefined) problems.push(...machineProblems(machine, [...path, 'orders', i, 'machine'], names))
      if (shop !== undefined) problems.push(...unknownPlant([...path, 'orders', i, 'shop'], shop, names), ...noShopPlant([...path, 'orders', i, 'shop'], shop, file))
    }
  }
  return problems
}

/** A plant of this name, in a group that takes no orders. */
function noShopPlant (path: Path, name: string, { plants }: ScenarioFile): RawProblem[] {
  const group = plants.find((one) => one.count === 1 ? one.name === name : name.startsWith(`${one.name}-`) && /^[1-9]\d*$/.test(name.slice(one.name.length + 1)) && Number(name.slice(one.name.length + 1)) <= one.count)
  return group === undefined || group.shop ? [] : [wrong(path, foundText(name), takers(plants), `this plant takes no orders, as the group ${group.name} has shop: false`)]
}

/** A site with plants, none of which takes orders. */
function noShopSite (path: Path, site: string, { plants }: ScenarioFile): RawProblem[] {
  if (plants.some((group) => group.site === site && group.shop)) return []
  return [wrong(path, foundText(site), takers(plants), 'no plant of this site takes orders')]
}

function takers (plants: ScenarioFile['plants']): string {
  const shops = plants.filter(({ shop }) => shop).slice(0, 20).map(({ name, site }) => `${name} (site ${site})`)
  return `plants of the groups that take orders: ${shops.join(', ') || 'none'}`
}

function machineProblems (machine: Partial<MachineSpec>, path: Path, names: Names): RawProblem[] {
  const problems: RawProblem[] = []
  if (machine.os !== undefined) problems.push(...unknownName([...path, 'os'], machine.os, names.systems, 'golden machine or system'))
  const ids = (machine.actions ?? []).map(({ id }) => id)
  problems.push(...twice(ids, (i) => [...path, 'actions', i, 'id'], 'action'))
  for (const [i, { after }] of (machine.actions ?? []).entries()) problems.push(...after.flatMap((name, j) => unknownName([...path, 'actions', i, 'after', j], name, ids.slice(0, i), 'earlier action')))
  for (const field of ['requirements', 'rank'] as const) {
    const text = machine[field]
    if (text !== undefined) problems.push(...expressionProblems(text, [...path, field]))
  }
  return problems
}

function expressionProblems (text: string, path: Path): RawProblem[] {
  try {
    parseExpression(text)
    return []
  } catch (cause) {
    const { problem } = asPlantError(cause).details
    return [wrong(path, foundText(text), 'a ClassAd expression', `does not parse${typeof problem === 'string' ? `: ${problem}` : ''}`)]
  }
}

/** With too many plants to list their names, any name that a group could have is taken. */
function unknownPlant (path: Path, name: string, { plants, groups }: Names): RawProblem[] {
  if (plants === undefined ? groups.some((group) => name === group || name.startsWith(`${group}-`)) : plants.has(name)) return []
  const known = plants === undefined ? groups.map((group) => `${group}-1 …`) : [...plants]
  return unknownName(path, name, known, 'plant')
}

function faultProblems (fault: Fault, path: Path, names: Names): RawProblem[] {
  const problems: RawProblem[] = []
  for (const field of ['target', 'from', 'to'] as const) {
    if (field in fault) problems.push(...targetProblems((fault as unknown as Record<string, FaultTarget>)[field], [...path, field], names))
  }
  if (fault.kind === 'siteOutage') problems.push(...unknownName([...path, 'site'], fault.site, names.sites, 'site'))
  if ('untilMs' in fault && fault.untilMs !== undefined && fault.untilMs <= fault.atMs) problems.push(wrong([...path, 'untilMs'], foundText(fault.untilMs), `a time after atMs, which is ${fault.atMs}`, 'is over before it begins'))
  return problems
}

function targetProblems (target: FaultTarget | undefined, path: Path, names: Names): RawProblem[] {
  if (target === undefined) return []
  return [
    ...target.plants.flatMap((name, i) => unknownPlant([...path, 'plants', i], name, names)),
    ...target.sites.flatMap((name, i) => unknownName([...path, 'sites', i], name, names.sites, 'site')),
    ...target.groups.flatMap((name, i) => unknownName([...path, 'groups', i], name, names.groups, 'group'))
  ]
}

/** A run must have an end: a time, or orders that are finite. */
function endProblems (file: ScenarioFile): RawProblem[] {
  // A swarm ends when every plant has the image.
  if (file.until.ms !== undefined || file.mode === 'swarm') return []
  const allowed = 'a time (until: { ms: 60000 })'
  if (file.orders.length === 0) return [wrong(['until', 'ms'], 'nothing', `${allowed}, as there are no orders`, 'the run has no end')]
  if (!file.until.ordersEnded) return [wrong(['until', 'ms'], 'nothing', `${allowed}, or ordersEnded: true`, 'the run has no end')]
  return file.orders.flatMap((source, i) => source.kind !== 'poisson' || source.count !== undefined || source.toMs !== undefined
    ? []
    : [wrong(['orders', i], 'orders without an end', 'count, toMs, or until.ms', 'the run has no end')])
}
