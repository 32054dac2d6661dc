/** Documents as XML: a root `<Machine>` or `<Topology>`, or `<Orders>` with several machines. */
import { foundText, orderInvalid, pathText, type Path, type RawProblem } from '../problems.ts'
import { FormError, formProblem, type RawDocument, type Written } from './document.ts'
import { MACHINE, TOPOLOGY, type ListShape, type MapShape, type ScalarType, type Shape } from './xml-shape.ts'
import { isXmlText, readXmlTree, type Element } from './xml-tree.ts'

/** The documents of an XML text. Throws FormError. */
export function readXml (text: string): RawDocument[] {
  const root = readXmlTree(text)
  const shape = own(ROOTS, root.name)
  if (shape !== undefined) return [new Reader().document(root, shape)]
  if (root.name !== 'Orders') throw new FormError([formProblem('the root element is not an order', `<${root.name}>`, '<Machine>, <Topology>, or <Orders> with several <Machine>', root.line)])
  const stray = root.children.find((child) => child.name !== 'Machine')
  if (stray !== undefined || root.text.trim() !== '' || root.attributes.size > 0) {
    throw new FormError([formProblem('<Orders> holds machines and nothing else', stray === undefined ? 'text or attributes' : `<${stray.name}>`, '<Machine>', (stray ?? root).line)])
  }
  return root.children.map((child) => new Reader().document(child, MACHINE))
}

/** Documents by their root element, which is their kind. */
const ROOTS: Readonly<Record<string, Shape>> = { Machine: MACHINE, Topology: TOPOLOGY }

type Fields = Record<string, unknown>

/** A map without prototype: names come from the file. */
function fields (): Fields {
  return Object.create(null) as Fields
}

class Reader {
  readonly #problems: RawProblem[] = []
  readonly #lines = new Map<string, number>()

  document (element: Element, shape: Shape): RawDocument {
    const value = this.#read(element, shape, [])
    value['kind'] ??= element.name
    return { value, problems: this.#problems, lineOf: (path) => this.#lineOf(path) }
  }

  #lineOf (path: Path): number | undefined {
    for (let length = path.length; length >= 0; length--) {
      const line = this.#lines.get(pathText(path.slice(0, length)))
      if (line !== undefined) return line
    }
    return undefined
  }

