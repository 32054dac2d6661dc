/** Trees and values as text that reads back the same. */
import type { AdValue, ClassAd, Expression, Node, Value } from './ast.ts'
import { PRECEDENCE, isKeyword } from './parser.ts'
import { absTimeText, parseAbsTime, parseRelTime, relTimeText, type AbsTime } from './time-text.ts'

/** How lists and reals are written, and who is told of each node: an evaluation pays for what it writes. */
interface Style { list: (items: string[]) => string, real: (value: number) => string, visit: (node: Node) => void }

const PLAIN: Style = { list: (items) => `{${items.join(', ')}}`, real: realText, visit: () => undefined }

// Binding of what is no binary operator; see PRECEDENCE.
const TERNARY = 0
const UNARY = 11
/** `?:` reads everything postfix to its right, so as a base it needs parentheses; so do numbers, to whom a point would belong. */
const ELVIS = 12
const POSTFIX = 13
const PRIMARY = 14

/** A value as ClassAd text: reals keep enough digits to read back the same double, integers never look like reals. */
export function formatValue (value: AdValue): string {
  switch (value.type) {
    case 'list': return PLAIN.list(value.items.map(formatValue))
    case 'ad': return adText(value.attributes.map(({ name, value: inner }) => `${nameText(name)} = ${formatValue(inner)}`))
    default: return literalText(value, PLAIN)
  }
}

/** An expression as text. */
export function formatExpression (expression: Expression): string {
  return nodeText(expression.node, PLAIN)
}

/** An ad as text, its expressions unevaluated; `parseAd` reads the same ad back. */
export function formatAd (ad: ClassAd): string {
  return adNodeText(ad, PLAIN)
}

/** A tree as the functions `string` and `unparse` write it; `visit` is called for each node and may throw. */
export function libraryText (node: Node, visit: (node: Node) => void): string {
  return nodeText(node, { list: (items) => `{ ${items.join(',')} }`, real: scientificText, visit })
}

function nodeText (node: Node, style: Style): string {
  style.visit(node)
  switch (node.kind) {
    case 'literal': return literalText(node.value, style)
    case 'ref': return (node.absolute ? '.' : '') + nameText(node.name)
    case 'select': return `${within(node.base, POSTFIX, style)}.${nameText(node.name)}`
    case 'index': return `${within(node.base, POSTFIX, style)}[${nodeText(node.index, style)}]`
    case 'call': return `${nameText(node.name)}(${node.args.map((arg) => nodeText(arg, style)).join(', ')})`
    case 'unary': return node.op + separated(node.op, within(node.operand, UNARY, style))
    case 'binary': return binaryText(node, style)
    case 'ternary': return `${within(node.test, TERNARY + 1, style)} ? ${nodeText(node.yes, style)} : ${nodeText(node.no, style)}`
    case 'paren': return `(${nodeText(node.inner, style)})`
    case 'list': return style.list(node.items.map((item) => nodeText(item, style)))
    case 'ad': return adNodeText(node.ad, style)
  }
}

function binaryText (node: Extract<Node, { kind: 'binary' }>, style: Style): string {
  if (node.op === '?:') return `${within(node.left, POSTFIX, style)} ?: ${within(node.right, UNARY, style)}`
  const strength = PRECEDENCE[node.op] ?? TERNARY
  return `${within(node.left, strength, style)} ${node.op} ${within(node.right, strength + 1, style)}`
}

/** In parentheses when the tree binds weaker than its place asks for: trees that were not read hold none. */
function within (node: Node, strengthMin: number, style: Style): string {
  const text = nodeText(node, style)
  return strengthOf(node, text) < strengthMin ? `(${text})` : text
}

function strengthOf (node: Node, text: string): number {
  switch (node.kind) {
    case 'ternary': return TERNARY
    case 'binary': return node.op === '?:' ? ELVIS : PRECEDENCE[node.op] ?? TERNARY
    case 'unary': return UNARY
    // A negative number is read as a negation.
    case 'literal': return text.startsWith('-') ? UNARY : node.value.type === 'integer' || node.value.type === 'real' ? ELVIS : PRIMARY
    default: return PRIMARY
  }
}

/** `- -1` and `+ +1`, not `--1`, for the eye. */
function separated (op: string, text: string): string {
  return text.startsWith(op) ? ' ' + text : text
}

function adNodeText (ad: ClassAd, style: Style): string {
  return adText(Array.from(ad.attributes(), ({ name, node }) => `${nameText(name)} = ${nodeText(node, style)}`))
}

function adText (statements: string[]): string {
  return statements.length === 0 ? '[]' : `[ ${statements.join('; ')} ]`
}

/** A value inside a tree; functions put lists and ads there too. */
function literalText (value: Value, style: Style): string {
  switch (value.type) {
    case 'undefined': case 'error': return value.type
    case 'boolean': return String(value.value)
    case 'integer': return String(value.value)
    case 'real': return style.real(value.value)
    case 'string': return quoted(value.value, '"')
    case 'absTime': return absTimeLiteral(value)
    case 'relTime': return relTimeLiteral(value.seconds)
    case 'list': return style.list(value.items.map((item) => nodeText(item, style)))
    case 'ad': return adNodeText(value.ad, style)
  }
}

/** As a date, unless that would not read back the same: beyond the calendar, or with an offset of odd seconds. */
function absTimeLiteral (time: AbsTime): string {
  const text = absTimeText(time)
  const again = parseAbsTime(text)
  const faithful = again !== undefined && Object.is(again.seconds, time.seconds) && Object.is(again.offsetSeconds, time.offsetSeconds)
  return faithful ? `absTime("${text}")` : `absTime(${realText(time.seconds)}, ${realText(time.offsetSeconds)})`
}

function relTimeLiteral (seconds: number): string {
  const text = relTimeText(seconds)
  return Object.is(parseRelTime(text), seconds) ? `relTime("${text}")` : `relTime(${realText(seconds)})`
}

function nameText (name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !isKeyword(name) ? name : quoted(name, "'")
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r', '\b': '\\b', '\f': '\\f', '\\': '\\\\' }

function quoted (text: string, quote: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is escaped
  return quote + text.replace(/[\u0000-\u001f\u007f"'\\]/g, (char) => {
    if (char === '"' || char === "'") return char === quote ? '\\' + char : char
    return ESCAPES[char] ?? '\\' + char.charCodeAt(0).toString(8).padStart(3, '0')
  }) + quote
}

/** The shortest text that reads back as the same double, never that of an integer. */
function realText (value: number): string {
  const special = specialText(value)
  if (special !== undefined) return special
  if (Object.is(value, -0)) return '-0.0'
  const text = String(value)
  return /[.e]/.test(text) ? text : text + '.0'
}

/** Sixteen digits and an exponent of at least two: what the function `string` makes of a real. */
export function scientificText (value: number): string {
  const special = specialText(value)
  if (special !== undefined) return special
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const [digits = '', exponent = ''] = value.toExponential(15).split('e')
  return `${digits}E${exponent[0] ?? '+'}${exponent.slice(1).padStart(2, '0')}`
}

function specialText (value: number): string | undefined {
  if (Number.isNaN(value)) return 'real("NaN")'
  return Number.isFinite(value) ? undefined : `real("${value < 0 ? '-' : ''}INF")`
}
