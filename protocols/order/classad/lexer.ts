/** Text to tokens, one at a time; see README.md, Grammar. */
import { PlantError } from '../../kit/index.ts'
import { NAME_CHARS_MAX } from './constants.ts'

export type TokenKind = 'integer' | 'real' | 'string' | 'name' | 'quoted' | 'symbol' | 'end'

/** `text` is the symbol, the digits, the name as written or the string with its escapes resolved. */
export interface Token { kind: TokenKind, text: string, at: number }

const SYMBOLS = ['>>>', '=?=', '=!=', '&&', '||', '==', '!=', '<=', '>=', '<<', '>>',
  '(', ')', '[', ']', '{', '}', ',', ';', '.', '?', ':', '=', '<', '>', '+', '-', '*', '/', '%', '!', '~', '&', '|', '^']
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' }
const NUMBER = /(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?/y
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y
// `? :` with nothing between is the defaulting operator, blanks or not.
const ELVIS = /\?\s*:/y
const BLANKS = /\s+/y
const LINE_COMMENT = /\/\/[^\n]*/y
const PLAIN = /[^"'\\]+/y
const OCTAL = /[0-3][0-7]{0,2}|[4-7][0-7]?/y

/** Throws EXPRESSION_INVALID for what does not parse: `at` is the offset, told as line and column (both from 1). */
export function invalid (source: string, at: number, problem: string): never {
  const before = source.slice(0, at).split('\n')
  const near = source.slice(at, at + 20).split('\n', 1)[0] ?? ''
  throw new PlantError('EXPRESSION_INVALID', { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, problem, near })
}

/** Cuts a source into tokens; throws EXPRESSION_INVALID with line and column. */
export class Lexer {
  readonly #source: string
  #at = 0

  constructor (source: string) { this.#source = source }

  next (): Token {
    this.#skipBlanks()
    const source = this.#source
    const at = this.#at
    const first = source[at]
    if (first === undefined) return { kind: 'end', text: 'the end', at }
    if (first === '"') return { kind: 'string', text: this.#quoted(first), at }
    if (first === "'") return { kind: 'quoted', text: this.#name(this.#quoted(first), at), at }
    const name = this.#take(NAME)
    if (name !== undefined) return { kind: 'name', text: this.#name(name, at), at }
    const number = this.#take(NUMBER)
    if (number !== undefined) return this.#number(number, at)
    if (this.#take(ELVIS) !== undefined) return { kind: 'symbol', text: '?:', at }
    const symbol = SYMBOLS.find((s) => source.startsWith(s, at))
    if (symbol === undefined) return invalid(source, at, 'unexpected character')
    this.#at += symbol.length
    return { kind: 'symbol', text: symbol, at }
  }

  #number (text: string, at: number): Token {
    const after = this.#source[this.#at] ?? ''
    // `1.` and `12ab` are neither numbers nor anything else.
    if (/[A-Za-z0-9_.]/.test(after)) invalid(this.#source, this.#at, 'malformed number')
    return { kind: /^\d+$/.test(text) ? 'integer' : 'real', text, at }
  }

  #name (text: string, at: number): string {
    return text.length > NAME_CHARS_MAX ? invalid(this.#source, at, `name longer than ${NAME_CHARS_MAX} characters`) : text
  }

  #take (pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#source)?.[0]
    if (found !== undefined) this.#at += found.length
    return found
  }

  #skipBlanks (): void {
    for (;;) {
      this.#take(BLANKS)
      if (this.#take(LINE_COMMENT) !== undefined) continue
      if (!this.#source.startsWith('/*', this.#at)) return
      const end = this.#source.indexOf('*/', this.#at + 2)
      if (end < 0) invalid(this.#source, this.#at, 'comment without an end')
      this.#at = end + 2
    }
  }

  #quoted (quote: string): string {
    const source = this.#source
    const start = this.#at++
    let text = ''
    for (;;) {
      const run = this.#take(PLAIN)
      if (run !== undefined) text += run
      const char = source[this.#at++]
      if (char === undefined) return invalid(source, start, quote === '"' ? 'string without an end' : 'quoted name without an end')
      if (char === quote) return text
      text += char === '\\' ? this.#escape() : char
    }
  }

  #escape (): string {
    const octal = this.#take(OCTAL)
    if (octal !== undefined) return String.fromCharCode(parseInt(octal, 8))
    const char = this.#source[this.#at++]
    return char === undefined ? '' : ESCAPES[char] ?? char
  }
}