  #problem (path: Path, line: number, message: string, found: string, allowed: string): void {
    this.#problems.push({ path, line, message, found, allowed })
  }

  #set (into: Fields, key: string, value: unknown, path: Path, line: number): void {
    if (Object.hasOwn(into, key)) this.#problem([...path, key], line, 'the field is there twice', `the field ${foundText(key)} twice`, 'each field once')
    into[key] = value
    this.#lines.set(pathText([...path, key]), line)
  }

  #read (element: Element, shape: Shape, path: Path): Fields {
    const into = fields()
    this.#lines.set(pathText(path), element.line)
    for (const [name, value] of element.attributes) {
      // An attribute that is no scalar of this element is kept as it is: the check tells that it is unknown or of the wrong type.
      this.#set(into, name, coerce(value, shape.scalars[name]), path, element.line)
    }
    if (element.text.trim() !== '') this.#problem(path, element.line, `<${element.name}> holds no text`, foundText(element.text.trim()), 'elements and attributes')
    const lists = new Map<string, unknown[]>()
    for (const child of element.children) this.#readChild(child, shape, into, path, lists)
    return into
  }

  #readChild (child: Element, shape: Shape, into: Fields, path: Path, lists: Map<string, unknown[]>): void {
    const { name } = child
    const nested = own(shape.children, name)
    if (nested !== undefined) return this.#set(into, name, this.#read(child, nested(), [...path, name]), path, child.line)
    const list = own(shape.lists, name)
    if (list?.wrapped === true) return this.#set(into, name, this.#readWrapped(child, list, [...path, name]), path, child.line)
    if (list !== undefined) {
      const items = lists.get(name) ?? []
      if (!lists.has(name)) this.#set(into, name, items, path, child.line)
      lists.set(name, items)
      this.#readItem(child, list, items, [...path, name])
      return
    }
    const map = own(shape.maps, name)
    if (map !== undefined) return this.#readMap(child, map, this.#mapAt(into, name, path, child.line), [...path, name])
    for (const [field, { item, key }] of Object.entries(shape.maps ?? {})) {
      if (item === name) return this.#readEntry(child, key, this.#mapAt(into, field, path, child.line), [...path, field])
    }
    const scalar = own(shape.scalars, name)
    if (scalar !== undefined) return this.#set(into, name, coerce(this.#textOf(child, [...path, name]), scalar), path, child.line)
    if (shape.texts?.includes(name) === true) return this.#set(into, name, this.#textOf(child, [...path, name]), path, child.line)
    this.#set(into, name, child.text, path, child.line) // Unknown: the check says so, with what was probably meant.
  }

  #mapAt (into: Fields, field: string, path: Path, line: number): Fields {
    const there = into[field]
    if (typeof there === 'object' && there !== null) return there as Fields
    const map = fields()
    this.#set(into, field, map, path, line)
    return map
  }

  #readWrapped (element: Element, list: ListShape, path: Path): unknown[] {
    const items: unknown[] = []
    this.#lines.set(pathText(path), element.line)
    for (const name of element.attributes.keys()) this.#problem(path, element.line, `<${element.name}> has no attributes`, `the attribute ${foundText(name)}`, `<${list.item}> elements`)
    if (element.text.trim() !== '') this.#problem(path, element.line, `<${element.name}> holds no text`, foundText(element.text.trim()), `<${list.item}> elements`)
    for (const child of element.children) {
      if (child.name === list.item) this.#readItem(child, list, items, path)
      else this.#problem(path, child.line, `<${element.name}> holds <${list.item}> and nothing else`, `<${child.name}>`, `<${list.item}>`)
    }
    return items
  }

  #readItem (element: Element, list: ListShape, items: unknown[], path: Path): void {
    const at = [...path, items.length]
    this.#lines.set(pathText(at), element.line)
    // White space around an id is the file's indentation, never part of the id.
    items.push(list.of === 'id' ? this.#textOf(element, at).trim() : this.#read(element, list.of(), at))
  }

  #readMap (element: Element, map: MapShape, into: Fields, path: Path): void {
    for (const [name, value] of element.attributes) this.#set(into, name, value, path, element.line)
    if (element.text.trim() !== '') this.#problem(path, element.line, `<${element.name}> holds no text`, foundText(element.text.trim()), `<${map.item} ${map.key}="…"> elements`)
    for (const child of element.children) {
      if (child.name === map.item) this.#readEntry(child, map.key, into, path)
      else this.#problem(path, child.line, `<${element.name}> holds <${map.item}> and nothing else`, `<${child.name}>`, `<${map.item} ${map.key}="…">`)
    }
  }

  #readEntry (element: Element, key: string, into: Fields, path: Path): void {
    const name = element.attributes.get(key)
    if (name === undefined) return this.#problem(path, element.line, `<${element.name}> has no ${key}`, `<${element.name}>`, `<${element.name} ${key}="…">text</${element.name}>`)
    this.#set(into, name, this.#textOf(element, [...path, name], key), path, element.line)
  }

  /** The text of an element that holds nothing else. */
  #textOf (element: Element, path: Path, key?: string): string {
    const stray = [...element.attributes.keys()].find((name) => name !== key)
    if (stray !== undefined) this.#problem(path, element.line, `<${element.name}> has an attribute too many`, `the attribute ${foundText(stray)}`, 'text')
    if (element.children.length > 0) this.#problem(path, element.line, `<${element.name}> holds text and no elements`, `<${element.children[0]?.name ?? ''}>`, 'text; write < as &lt; or use CDATA')
    return element.text
  }
}

function own<T> (table: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return table !== undefined && Object.hasOwn(table, key) ? table[key] : undefined
}

/** Text as the type of its field, and of nothing else: a label "123" stays text. */
function coerce (value: string, type: ScalarType | undefined): unknown {
  if (type === 'boolean') return value.trim() === 'true' ? true : value.trim() === 'false' ? false : value
  return type === 'number' && /^\s*-?\d{1,15}(?:\.\d{1,15})?\s*$/.test(value) ? Number(value) : value
}

