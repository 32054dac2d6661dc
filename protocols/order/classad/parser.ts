/** Tokens to syntax trees by precedence climbing; see README.md, Grammar. */
import { ClassAd, ERROR, Expression, FALSE, TRUE, UNDEFINED, integer, lower, real, string, type Attribute, type BinaryOp, type Node, type Scalar, type UnaryOp } from './ast.ts'
import { AD_CHARS_MAX, EXPRESSION_CHARS_MAX, HEIGHT_MAX, NESTING_MAX } from './constants.ts'
import { Lexer, invalid, type Token } from './lexer.ts'

/** Binding strength of the binary operators, all of which associate to the left. `?:` binds like a postfix and is not among them. */
export const PRECEDENCE: Readonly<Partial<Record<string, number>>> = {
  '||': 1, '&&': 2, '|': 3, '^': 4, '&': 5, '==': 6, '!=': 6, '=?=': 6, '=!=': 6, '<': 7, '<=': 7, '>': 7, '>=': 7,
  '<<': 8, '>>': 8, '>>>': 8, '+': 9, '-': 9, '*': 10, '/': 10, '%': 10
}
const WORD_OPERATORS: Readonly<Record<string, BinaryOp>> = { is: '=?=', isnt: '=!=' }
const WORD_VALUES = new Map<string, Scalar>([['true', TRUE], ['false', FALSE], ['undefined', UNDEFINED], ['error', ERROR]])
const UNARY = new Set(['-', '+', '!', '~'])

/** Words that are no attribute names unless quoted. */
export function isKeyword (name: string): boolean {
  return WORD_VALUES.has(lower(name)) || Object.hasOwn(WORD_OPERATORS, lower(name))
}

/** Reads one expression; throws EXPRESSION_INVALID with line and column. */
export function parseExpression (text: string): Expression {
  return new Expression(new Parser(text, EXPRESSION_CHARS_MAX).whole((parser) => parser.expression()))
}

/** Reads an ad, `[Name = expression; …]`; throws EXPRESSION_INVALID with line and column. */
export function parseAd (text: string): ClassAd {
  return new Parser(text, AD_CHARS_MAX).whole((parser) => parser.ad())
}

class Parser {
  readonly #source: string
  readonly #lexer: Lexer
  readonly #heights = new Map<Node, number>()
  readonly #adHeights = new Map<ClassAd, number>()
  #token: Token
  #nesting = 0

  constructor (source: string, charsMax: number) {
    if (source.length > charsMax) invalid(source.slice(0, charsMax), charsMax, `longer than ${charsMax} characters`)
    this.#source = source
    this.#lexer = new Lexer(source)
    this.#token = this.#lexer.next()
  }

  whole<T> (read: (parser: this) => T): T {
    const result = read(this)
    if (this.#token.kind !== 'end') this.#unexpected('the end')
    return result
  }

  expression (): Node {
    return this.#nested(() => {
      const test = this.#binary(1)
      if (!this.#accept('?')) return test
      const yes = this.expression()
      this.#expect(':')
      const no = this.expression()
      return this.#made({ kind: 'ternary', test, yes, no }, [test, yes, no])
    })
  }

  ad (): ClassAd {
    this.#expect('[')
    const attributes: Attribute[] = []
    let tallest = 0
    while (!this.#isSymbol(']')) {
      if (this.#accept(';')) continue
      const name = this.#name()
      this.#expect('=')
      const node = this.expression()
      tallest = Math.max(tallest, this.#heights.get(node) ?? 1)
      attributes.push({ name, node })
      if (!this.#isSymbol(']') && !this.#isSymbol(';')) this.#unexpected("';' or ']'")
    }
    this.#advance()
    const ad = new ClassAd(attributes)
    this.#adHeights.set(ad, tallest)
    return ad
  }

  #binary (strengthMin: number): Node {
    let left = this.#unary()
    for (;;) {
      const op = this.#binaryOp()
      const strength = op === undefined ? undefined : PRECEDENCE[op]
      if (op === undefined || strength === undefined || strength < strengthMin) return left
      this.#advance()
      const right = this.#binary(strength + 1)
      left = this.#made({ kind: 'binary', op, left, right }, [left, right])
    }
  }

  #binaryOp (): BinaryOp | undefined {
    const { kind, text } = this.#token
    if (kind === 'symbol') return text as BinaryOp
    return kind === 'name' && Object.hasOwn(WORD_OPERATORS, lower(text)) ? WORD_OPERATORS[lower(text)] : undefined
  }

  #unary (): Node {
    const { kind, text } = this.#token
    if (kind !== 'symbol' || !UNARY.has(text)) return this.#postfix()
    this.#advance()
    const operand = this.#nested(() => this.#unary())
    return this.#made({ kind: 'unary', op: text as UnaryOp, operand }, [operand])
  }

