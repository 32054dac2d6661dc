/**
 * Regular expressions, by RE2: time and memory are linear in the text, whatever the pattern. Back references and look-around, which
 * HTCondor's PCRE knows and which make that impossible, are error.
 */
import { RE2JS } from 're2js'
import { ERROR, FALSE, TRUE, UNDEFINED, boolean, string, type Value } from '../ast.ts'
import { PATTERN_CHARS_MAX, PATTERN_INSTRUCTION_STEPS, PATTERN_PROGRAM_MAX, PATTERN_STEPS, PATTERN_WORK_PER_STEP } from '../constants.ts'
import { itemsOf, ofValues, textOf, type Builtins, type Context } from './call.ts'
import { stringList } from './string-lists.ts'

/** A compiled pattern that pays for each text it looks at. */
class Pattern {
  readonly #re: RE2JS
  readonly #context: Context
  constructor (re: RE2JS, context: Context) {
    this.#re = re
    this.#context = context
  }

  test (text: string): boolean {
    this.#pay(text)
    return this.#re.test(text)
  }

  /** The text around each match, and its groups. */
  * matches (text: string): Generator<{ start: number, end: number, groups: Array<string | null> }> {
    this.#pay(text)
    const matcher = this.#re.matcher(text)
    for (;;) {
      // Every search may run to the end of the text.
      this.#pay(text)
      if (!matcher.find()) return
      const groups = Array.from({ length: matcher.groupCount() + 1 }, (_, i) => matcher.group(i))
      yield { start: matcher.start(), end: matcher.end(), groups }
    }
  }

  #pay (text: string): void {
    this.#context.evaluation.charge(1 + this.#re.programSize() * text.length / PATTERN_WORK_PER_STEP)
  }
}

/** Undefined for a pattern that is malformed, or larger than the bounds allow. Options other than i, m, s and x are passed over. */
function compiled (pattern: string, options: string, context: Context): Pattern | undefined {
  const { patterns } = context.evaluation
  if (pattern.length > PATTERN_CHARS_MAX) return undefined
  const flags = [...'imsx'].filter((flag) => options.includes(flag)).join('')
  const key = `${flags}/${pattern}`
  if (!patterns.has(key)) {
    context.evaluation.charge(PATTERN_STEPS)
    const re = compile(pattern, flags)
    patterns.set(key, re)
    context.evaluation.charge((re?.programSize() ?? 0) * PATTERN_INSTRUCTION_STEPS)
  }
  const re = patterns.get(key)
  return re === undefined ? undefined : new Pattern(re, context)
}

function compile (pattern: string, flags: string): RE2JS | undefined {
  const bits = (flags.includes('i') ? RE2JS.CASE_INSENSITIVE : 0) | (flags.includes('m') ? RE2JS.MULTILINE : 0) | (flags.includes('s') ? RE2JS.DOTALL : 0)
  try {
    const re = RE2JS.compile(flags.includes('x') ? withoutBlanks(pattern) : pattern, bits)
    return re.programSize() > PATTERN_PROGRAM_MAX ? undefined : re
  } catch {
    return undefined // RE2 refuses the pattern; that it does is all that is to be told.
  }
}

/** The option x: blanks and comments outside of brackets do not count. */
function withoutBlanks (pattern: string): string {
  return pattern.replace(/\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\s+|#[^\n]*/gs, (piece) => /^[\s#]/.test(piece) ? '' : piece)
}

/** Any error is error, then any undefined is undefined; the options, when there are any, must be a string. */
function unusable (values: readonly Value[], optionsAt: number): Value | undefined {
  if (values.some((value) => value.type === 'error')) return ERROR
  if (values.some((value) => value.type === 'undefined')) return UNDEFINED
  const options = values[optionsAt]
  return options !== undefined && options.type !== 'string' ? ERROR : undefined
}

const regexp = ofValues(2, 3, (values, context) => {
  const refused = unusable(values, 2)
  if (refused !== undefined) return refused
  const [pattern, text, options = ''] = values.map(textOf)
  if (pattern === undefined || text === undefined) return ERROR
  const re = compiled(pattern, options, context)
  return re === undefined ? ERROR : boolean(re.test(text))
})

const regexpMember = ofValues(2, 3, (values, context) => {
  const refused = unusable(values, 2)
  if (refused !== undefined) return refused
  const pattern = textOf(values[0])
  const list = values[1]
  if (pattern === undefined || list?.type !== 'list') return ERROR
  const re = compiled(pattern, textOf(values[2]) ?? '', context)
  if (re === undefined) return list.items.length === 0 ? FALSE : ERROR
  let anyUndefined = false
  for (const item of itemsOf(list, context)) {
    if (item.type === 'undefined') anyUndefined = true
    else if (item.type !== 'string') return ERROR
    else if (re.test(item.value)) return TRUE
  }
  return anyUndefined ? UNDEFINED : FALSE
})

const stringListRegexpMember = ofValues(2, 4, (values, context) => {
  const refused = unusable(values, 3)
  if (refused !== undefined) return refused
  const [pattern, text] = values.map(textOf)
  const delimiters = values.length > 2 ? textOf(values[2]) : ''
  if (pattern === undefined || text === undefined || delimiters === undefined) return ERROR
  const re = compiled(pattern, textOf(values[3]) ?? '', context)
  if (re === undefined) return ERROR
  return boolean(stringList(text, delimiters, context).some((item) => re.test(item)))
})

/** `regexps` gives the replacement alone; with `f` (always for `replace`) the text around it too, with `g` that of every match. */
const replacement = (always: string) => ofValues(3, 4, (values, context) => {
  const refused = unusable(values, 3)
  if (refused !== undefined) return refused
  const [pattern, text, substitute, given = ''] = values.map(textOf)
  if (pattern === undefined || text === undefined || substitute === undefined) return ERROR
  const options = given + always
  const re = compiled(pattern, options, context)
  return re === undefined ? ERROR : replaced(re, text, substitute, { whole: options.includes('f'), all: options.includes('g') }, context)
})

function replaced (re: Pattern, text: string, substitute: string, { whole, all }: { whole: boolean, all: boolean }, { evaluation }: Context): Value {
  let result = ''
  let at = 0
  for (const { start, end, groups } of re.matches(text)) {
    const inserted = filled(substitute, groups)
    if (inserted === undefined) return ERROR
    evaluation.chargeText(inserted.length)
    result += (whole ? text.slice(at, start) : '') + inserted
    at = end
    if (!all) break
  }
  return result === '' && !whole ? string('') : evaluation.made(whole ? result + text.slice(at) : result)
}

/** `\N` is the group of that number; one that the match did not reach makes the whole an error. */
function filled (substitute: string, groups: ReadonlyArray<string | null>): string | undefined {
  const reached = groups.findLastIndex((group) => group !== null)
  let beyond = false
  const text = substitute.replace(/\\(\d)/g, (_, digit: string) => {
    beyond ||= Number(digit) > reached
    return groups[Number(digit)] ?? ''
  })
  return beyond ? undefined : text
}

export const patternFunctions: Builtins = {
  regexp,
  regexpmember: regexpMember,
  stringlist_regexpmember: stringListRegexpMember,
  regexps: replacement(''),
  replace: replacement('f'),
  replaceall: replacement('fg')
}
