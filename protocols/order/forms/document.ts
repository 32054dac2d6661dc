/** What the three forms have in common: documents as read, with the way back from a field to its line. */
import type { Path, RawProblem } from '../problems.ts'
import type { Action, Order } from '../order.ts'
import type { Topology, TopologyMachine } from '../topology/index.ts'

/** Names of the forms of an order file. */
export const ORDER_FORMATS = ['yaml', 'json', 'xml'] as const
export type OrderFormat = typeof ORDER_FORMATS[number]

/** A document of a file before it is checked. */
export interface RawDocument {
  value: unknown
  /** What the form itself found wrong, such as a field given twice. */
  problems: RawProblem[]
  /** The line, from 1, of the field at `path` or of the nearest field around it. */
  lineOf (path: Path): number | undefined
}

/** A file that is not of its form at all: thrown by the readers, told as one problem. */
export class FormError extends Error {
  readonly problems: RawProblem[]
  /** Which document of the file, where that is known. */
  readonly document: number | undefined

  constructor (problems: RawProblem[], document?: number) {
    super(problems[0]?.message ?? 'not of its form')
    this.problems = problems
    this.document = document
  }
}

/** A problem with the form of a file, as ORDER_INVALID tells it. */
export function formProblem (message: string, found: string, allowed: string, line?: number): RawProblem {
  return { path: [], found, allowed, message, ...(line === undefined ? {} : { line }) }
}

/** Text of a library or of the file in a message: one line, not long. */
export function oneLine (text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is taken out
  const flat = text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim()
  return flat.length <= 160 ? flat : `${flat.slice(0, 160)}…`
}

/** Lines of character offsets: counts each line break once. */
export class LineIndex {
  readonly #starts: number[] = [0]

  constructor (text: string) {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.#starts.push(at + 1)
  }

  lineAt (offset: number): number {
    let low = 0
    let high = this.#starts.length
    while (low + 1 < high) {
      const middle = (low + high) >> 1
      if ((this.#starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}

/** A document as people write it: without the maps and lists that are empty. Everything else is said, also where it is the default. */
export type Written = Record<string, unknown>

/** An order as people write it. */
export function writtenForm (order: Order): Written {
  const { apiVersion, kind, domain, network, networks } = order
  const { metadata, ...rest } = writtenMachine(order)
  return { apiVersion, kind, ...(metadata !== undefined && { metadata }), domain, ...(network !== undefined && { network }), ...(networks !== undefined && { networks }), ...rest }
}

/** A topology as people write it. */
export function writtenTopology ({ apiVersion, kind, metadata, domain, networks, machines, routes }: Topology): Written {
  return {
    apiVersion,
    kind,
    metadata: writtenMetadata(metadata),
    domain,
    ...(networks.length > 0 && { networks }),
    machines: machines.map((machine) => {
      const { metadata, ...rest } = writtenMachine(machine)
      return { metadata, ...(machine.router && { router: true }), ...(machine.networks.length > 0 && { networks: machine.networks }), ...rest }
    }),
    ...(routes.length > 0 && { routes })
  }
}

/** What is said of a machine wherever it stands. */
function writtenMachine ({ metadata, hardware, software: { os, channel, actions }, requirements, rank }: Order | TopologyMachine): Written {
  const written = writtenMetadata(metadata)
  return {
    ...(isEmpty(written) ? {} : { metadata: written }),
    hardware,
    software: { os, channel, ...(actions.length === 0 ? {} : { actions: actions.map(writtenAction) }) },
    requirements,
    ...(rank === undefined ? {} : { rank })
  }
}

function writtenMetadata ({ name, labels }: Order['metadata']): Written {
  return { ...(name === undefined ? {} : { name }), ...(isEmpty(labels) ? {} : { labels }) }
}

function writtenAction (action: Action): Written {
  const { id, after, run, script, parameters, files, use, timeoutMs, onError } = action
  return {
    id,
    ...(after.length === 0 ? {} : { after }),
    run,
    ...(script === undefined ? {} : { script }),
    ...(isEmpty(parameters) ? {} : { parameters }),
    ...(isEmpty(files) ? {} : { files }),
    ...(use === undefined ? {} : { use }),
    ...(action.with === undefined || isEmpty(action.with) ? {} : { with: action.with }),
    timeoutMs,
    ...(onError === undefined ? {} : { onError: { ...(onError.actions.length === 0 ? {} : { actions: onError.actions.map(writtenAction) }), then: onError.then } })
  }
}

function isEmpty (map: object): boolean {
  return Object.keys(map).length === 0
}