  #postfix (): Node {
    let base = this.#primary()
    for (;;) {
      if (this.#accept('.')) {
        base = this.#made({ kind: 'select', base, name: this.#name() }, [base])
      } else if (this.#accept('[')) {
        const index = this.expression()
        this.#expect(']')
        base = this.#made({ kind: 'index', base, index }, [base, index])
      } else if (this.#accept('?:')) {
        const right = this.#nested(() => this.#unary())
        base = this.#made({ kind: 'binary', op: '?:', left: base, right }, [base, right])
      } else {
        return base
      }
    }
  }

  #primary (): Node {
    const { kind, text } = this.#token
    if (kind === 'string') return this.#strings()
    if (kind === 'integer' || kind === 'real') {
      this.#advance()
      return { kind: 'literal', value: kind === 'integer' ? integer(BigInt(text)) : real(Number(text)) }
    }
    const word = kind === 'name' ? WORD_VALUES.get(lower(text)) : undefined
    if (word !== undefined) {
      this.#advance()
      return { kind: 'literal', value: word }
    }
    if (kind === 'name' || kind === 'quoted') return this.#reference(this.#name())
    if (this.#accept('.')) return { kind: 'ref', name: this.#name(), absolute: true }
    if (this.#isSymbol('[')) {
      const ad = this.#nested(() => this.ad())
      const node: Node = { kind: 'ad', ad }
      this.#setHeight(node, 1 + (this.#adHeights.get(ad) ?? 0))
      return node
    }
    if (this.#accept('{')) {
      const items = this.#sequence('}')
      return this.#made({ kind: 'list', items }, items)
    }
    if (!this.#accept('(')) this.#unexpected('an expression')
    const inner = this.expression()
    this.#expect(')')
    return this.#made({ kind: 'paren', inner }, [inner])
  }

  /** Adjacent string literals are one. */
  #strings (): Node {
    let text = ''
    while (this.#token.kind === 'string') {
      text += this.#token.text
      this.#advance()
    }
    return { kind: 'literal', value: string(text) }
  }

  #reference (name: string): Node {
    if (!this.#accept('(')) return { kind: 'ref', name, absolute: false }
    const args = this.#sequence(')')
    return this.#made({ kind: 'call', name, args }, args)
  }

  #sequence (close: string): Node[] {
    const items: Node[] = []
    if (this.#accept(close)) return items
    for (;;) {
      items.push(this.expression())
      if (this.#accept(close)) return items
      if (!this.#accept(',')) this.#unexpected(`',' or '${close}'`)
    }
  }

  #name (): string {
    const { kind, text } = this.#token
    if (kind !== 'quoted' && (kind !== 'name' || isKeyword(text))) this.#unexpected('a name')
    this.#advance()
    return text
  }

  /** Counts a level of nesting while `read` runs. */
  #nested<T> (read: () => T): T {
    if (++this.#nesting > NESTING_MAX) invalid(this.#source, this.#token.at, `nested deeper than ${NESTING_MAX} levels`)
    const result = read()
    this.#nesting--
    return result
  }

  /** Notes the height of a new node: evaluation and writing recurse as deep. */
  #made (node: Node, children: readonly Node[]): Node {
    let tallest = 0
    for (const child of children) tallest = Math.max(tallest, this.#heights.get(child) ?? 1)
    this.#setHeight(node, tallest + 1)
    return node
  }

  #setHeight (node: Node, height: number): void {
    if (height > HEIGHT_MAX) invalid(this.#source, this.#token.at, `more than ${HEIGHT_MAX} operators deep`)
    this.#heights.set(node, height)
  }

  #advance (): void { this.#token = this.#lexer.next() }

  #isSymbol (text: string): boolean { return this.#token.kind === 'symbol' && this.#token.text === text }

  #accept (text: string): boolean {
    if (!this.#isSymbol(text)) return false
    this.#advance()
    return true
  }

  #expect (text: string): void {
    if (!this.#accept(text)) this.#unexpected(`'${text}'`)
  }

  #unexpected (wanted: string): never {
    return invalid(this.#source, this.#token.at, `expected ${wanted}`)
  }
}
