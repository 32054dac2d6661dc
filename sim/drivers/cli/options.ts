/** Options that the commands share, read with what is allowed. */
import { availableParallelism } from 'node:os'
import { parse } from 'yaml'
import { PlantError } from '../../../protocols/kit/index.ts'
import { parsePath, RUNS_MAX, SEED_MAX, type Setting } from '../../scenario/index.ts'

export interface RunOptions {
  seed?: number
  runs?: number
  out?: string
  set: string[]
  workers: number
  events: boolean
  json: boolean
}

/** Threads at most: more than any machine that this was tried on has. */
const WORKERS_MAX = 1_024

/** What a run uses unless told otherwise: every processor. */
export function workersDefault (): number { return availableParallelism() }

/** A whole number of an option. Throws USAGE. */
export function wholeNumber (option: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d{1,16}$/.test(text) || value < min || value > max) throw new PlantError('USAGE', { option, found: text.slice(0, 64), allowed: `a whole number from ${min} to ${max}` })
    return value
  }
}

/** Reads `--seed`. */
export const seedOption = wholeNumber('--seed', 0, SEED_MAX)
/** Reads `--runs`. */
export const runsOption = wholeNumber('--runs', 1, RUNS_MAX)
/** Reads `--workers`. */
export const workersOption = wholeNumber('--workers', 1, WORKERS_MAX)

/** Gathers an option that may be given again and again. */
export function gather (text: string, before: string[]): string[] { return [...before, text] }

/** `policy.k=4`: a field and its value, which is read as YAML. Throws USAGE. */
export function setting (option: string, text: string): Setting {
  const { path, value } = assignment(option, text)
  return { path, value: yamlOf(option, text, value), where: [option] }
}

/** `policy.k=1,2,4`: a field and its values. Throws USAGE. */
export function swept (option: string, text: string): { path: string, values: unknown[] } {
  const { path, value } = assignment(option, text)
  const values = yamlOf(option, text, `[${value}]`)
  if (!Array.isArray(values) || values.length === 0) throw new PlantError('USAGE', { option, found: text.slice(0, 200), allowed: 'path=value,value,… such as policy.k=1,2,4' })
  return { path, values }
}

function assignment (option: string, text: string): { path: string, value: string } {
  const at = text.indexOf('=')
  const path = text.slice(0, at).trim()
  if (at < 1 || parsePath(path) === undefined) throw new PlantError('USAGE', { option, found: text.slice(0, 200), allowed: 'path=value, the path that of a field of the scenario, such as policy.k=4 or plants[0].count=100' })
  return { path, value: text.slice(at + 1).trim() }
}

function yamlOf (option: string, text: string, value: string): unknown {
  try {
    return parse(value, { maxAliasCount: 0, schema: 'core' }) as unknown
  } catch (cause) {
    throw new PlantError('USAGE', { option, found: text.slice(0, 200), allowed: 'path=value, the value as YAML' }, { cause })
  }
}
