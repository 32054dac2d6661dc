/**
 * The XML form of the tree (CONTRACT.md, Orders): scalars are attributes, lists repeat their singular element, text is in elements. A map
 * whose names the client chooses is an element of the map's name with one element an entry: `<labels><label name="course">…</label></labels>`.
 */

export interface Shape {
  /** Scalars: attributes, or (for hand-written files) elements that hold nothing but text. */
  scalars: Record<string, 'text' | 'number'>
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

/** `<Machine>`; `kind` is the element's own name. */
export const MACHINE: Shape = {
  scalars: { apiVersion: 'text', domain: 'text', requirements: 'text', rank: 'text' },
  children: {
    metadata: () => ({ scalars: { name: 'text' }, maps: { labels: { item: 'label', key: 'name' } } }),
    hardware: () => ({ scalars: { isa: 'text', cpus: 'number', memoryMiB: 'number', diskMiB: 'number' } }),
    network: () => ({ scalars: { name: 'text', address: 'text', proxy: 'text', addressing: 'text' } }),
    software: () => ({ scalars: { os: 'text', channel: 'text' }, lists: { actions: ACTIONS } })
  }
}
