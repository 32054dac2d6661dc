/** Orders as JSON: one object, or a list of them. */
import { VALUE_DEPTH_MAX, VALUES_MAX } from '../constants.ts'
import { foundText, pathText, type Path } from '../problems.ts'
import { FormError, formProblem, LineIndex, oneLine, type RawDocument, type Written } from './document.ts'

/** The documents of a JSON text. Throws FormError. */
export function readJson (text: string): RawDocument[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    const at = /position (\d+)/.exec(message)?.[1]
    const line = at === undefined ? undefined : new LineIndex(text).lineAt(Number(at))
    throw new FormError([formProblem(`is not valid JSON: ${oneLine(message)}`, line === undefined ? 'text' : `line ${line}`, 'JSON', line)])
  }
  const lines = new LineIndex(text)
  const { offsets, twice } = fieldOffsets(text)
  const lineOf = (path: Path): number | undefined => {
    for (let length = path.length; length >= 0; length--) {
      const offset = offsets.get(pathText(path.slice(0, length)))
      if (offset !== undefined) return lines.lineAt(offset)
    }
    return undefined
  }
  const document = (value: unknown, prefix: Path): RawDocument => ({
    value,
    lineOf: (path) => lineOf([...prefix, ...path]),
    problems: twice.filter(({ path }) => prefix.length === 0 || path[0] === prefix[0]).map(({ path, offset }) => ({
      path: path.slice(prefix.length), found: `the field ${foundText(path.at(-1))} twice`, allowed: 'each field once', message: 'the field is there twice', line: lines.lineAt(offset)
    }))
  })
  return Array.isArray(value) ? value.map((item, index) => document(item, [index])) : [document(value, [])]
}

interface Open { list: boolean, index: number, key: string | undefined, keys: Set<string> }

/**
 * Where each field of a valid JSON text begins, and which are there twice (JSON.parse silently keeps the last). Stops looking below the
 * depth and beyond the count that an order may have: such a document is refused for that.
 */
function fieldOffsets (text: string): { offsets: Map<string, number>, twice: Array<{ path: Path, offset: number }> } {
  const offsets = new Map<string, number>()
  const twice: Array<{ path: Path, offset: number }> = []
  const open: Open[] = []
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g
  const here = (): Path => open.map((level) => level.list ? level.index : level.key ?? '')
  const note = (offset: number): void => {
    if (open.length <= VALUE_DEPTH_MAX && offsets.size < VALUES_MAX) offsets.set(pathText(here()), offset)
  }
  for (let match = tokens.exec(text); match !== null; match = tokens.exec(text)) {
    const token = match[0]
    const level = open.at(-1)
    if (token === '}' || token === ']') open.pop()
    else if (token === ',') {
      if (level?.list === true) level.index++
      else if (level !== undefined) level.key = undefined
    } else if (token !== ':') {
      if (level?.list === false && level.key === undefined) {
        level.key = JSON.parse(token) as string
        if (level.keys.has(level.key) && twice.length < 100) twice.push({ path: here(), offset: match.index })
        level.keys.add(level.key)
        note(match.index)
        continue
      }
      if (level?.list !== false) note(match.index)
      if (token === '{' || token === '[') open.push({ list: token === '[', index: 0, key: undefined, keys: new Set() })
    }
  }
  return { offsets, twice }
}

/** One document as an object, several as a list. */
export function writeJson (written: readonly Written[]): string {
  return JSON.stringify(written.length === 1 ? written[0] : written, null, 2) + '\n'
}
