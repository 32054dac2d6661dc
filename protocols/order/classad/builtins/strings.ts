/** Functions of strings. */
import { ERROR, UNDEFINED, integer, lower, string, type Node, type Value } from '../ast.ts'
import { LIST_ITEMS_MAX } from '../constants.ts'
import { itemsOf, ofValues, textOf, type Builtins, type Context } from './call.ts'
import { toText } from './conversions.ts'

/** Joins texts, and stops early when they grow past what a string may hold. */
class Pieces {
  #text = ''
  readonly #context: Context
  constructor (context: Context) { this.#context = context }
  get empty (): boolean { return this.#text === '' }
  add (text: string): void {
    this.#text += text
    this.#context.evaluation.chargeText(text.length)
  }

  done (): Value { return this.#context.evaluation.made(this.#text) }
}

function strcat (args: readonly Node[], context: Context): Value {
  const pieces = new Pieces(context)
  for (const arg of args) {
    const text = toText(context.evaluation.value(arg, context.env), context)
    if (text.type !== 'string') return text
    pieces.add(text.value)
  }
  return pieces.done()
}

/** `join(separator, list)`, `join(list)` or `join(separator, a, b, …)`; what is undefined is left out. */
function join (args: readonly Node[], context: Context): Value {
  const { evaluation, env } = context
  const values = args.map((arg) => evaluation.value(arg, env))
  const last = values.at(-1)
  const list = last?.type === 'list' && values.length <= 2 ? last : undefined
  const separatorValue = list !== undefined && values.length === 1 ? string('') : values.shift() ?? string('')
  const pieces = new Pieces(context)
  const separator = toText(separatorValue, context)
  if (separator.type === 'error') return ERROR
  let anyUndefined = separator.type === 'undefined'
  let anyDefined = false
  for (const value of list === undefined ? values : itemsOf(list, context)) {
    const text = toText(value, context)
    if (text.type === 'undefined') {
      anyUndefined = true
      continue
    }
    if (text.type !== 'string') return ERROR
    if (!pieces.empty && separator.type === 'string') pieces.add(separator.value)
    pieces.add(text.value)
    anyDefined = true
  }
  return anyUndefined && !anyDefined ? UNDEFINED : pieces.done()
}

/** As in Perl: a negative start counts from the end, a negative length leaves out as many there. */
function substr ([text, start, length]: readonly Value[], { evaluation }: Context): Value {
  if (text?.type === 'undefined' || start?.type === 'undefined' || length?.type === 'undefined') return UNDEFINED
  if (text?.type !== 'string' || start?.type !== 'integer' || (length !== undefined && length.type !== 'integer')) return ERROR
  const size = text.value.length
  const from = start.value < 0n ? Math.max(0, size + Number(start.value)) : Math.min(size, Number(start.value))
  const to = length === undefined ? size : length.value < 0n ? size + Number(length.value) : from + Number(length.value)
  return evaluation.made(text.value.slice(from, Math.max(from, to)))
}

const compared = (by: (text: string) => string) => ofValues(2, 2, ([left = UNDEFINED, right = UNDEFINED], context) => {
  if (left.type === 'undefined' || right.type === 'undefined') return UNDEFINED
  const l = toText(left, context)
  const r = toText(right, context)
  if (l.type !== 'string' || r.type !== 'string') return ERROR
  context.evaluation.chargeText(Math.max(l.value.length, r.value.length))
  const [a, b] = [by(l.value), by(r.value)]
  return integer(a < b ? -1 : a > b ? 1 : 0)
})

function size ([value]: readonly Value[]): Value {
  switch (value?.type) {
    case 'undefined': return UNDEFINED
    case 'string': return integer(value.value.length)
    case 'list': return integer(value.items.length)
    case 'ad': return integer(value.ad.size)
    default: return ERROR
  }
}

/** Runs of blanks divide once; other delimiters each divide, so that two in a row hold an empty string between them. */
function split (values: readonly Value[], context: Context): Value {
  const text = textOf(values[0])
  const delimiters = values.length > 1 ? textOf(values[1]) : ', \t\r\n\v\f'
  if (text === undefined || delimiters === undefined) return ERROR
  context.evaluation.chargeText(text.length)
  const dividers = new Set(delimiters)
  const parts: string[] = []
  let part = ''
  let hard = 0
  for (const char of text) {
    if (!dividers.has(char)) {
      part += char
      hard = 0
      continue
    }
    if (part !== '') parts.push(part)
    part = ''
    if (!/\s/.test(char) && ++hard > 1) parts.push('')
  }
  if (part !== '') parts.push(part)
  return listOf(parts, context)
}

/** A list of strings; error when it would be too long. */
export function listOf (texts: readonly string[], { evaluation, env }: Context): Value {
  if (texts.length > LIST_ITEMS_MAX) return ERROR
  evaluation.charge(texts.length)
  return { type: 'list', items: texts.map((text) => ({ kind: 'literal', value: string(text) })), env }
}

/** `slot1@host` divided at the first `@`; a text without one goes to the side that `whole` names. */
const dividedAt = (whole: 'first' | 'second') => ofValues(1, 1, ([value], context) => {
  const text = textOf(value)
  if (text === undefined) return ERROR
  const at = text.indexOf('@')
  if (at >= 0) return listOf([text.slice(0, at), text.slice(at + 1)], context)
  return listOf(whole === 'first' ? [text, ''] : ['', text], context)
})

/** The functions over strings. */
export const stringFunctions: Builtins = {
  strcat: { min: 0, max: Infinity, run: strcat },
  join: { min: 0, max: Infinity, run: join },
  substr: ofValues(2, 3, substr),
  strcmp: compared((text) => text),
  stricmp: compared(lower),
  size: ofValues(1, 1, size),
  split: ofValues(1, 2, split),
  splitslotname: dividedAt('second'),
  splitusername: dividedAt('first')
}
