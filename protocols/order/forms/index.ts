/** The same order document as YAML, JSON and XML (CONTRACT.md, Orders). */
import { DOCUMENTS_MAX, FILE_BYTES_MAX, PROBLEMS_MAX } from '../constants.ts'
import { examine, tell } from '../check.ts'
import type { Order } from '../order.ts'
import { orderInvalid, type Problem, type RawProblem } from '../problems.ts'
import { FormError, formProblem, type OrderFormat, type RawDocument } from './document.ts'
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
const WRITERS: Record<OrderFormat, (orders: readonly Order[]) => string> = { yaml: writeYaml, json: writeJson, xml: writeXml }

/**
 * All orders of a text, checked, defaults filled in; the form is recognised by its first character unless given. Throws ORDER_INVALID with
 * every problem of every document: path, what was found, what is allowed, document, and line where known.
 */
export function parseOrders (text: string, format?: OrderFormat): OrderDocument[] {
  const bytes = text.length > FILE_BYTES_MAX ? text.length : new TextEncoder().encode(text).length
  if (bytes > FILE_BYTES_MAX) throw tooLarge(`${bytes} bytes`)
  const body = text.startsWith('\ufeff') ? text.slice(1) : text
  const documents = read(body, format ?? formatOf(body))
  if (documents.length === 0) throw orderInvalid([tell(formProblem('there is no order in it', 'nothing', 'at least one order'))])
  if (documents.length > DOCUMENTS_MAX) throw orderInvalid([tell(formProblem('there are too many documents', `${documents.length} documents`, `at most ${DOCUMENTS_MAX}`))])
  const orders: OrderDocument[] = []
  const problems: Problem[] = []
  for (const [documentIndex, document] of documents.entries()) {
    const result = examine(document.value)
    const found = [...document.problems, ...(result.order === undefined ? result.problems : [])]
    // Finding a line is a walk through the document: only for problems that are told.
    for (const problem of found) problems.push(problems.length < PROBLEMS_MAX ? placed(problem, documentIndex, document) : tell(problem))
    const line = document.lineOf([])
    if (result.order !== undefined) orders.push({ order: result.order, documentIndex, ...(line === undefined ? {} : { line }) })
  }
  if (problems.length > 0) throw orderInvalid(problems)
  return orders
}

/** Orders as text that `parseOrders` reads back as equal orders, scripts byte for byte. Throws ORDER_INVALID for what XML cannot hold. */
export function formatOrders (orders: readonly Order[], format: OrderFormat): string {
  return WRITERS[format](orders)
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
