/** XML as a tree of elements: no document type, no entities but the five that XML itself has, nothing read from anywhere. */
import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { VALUE_DEPTH_MAX, VALUES_MAX } from '../constants.ts'
import { FormError, formProblem, LineIndex, oneLine } from './document.ts'

export interface Element {
  name: string
  attributes: Map<string, string>
  children: Element[]
  /** All text directly in the element, CDATA sections included, exactly as it stands. */
  text: string
  line: number
}

const CDATA = '#cdata'
const TEXT = '#text'
const ATTRIBUTES = ':@'

/** The root element of a text. Throws FormError. */
export function readXmlTree (text: string): Element {
  const lines = new LineIndex(text)
  refuseDeclarations(text, lines)
  const valid = XMLValidator.validate(text)
  if (valid !== true) throw notXml(valid.err.msg, valid.err.line)
  const parser = new XMLParser({
    preserveOrder: true, processEntities: false, cdataPropName: CDATA, trimValues: false, parseTagValue: false, parseAttributeValue: false, ignoreAttributes: false,
    attributeNamePrefix: '', captureMetaData: true, ignoreDeclaration: true, ignorePiTags: true, maxNestedTags: VALUE_DEPTH_MAX * 2, onDangerousProperty: (name) => name
  })
  let nodes: unknown
  try {
    nodes = parser.parse(text)
  } catch (cause) {
    throw notXml(cause instanceof Error ? cause.message : String(cause))
  }
  const roots = (Array.isArray(nodes) ? nodes : []).filter((node: object) => !(TEXT in node)).map((node: object) => toElement(node as Node, lines))
  const root = roots[0]
  if (root === undefined || roots.length > 1) throw notXml('there must be one root element; put several machines into <Orders>', roots[1]?.line)
  return root
}

type Node = Record<string, unknown>

function notXml (message: string, line?: number): FormError {
  return new FormError([formProblem(`is not well-formed XML: ${oneLine(message)}`, line === undefined ? 'text' : `line ${line}`, 'XML 1.0 without document type', line)])
}

/**
 * Walks the markup before anything is parsed: `<!DOCTYPE` and the like are refused wherever they stand (outside comments and CDATA), and a
 * document of too many elements is not built at all.
 */
function refuseDeclarations (text: string, lines: LineIndex): void {
  let elements = 0
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', at)) {
    let end: number
    if (text.startsWith('<!--', at)) end = text.indexOf('-->', at + 4)
    else if (text.startsWith('<![CDATA[', at)) end = text.indexOf(']]>', at + 9)
    else if (text.startsWith('<?', at)) end = text.indexOf('?>', at + 2)
    else if (text.startsWith('<!', at)) {
      const line = lines.lineAt(at)
      throw new FormError([formProblem('document types and entities are refused: they can read files and grow without end', oneLine(text.slice(at, at + 40)), 'XML without <!DOCTYPE> and <!ENTITY>', line)])
    } else {
      end = at
      if (++elements > VALUES_MAX) throw new FormError([formProblem('the document is too large', `more than ${VALUES_MAX} tags`, `at most ${VALUES_MAX}`)])
    }
    if (end < 0) return // Not closed: the validator says where.
    at = end + 1
  }
}

function toElement (node: Node, lines: LineIndex): Element {
  const name = Object.keys(node).find((key) => key !== ATTRIBUTES) ?? ''
  const start = (node as Record<symbol, { startIndex?: number } | undefined>)[XMLParser.getMetaDataSymbol() as unknown as symbol]?.startIndex ?? 0
  const element: Element = { name, attributes: new Map(), children: [], text: '', line: lines.lineAt(start) }
  for (const [attribute, value] of Object.entries(node[ATTRIBUTES] ?? {})) {
    // XML 1.0, 3.3.3: white space as such in an attribute is a blank; written as a character reference it is itself.
    element.attributes.set(attribute, decodeText(String(value).replace(/[\t\n\r]/g, ' '), element.line))
  }
  for (const child of node[name] as Node[]) {
    if (TEXT in child) element.text += decodeText(String(child[TEXT]), element.line)
    else if (CDATA in child) for (const piece of child[CDATA] as Node[]) element.text += String(piece[TEXT] ?? '')
    else element.children.push(toElement(child, lines))
  }
  return element
}

const PREDEFINED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: '\'' }

function decodeText (raw: string, line: number): string {
  if (!raw.includes('&')) return raw
  return raw.replace(/&(?:#x([0-9A-Fa-f]{1,6});|#(\d{1,7});|([A-Za-z]{1,8});|)/g, (whole, hex: string | undefined, decimal: string | undefined, name: string | undefined) => {
    if (name !== undefined && Object.hasOwn(PREDEFINED, name)) return PREDEFINED[name] ?? ''
    const code = hex !== undefined ? Number.parseInt(hex, 16) : decimal !== undefined ? Number(decimal) : -1
    if (code >= 0 && code <= 0x10ffff && isXmlText(String.fromCodePoint(code))) return String.fromCodePoint(code)
    throw new FormError([formProblem('is not an entity of XML itself, and others are refused', JSON.stringify(whole), '&amp; &lt; &gt; &quot; &apos; &#10; &#x41;', line)])
  })
}

// XML 1.0 (fifth edition), 2.2: what a document may hold at all, even as a character reference.
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/u

/** True when XML can hold this text. */
export function isXmlText (text: string): boolean {
  return !NOT_XML.test(text) && text.isWellFormed()
}
