/** Which part of the house a path belongs to (ARCHITECTURE.md, Layers and Rooms). */

export type Layer = 'protocols' | 'storage' | 'node' | 'sim' | 'test'

/** What each layer may import from. */
export const MAY_IMPORT: Record<Layer, readonly Layer[]> = {
  protocols: ['protocols'],
  storage: ['storage', 'protocols'],
  node: ['node', 'storage', 'protocols'],
  sim: ['sim', 'node', 'storage', 'protocols'],
  test: ['test', 'sim', 'node', 'storage', 'protocols']
}

/** The entry: stands above all layers, and nothing imports it. */
export const ENTRY = 'node/main.ts'

/** The only rooms that touch the world. */
const EDGES = ['node/drivers/', 'node/lines/', 'node/net/', 'node/portal/', 'node/cli/', 'node/setup/', 'storage/drivers/', 'sim/drivers/']

/** The ports of edge rooms: interfaces that the inside is written against. */
const PORTS = ['node/lines/line.ts']

/** The layer of a path, or undefined for what lies outside. */
export function layerOf (path: string): Layer | undefined {
  const top = path.split('/')[0] ?? ''
  return Object.hasOwn(MAY_IMPORT, top) ? top as Layer : undefined
}

/** True where `node:*`, timers, chance and processes are at home. */
export function isEdge (path: string): boolean {
  return path === ENTRY || layerOf(path) === 'test' || EDGES.some((edge) => path.startsWith(edge))
}

/** True for an edge's file that is only an interface. */
export function isPort (path: string): boolean { return PORTS.includes(path) }

/** `protocols/bid`, `node/plant`, …; the layer itself for a file right in it. */
export function roomOf (path: string): string {
  const parts = path.split('/')
  return parts.length <= 2 ? parts[0] ?? '' : `${parts[0]}/${parts[1]}`
}