/** Documents as XML: several are machines. Throws ORDER_INVALID for text that XML cannot hold. */
export function writeXml (written: readonly Written[]): string {
  const problems: RawProblem[] = []
  const texts = written.map((value, document) => {
    const found: RawProblem[] = []
    const kind = String(value['kind'])
    const text = write(kind, value, own(ROOTS, kind) ?? MACHINE, written.length === 1 ? '' : '  ', [], found)
    problems.push(...found.map((problem) => ({ ...problem, document })))
    return text
  })
  if (problems.length > 0) throw orderInvalid(problems.map(({ path, ...rest }) => ({ path: pathText(path), ...rest })))
  const body = texts.join('')
  return '<?xml version="1.0" encoding="UTF-8"?>\n' + (written.length === 1 ? body : `<Orders>\n${body}</Orders>\n`)
}

function write (name: string, value: Fields, shape: Shape, indent: string, path: Path, problems: RawProblem[]): string {
  const attributes = Object.keys(shape.scalars).filter((key) => value[key] !== undefined)
    .map((key) => ` ${key}="${escapeAttribute(String(value[key]), [...path, key], problems)}"`).join('')
  const inner = indent + '  '
  let body = ''
  const element = (tag: string, attribute: string, text: unknown, at: Path): string => `${attribute}<${tag}>${escapeText(String(text), at, problems)}</${tag.split(' ')[0] ?? tag}>\n`
  for (const [key, list] of Object.entries(shape.lists ?? {})) {
    const items = value[key]
    if (!Array.isArray(items)) continue
    const inset = list.wrapped ? inner + '  ' : inner
    const written = items.map((item, index) => list.of === 'id'
      ? element(list.item, inset, item, [...path, key, index])
      : write(list.item, item as Fields, list.of(), inset, [...path, key, index], problems)).join('')
    body += list.wrapped ? `${inner}<${key}>\n${written}${inner}</${key}>\n` : written
  }
  for (const key of shape.texts ?? []) if (value[key] !== undefined) body += element(key, inner, value[key], [...path, key])
  for (const [key, map] of Object.entries(shape.maps ?? {})) {
    if (value[key] === undefined) continue
    const written = Object.entries(value[key] as Fields).map(([name, text]) => {
      const at = [...path, key, name]
      return element(`${map.item} ${map.key}="${escapeAttribute(name, at, problems)}"`, inner + '  ', text, at)
    }).join('')
    body += `${inner}<${key}>\n${written}${inner}</${key}>\n`
  }
  for (const [key, child] of Object.entries(shape.children ?? {})) {
    if (value[key] !== undefined) body += write(key, value[key] as Fields, child(), inner, [...path, key], problems)
  }
  return body === '' ? `${indent}<${name}${attributes}/>\n` : `${indent}<${name}${attributes}>\n${body}${indent}</${name}>\n`
}

function refuseUnfit (text: string, path: Path, problems: RawProblem[]): void {
  if (!isXmlText(text)) problems.push({ path, found: foundText(text), allowed: 'text without control characters; YAML and JSON can hold them', message: 'XML cannot hold this text' })
}

function escapeAttribute (text: string, path: Path, problems: RawProblem[]): string {
  refuseUnfit(text, path, problems)
  return text.replace(/[&<>"\t\n\r]/g, (character) => ESCAPES[character] ?? character)
}

/** As CDATA where that is easier to read. A carriage return must be a reference, or the reader's line-end rule (XML 1.0, 2.11) eats it. */
function escapeText (text: string, path: Path, problems: RawProblem[]): string {
  refuseUnfit(text, path, problems)
  if (/[&<]/.test(text) && !text.includes('\r') && !text.includes(']]>')) return `<![CDATA[${text}]]>`
  return text.replace(/[&<>\r]/g, (character) => ESCAPES[character] ?? character)
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\t': '&#9;', '\n': '&#10;', '\r': '&#13;' }
