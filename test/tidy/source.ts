/** The house as parsed text: what every check reads. A check is a function from files to problems, so that its own test can plant an offender. */
import { readFile, readdir } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { parseSync, visitorKeys, type Comment } from 'oxc-parser'

/** A node of the syntax tree (ESTree with TypeScript's nodes, as oxc-parser makes it). */
export interface Node { type: string, start: number, end: number, [key: string]: unknown }

/** One source file, parsed. */
export interface Source {
  /** From the root of the checkout, with `/`. */
  path: string
  text: string
  program: Node
  comments: Comment[]
}

/** Something that is not as the house wants it. */
export interface Problem { path: string, line: number, text: string }

/** Parses one file; throws when it does not parse, so that no file is passed over in silence. */
export function source (path: string, text: string): Source {
  const parsed = parseSync(path, text)
  const error = parsed.errors[0]
  if (error !== undefined) throw new Error(`${path} does not parse: ${error.message}`)
  return { path, text, program: parsed.program as unknown as Node, comments: parsed.comments }
}

/** A virtual house for the tests of the checks: path to text. */
export function house (files: Record<string, string>): Source[] {
  return Object.entries(files).map(([path, text]) => source(path, text))
}

const ROOMS = ['node', 'protocols', 'storage', 'sim', 'test']

/** Every source file below the rooms of the checkout. */
export async function readHouse (root: string): Promise<Source[]> {
  const files: Source[] = []
  for (const room of ROOMS) {
    for (const path of await sourcesBelow(join(root, room))) {
      files.push(source(relative(root, path).split(sep).join('/'), await readFile(path, 'utf8')))
    }
  }
  return files
}

async function sourcesBelow (dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  const found: string[] = []
  for (const entry of entries) {
    const path = join(dir, entry.name)
    if (entry.isDirectory() && entry.name !== 'node_modules') found.push(...await sourcesBelow(path))
    else if (entry.isFile() && /\.(?:ts|mts|cts|js|mjs|cjs)$/.test(entry.name)) found.push(path)
  }
  return found.sort()
}

/** The problem at a place in a file. */
export function problemAt (file: Source, offset: number, text: string): Problem {
  return { path: file.path, line: file.text.slice(0, offset).split('\n').length, text }
}

/** As an editor can follow it. */
export function problemText ({ path, line, text }: Problem): string { return `${path}:${line}: ${text}` }

function isNode (value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

/** The nodes right below a node, in the order of the text. */
export function children (node: Node): Node[] {
  return (visitorKeys[node.type] ?? []).flatMap((key) => {
    const value = node[key]
    return Array.isArray(value) ? value.filter(isNode) : isNode(value) ? [value] : []
  })
}

/** The node under a key, when there is one. */
export function child (node: Node, key: string): Node | undefined {
  const value = node[key]
  return isNode(value) ? value : undefined
}

/** The nodes of a list under a key. */
export function list (node: Node, key: string): Node[] {
  const value = node[key]
  return Array.isArray(value) ? value.filter(isNode) : []
}

/** The text under a key, `''` when there is none. */
export function textOf (node: Node | undefined, key: string): string {
  const value = node?.[key]
  return typeof value === 'string' ? value : ''
}

/** Calls `visit` for a node and all below it, parents first. */
export function walk (node: Node, visit: (node: Node, ancestors: readonly Node[]) => void, ancestors: Node[] = []): void {
  visit(node, ancestors)
  ancestors.push(node)
  for (const one of children(node)) walk(one, visit, ancestors)
  ancestors.pop()
}
