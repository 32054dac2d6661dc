/**
 * The XML form of the tree (CONTRACT.md, Orders): scalars are attributes, lists repeat their singular element, text is in elements. A map
 * whose names the client chooses is an element of the map's name with one element an entry: `<labels><label name="course">…</label></labels>`.
 */

/** What the text of a field is read as. */
export type ScalarType = 'text' | 'number' | 'boolean'

export interface Shape {
  /** Scalars: attributes, or (for hand-written files) elements that hold nothing but text. */
  scalars: Record<string, ScalarType>
  /** Text kept byte for byte: elements only. */
  texts?: readonly string[]
  /** Fields that are one element. */
  children?: Readonly<Record<string, () => Shape>>
  lists?: Readonly<Record<string, ListShape>>
  maps?: Readonly<Record<string, MapShape>>
}

export interface ListShape {
  /** The element of one item. */
  item: string
  /** True when items stand inside an element of the list's name; false when they stand in the parent. */
  wrapped: boolean
  /** What an item is: an element of its own shape, or the text of an id. */
  of: (() => Shape) | 'id'
}

export interface MapShape {
  /** The element of one entry; also taken when it stands in the parent directly. */
  item: string
  /** The attribute that names the entry. */
  key: string
}

const ACTION: Shape = {
  scalars: { id: 'text', run: 'text', use: 'text', timeoutMs: 'number' },
  texts: ['script'],
  lists: { after: { item: 'after', wrapped: false, of: 'id' } },
  maps: { parameters: { item: 'parameter', key: 'name' }, files: { item: 'file', key: 'path' }, with: { item: 'argument', key: 'name' } },
  children: { onError: () => ERROR_GRAPH }
}

const ACTIONS: ListShape = { item: 'action', wrapped: true, of: () => ACTION }

const ERROR_GRAPH: Shape = { scalars: { then: 'text' }, lists: { actions: ACTIONS } }

const METADATA: Shape = { scalars: { name: 'text' }, maps: { labels: { item: 'label', key: 'name' } } }
const HARDWARE: Shape = { scalars: { isa: 'text', cpus: 'number', memoryMiB: 'number', diskMiB: 'number' } }
const SOFTWARE: Shape = { scalars: { os: 'text', channel: 'text' }, lists: { actions: ACTIONS } }
const ROUTES: ListShape = { item: 'route', wrapped: true, of: () => ({ scalars: { to: 'text', via: 'text' } }) }
const NETWORK: Shape = { scalars: { name: 'text', address: 'text', proxy: 'text', addressing: 'text', router: 'boolean', egress: 'boolean' }, lists: { routes: ROUTES } }

/** `<Machine>`; `kind` is the element's own name. */
export const MACHINE: Shape = {
  scalars: { apiVersion: 'text', domain: 'text', requirements: 'text', rank: 'text' },
  lists: { networks: { item: 'network', wrapped: true, of: () => NETWORK } },
  children: { metadata: () => METADATA, hardware: () => HARDWARE, network: () => NETWORK, software: () => SOFTWARE }
}

/** `<machine>` of a topology. */
const PART: Shape = {
  scalars: { router: 'boolean', requirements: 'text', rank: 'text' },
  lists: { networks: { item: 'network', wrapped: true, of: () => ({ scalars: { name: 'text', address: 'text' } }) } },
  children: { metadata: () => METADATA, hardware: () => HARDWARE, software: () => SOFTWARE }
}

/** `<Topology>`; `kind` is the element's own name. */
export const TOPOLOGY: Shape = {
  scalars: { apiVersion: 'text', domain: 'text' },
  lists: {
    networks: { item: 'network', wrapped: true, of: () => ({ scalars: { name: 'text', subnet: 'text', addressing: 'text', proxy: 'text' } }) },
    machines: { item: 'machine', wrapped: true, of: () => PART },
    routes: ROUTES
  },
  children: { metadata: () => METADATA }
}
