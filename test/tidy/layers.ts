/** Layers and circles: an arrow never runs upward, and following arrows never leads back. */
import { importsOf, type Import } from './imports.ts'
import { ENTRY, MAY_IMPORT, isEdge, isPort, layerOf, roomOf } from './rooms.ts'
import { problemAt, type Problem, type Source } from './source.ts'

/** Packages that code without a world may use: codecs, digests, expressions. Whatever opens sockets or files is for the edges. */
const INNER_PACKAGES = [
  'zod', 'yaml', 'fast-xml-parser', 'dns-packet', 'multiformats', '@ipld/dag-cbor', '@multiformats/multiaddr', '@noble/hashes', '@noble/curves', 're2js', 'uint8arrays', 'uint8arraylist'
]

const packageOf = (specifier: string): string => specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')

/** Imports that the layers forbid, that lead nowhere, or that bring the world to where it does not belong. */
export function layerProblems (files: Source[]): Problem[] {
  const known = new Set(files.map(({ path }) => path))
  return files.flatMap((file) => importsOf(file).flatMap((one) => {
    const text = wrongWith(file.path, one, known)
    return text === undefined ? [] : [problemAt(file, one.offset, text)]
  }))
}

function wrongWith (path: string, { specifier, target, typeOnly }: Import, known: Set<string>): string | undefined {
  const layer = layerOf(path)
  if (layer === undefined) return undefined
  if (target === undefined) {
    if (isEdge(path)) return undefined
    if (specifier.startsWith('node:')) return `imports ${specifier}, which only the edges may: take it from a component`
    if (!INNER_PACKAGES.includes(packageOf(specifier))) return `imports the package ${packageOf(specifier)}, which is none of those that code without a world may use`
    return undefined
  }
  if (!/\.(?:ts|mts|mjs)$/.test(target)) return `imports ${specifier}: imports end in .ts`
  // A declaration beside plain JavaScript goes by the other's name.
  if (!known.has(target)) return `imports ${specifier}, which is not there`
  if (target === ENTRY) return `imports ${ENTRY}, which nothing may: it stands above all layers`
  if (path === ENTRY) return undefined
  const to = layerOf(target)
  if (to === undefined || !MAY_IMPORT[layer].includes(to)) return `imports ${target}: ${layer}/ may import from ${MAY_IMPORT[layer].join(', ')} only`
  if (layer === 'sim' && to !== 'sim' && isEdge(target) && !isPort(target) && !typeOnly) return `imports ${target}: the simulator takes nothing from drivers and entry points`
  if (!isEdge(path) && isEdge(target) && !isPort(target) && !typeOnly) return `imports ${target}, an edge: take it as a component, or import its types only`
  return undefined
}

/**
 * Circles among files (of imports that remain when the program runs) and among rooms (of all imports). Each is told once, at the import
 * that closes it.
 */
export function circleProblems (files: Source[]): Problem[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const arrows = files.flatMap((file) => importsOf(file).flatMap((one) => one.target === undefined || !byPath.has(one.target) ? [] : [{ ...one, file, target: one.target }]))
  const fileCircles = circles(graphOf(arrows.filter(({ typeOnly }) => !typeOnly).map(({ file, target }) => [file.path, target])))
  const inner = arrows.filter(({ file, target }) => layerOf(file.path) !== 'test' && roomOf(file.path) !== roomOf(target) && file.path !== ENTRY)
  const roomCircles = circles(graphOf(inner.map(({ file, target }) => [roomOf(file.path), roomOf(target)])))
  const at = (from: string, to: string, what: string, chain: string[]): Problem[] => {
    const arrow = arrows.find(({ file, target }) => what === 'files' ? file.path === from && target === to : roomOf(file.path) === from && roomOf(target) === to)
    return arrow === undefined ? [] : [problemAt(arrow.file, arrow.offset, `closes a circle of ${what}: ${[...chain, chain[0]].join(' -> ')}`)]
  }
  return [...fileCircles.map((chain) => ({ chain, what: 'files' })), ...roomCircles.map((chain) => ({ chain, what: 'rooms' }))]
    .flatMap(({ chain, what }) => at(chain.at(-1) ?? '', chain[0] ?? '', what, chain))
}

function graphOf (pairs: string[][]): Map<string, Set<string>> {
  const graph = new Map<string, Set<string>>()
  for (const [from = '', to = ''] of pairs) graph.set(from, (graph.get(from) ?? new Set()).add(to))
  return graph
}

/** One circle for each arrow that leads back to where a depth-first walk is coming from. */
function circles (graph: Map<string, Set<string>>): string[][] {
  const done = new Set<string>()
  const found: string[][] = []
  const visit = (at: string, trail: string[]): void => {
    for (const to of graph.get(at) ?? []) {
      const back = trail.indexOf(to)
      if (back >= 0) found.push(trail.slice(back))
      else if (!done.has(to)) visit(to, [...trail, to])
    }
    done.add(at)
  }
  for (const start of graph.keys()) if (!done.has(start)) visit(start, [start])
  return found
}
