/** What lies where in the checkout: entries at its top, READMEs, the six files of a protocol, the table of errors. */
import type { Problem } from './source.ts'

/** The checkout as names: every file below it that git would keep, from the root, with `/`. */
export interface Listing {
  /** Names at the top, directories too; without what git ignores. */
  top: string[]
  files: string[]
}

const TOP = ['node', 'protocols', 'storage', 'sim', 'test', 'package.json', 'package-lock.json', 'tsconfig.json', 'README.md', 'LICENSE', 'CHANGELOG.md']
const SIX = ['README.md', 'constants.ts', 'messages.ts', 'core.ts', 'service.ts', 'index.ts']
/** Folders of protocols/ that are no protocol on the wire: what all share, and the language that orders are written in. */
const NO_PROTOCOL = ['kit', 'order']
const LAYERS_WITH_ROOMS = ['protocols', 'storage', 'node', 'sim']

const missing = (path: string, text: string): Problem => ({ path, line: 1, text })

/** Entries at the top that have no business there; dotfiles belong to tools. */
export function topProblems ({ top }: Listing): Problem[] {
  return top.filter((name) => !name.startsWith('.') && !TOP.includes(name)).map((name) => missing(name, `lies at the top of the repository, where only these may: ${TOP.join(', ')}`))
}

/** Rooms without a README. */
export function roomProblems ({ files }: Listing): Problem[] {
  const rooms = new Set(files.flatMap((path) => {
    const [layer = '', room = '', ...rest] = path.split('/')
    return LAYERS_WITH_ROOMS.includes(layer) && rest.length > 0 ? [`${layer}/${room}`] : []
  }))
  const wanted = [...rooms, 'test', 'test/bench'].map((room) => `${room}/README.md`)
  return wanted.filter((path) => !files.includes(path)).map((path) => missing(path, 'is missing: a room says what lives there and what may not'))
}

/** Protocols without one of their six files. */
export function protocolProblems ({ files }: Listing): Problem[] {
  const folders = new Set(files.flatMap((path) => /^protocols\/([^/]+)\//.exec(path)?.[1] ?? []))
  return [...folders].filter((folder) => !NO_PROTOCOL.includes(folder))
    .flatMap((folder) => SIX.map((name) => `protocols/${folder}/${name}`).filter((path) => !files.includes(path)))
    .map((path) => missing(path, `is missing: a protocol has ${SIX.join(', ')}`))
}

/** Differences between the error codes and their table in the README: rows of `| \`CODE\` | exit status | message | hint |`. */
export function errorTableProblems (errors: Record<string, { exit: number, message: string }>, readme: string): Problem[] {
  const rows = new Map<string, { exit: number, message: string, line: number }>()
  readme.split('\n').forEach((text, i) => {
    const found = /^\|\s*`([A-Z][A-Z0-9_]+)`\s*\|\s*(\d+)\s*\|\s*(.*?)\s*\|/.exec(text)
    if (found !== null) rows.set(found[1] ?? '', { exit: Number(found[2]), message: found[3] ?? '', line: i + 1 })
  })
  const absent = Object.keys(errors).filter((code) => !rows.has(code)).map((code) => missing('README.md', `does not list the error ${code} of protocols/kit/errors.ts`))
  const wrong = [...rows].flatMap(([code, row]): Problem[] => {
    const error = Object.hasOwn(errors, code) ? errors[code] : undefined
    if (error === undefined) return [{ path: 'README.md', line: row.line, text: `lists the error ${code}, which protocols/kit/errors.ts does not have` }]
    if (error.exit !== row.exit) return [{ path: 'README.md', line: row.line, text: `says that ${code} exits with ${row.exit}; it exits with ${error.exit}` }]
    return error.message === row.message ? [] : [{ path: 'README.md', line: row.line, text: `says of ${code}: ${row.message}; it is: ${error.message}` }]
  })
  return [...absent, ...wrong]
}

/** What was read, against what a house of this size must have: a checker that reads too little finds nothing and says all is well. */
export function tooFewProblems (paths: string[], least: Record<string, number>): Problem[] {
  return Object.entries(least).flatMap(([layer, min]) => {
    const found = paths.filter((path) => path.startsWith(`${layer}/`)).length
    return found >= min ? [] : [missing(layer, `only ${found} source files were read, at least ${min} were expected: the checks cannot be trusted`)]
  })
}
