/** The same order or topology document as YAML, JSON and XML (CONTRACT.md, Orders). */
import { DOCUMENTS_MAX, FILE_BYTES_MAX, PROBLEMS_MAX } from '../constants.ts'
import { examine, tell } from '../check.ts'
import type { Order } from '../order.ts'
import { orderInvalid, type Problem, type RawProblem } from '../problems.ts'
import { examineTopology, isTopology, type Topology } from '../topology/index.ts'
import { FormError, formProblem, writtenForm, writtenTopology, type OrderFormat, type RawDocument, type Written } from './document.ts'
import { readJson, writeJson } from './json.ts'
import { readXml, writeXml } from './xml.ts'
import { readYaml, writeYaml } from './yaml.ts'

export { ORDER_FORMATS, type OrderFormat } from './document.ts'

/** An order, and where it stood in its file. */
export interface OrderDocument {
  order: Order
  /** From 0, empty documents not counted: part of the machine's VMID. */
  documentIndex: number
  /** Where it begins, from 1, where known. */
  line?: number
}

const READERS: Record<OrderFormat, (text: string) => RawDocument[]> = { yaml: readYaml, json: readJson, xml: readXml }
const WRITERS: Record<OrderFormat, (written: readonly Written[]) => string> = { yaml: writeYaml, json: writeJson, xml: writeXml }

/** What a text holds: orders, and the topology that they make up when it is one. */
export interface OrderFile { orders: OrderDocument[], topology?: Topology }

/**
 * All orders of a text, checked, defaults filled in; the form is recognised by its first character unless given. A topology stands alone in its text, and its orders are
 * those of its machines. Throws ORDER_INVALID with every problem of every document: path, what was found, what is allowed, document, and line where known.
 */
export function parseFile (text: string, format?: OrderFormat): OrderFile {
  const bytes = text.length > FILE_BYTES_MAX ? text.length : new TextEncoder().encode(text).length
  if (bytes > FILE_BYTES_MAX) throw tooLarge(`${bytes} bytes`)
  const body = text.startsWith('\ufeff') ? text.slice(1) : text
  const documents = read(body, format ?? formatOf(body))
  if (documents.length === 0) throw orderInvalid([tell(formProblem('there is no order in it', 'nothing', 'at least one order'))])
  if (documents.length > DOCUMENTS_MAX) throw orderInvalid([tell(formProblem('there are too many documents', `${documents.length} documents`, `at most ${DOCUMENTS_MAX}`))])
  const [first, second] = documents
  if (first !== undefined && second === undefined && isTopology(first.value)) return topologyFile(first)
  const orders: OrderDocument[] = []
  const problems: Problem[] = []
  for (const [documentIndex, document] of documents.entries()) {
    const result = isTopology(document.value) ? { problems: [NOT_ALONE] } : examine(document.value)
    const order = 'order' in result ? result.order : undefined
    addPlaced(problems, [...document.problems, ...('problems' in result ? result.problems : [])], documentIndex, document)
    const line = document.lineOf([])
    if (order !== undefined) orders.push({ order, documentIndex, ...(line === undefined ? {} : { line }) })
  }
  if (problems.length > 0) throw orderInvalid(problems)
  return { orders }
}

/** The orders of `parseFile`. */
export function parseOrders (text: string, format?: OrderFormat): OrderDocument[] { return parseFile(text, format).orders }

const NOT_ALONE: RawProblem = { path: ['kind'], found: 'a topology among other documents', allowed: 'a topology alone in its file', message: 'is not allowed here' }

function topologyFile (document: RawDocument): OrderFile {
  const result = examineTopology(document.value)
  const problems: Problem[] = []
  addPlaced(problems, [...document.problems, ...(result.topology === undefined ? result.problems : [])], 0, document)
  if (result.topology === undefined || problems.length > 0) throw orderInvalid(problems)
  const orders = result.orders.map((order, documentIndex) => {
    const line = document.lineOf(['machines', documentIndex])
    return { order, documentIndex, ...(line === undefined ? {} : { line }) }
  })
  return { orders, topology: result.topology }
}

/** Finding a line is a walk through the document: only for problems that are told. */
function addPlaced (problems: Problem[], found: readonly RawProblem[], documentIndex: number, document: RawDocument): void {
  for (const problem of found) problems.push(problems.length < PROBLEMS_MAX ? placed(problem, documentIndex, document) : tell(problem))
}

/** Orders as text that `parseOrders` reads back as equal orders, scripts byte for byte. Throws ORDER_INVALID for what XML cannot hold. */
export function formatOrders (orders: readonly Order[], format: OrderFormat): string {
  return WRITERS[format](orders.map(writtenForm))
}

/** As `formatOrders`, of a topology: what it says, not the orders that it stands for. */
export function formatTopology (topology: Topology, format: OrderFormat): string {
  return WRITERS[format]([writtenTopology(topology)])
}

/** The error for a file of more than FILE_BYTES_MAX, for readers that stop before the end of it. */
export function tooLarge (found: string): Error {
  return orderInvalid([tell(formProblem('the file is too large', found, `at most ${FILE_BYTES_MAX} bytes (1 MiB)`))])
}

function read (text: string, format: OrderFormat): RawDocument[] {
  try {
    return READERS[format](text)
  } catch (error) {
    if (!(error instanceof FormError)) throw error
    throw orderInvalid(error.problems.map((problem) => ({ ...tell(problem), ...(error.document === undefined ? {} : { document: error.document }) })), error)
  }
}

function placed (problem: RawProblem, document: number, source: RawDocument): Problem {
  const line = problem.line ?? source.lineOf(problem.path)
  return { ...tell(problem), document, ...(line === undefined ? {} : { line }) }
}

/** XML begins with `<`, JSON with a brace or bracket and is JSON; all else is YAML (of which JSON is nearly a part). */
function formatOf (text: string): OrderFormat {
  const first = /\S/.exec(text)?.[0]
  if (first === '<') return 'xml'
  if (first !== '{' && first !== '[') return 'yaml'
  try {
    JSON.parse(text)
    return 'json'
  } catch {
    // `{a: b}` is YAML; text whose names are quoted was meant as JSON, and its errors are told as such.
    return /^\s*\[?\s*\{\s*"/.test(text) ? 'json' : 'yaml'
  }
}
