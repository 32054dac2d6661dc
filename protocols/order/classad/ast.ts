/** Syntax trees, ads and the values that evaluation works with. */

export type UnaryOp = '-' | '+' | '!' | '~'
export type BinaryOp = '||' | '&&' | '|' | '^' | '&' | '==' | '!=' | '=?=' | '=!=' | '<' | '<=' | '>' | '>=' | '<<' | '>>' | '>>>' |
  '+' | '-' | '*' | '/' | '%' | '?:'

/** A node of a syntax tree. Parentheses are kept, so that text is written as it was read. */
export type Node =
  | { readonly kind: 'literal', readonly value: Value }
  | { readonly kind: 'ref', readonly name: string, readonly absolute: boolean }
  | { readonly kind: 'select', readonly base: Node, readonly name: string }
  | { readonly kind: 'index', readonly base: Node, readonly index: Node }
  | { readonly kind: 'call', readonly name: string, readonly args: readonly Node[] }
  | { readonly kind: 'unary', readonly op: UnaryOp, readonly operand: Node }
  | { readonly kind: 'binary', readonly op: BinaryOp, readonly left: Node, readonly right: Node }
  | { readonly kind: 'ternary', readonly test: Node, readonly yes: Node, readonly no: Node }
  | { readonly kind: 'paren', readonly inner: Node }
  | { readonly kind: 'list', readonly items: readonly Node[] }
  | { readonly kind: 'ad', readonly ad: ClassAd }

/** An expression that was read; may be evaluated any number of times. */
export class Expression {
  readonly node: Node
  constructor (node: Node) { this.node = node }
}

export interface Attribute { readonly name: string, readonly node: Node }

/** A description: attributes in the order in which they were given. Names are compared without regard to case; the last of a name wins. */
export class ClassAd {
  readonly #attributes = new Map<string, Attribute>()

  constructor (attributes: Iterable<Attribute> = []) {
    for (const attribute of attributes) this.#attributes.set(lower(attribute.name), attribute)
  }

  get size (): number { return this.#attributes.size }

  /** The expression of an attribute, or undefined when there is none of that name. */
  node (name: string): Node | undefined { return this.#attributes.get(lower(name))?.node }

  has (name: string): boolean { return this.#attributes.has(lower(name)) }

  attributes (): Iterable<Attribute> { return this.#attributes.values() }
}

/** An ad inside the ads that enclose it. */
export interface Frame { readonly ad: ClassAd, readonly outer: Frame | undefined }

/** Where an expression is evaluated: its ads from the innermost outwards, and the two sides of the match. */
export interface Env { readonly frame: Frame | undefined, readonly my: ClassAd | undefined, readonly target: ClassAd | undefined }

/** Values that hold no expressions. */
export type Scalar =
  | { readonly type: 'undefined' }
  | { readonly type: 'error' }
  | { readonly type: 'boolean', readonly value: boolean }
  | { readonly type: 'integer', readonly value: bigint }
  | { readonly type: 'real', readonly value: number }
  | { readonly type: 'string', readonly value: string }
  /** Seconds since 1970 and the offset from UTC that it is written with. */
  | { readonly type: 'absTime', readonly seconds: number, readonly offsetSeconds: number }
  | { readonly type: 'relTime', readonly seconds: number }

export type List = { readonly type: 'list', readonly items: readonly Node[], readonly env: Env }

/** A value during evaluation: lists and ads hold expressions, which are evaluated when they are looked at. */
export type Value = Scalar | List | { readonly type: 'ad', readonly ad: ClassAd, readonly env: Env }

/** The value of an expression, evaluated all the way down. Integers are 64 bits wide. */
export type AdValue =
  | Scalar
  | { readonly type: 'list', readonly items: readonly AdValue[] }
  | { readonly type: 'ad', readonly attributes: ReadonlyArray<{ readonly name: string, readonly value: AdValue }> }

/** The value undefined. */
export const UNDEFINED: Scalar = { type: 'undefined' }
/** The value error. */
export const ERROR: Scalar = { type: 'error' }
/** The value true. */
export const TRUE: Scalar = { type: 'boolean', value: true }
/** The value false. */
export const FALSE: Scalar = { type: 'boolean', value: false }
/** The scope of expressions that stand in no ad. */
export const NOWHERE: Env = { frame: undefined, my: undefined, target: undefined }

/** The boolean as a ClassAd value. */
export function boolean (value: boolean): Scalar { return value ? TRUE : FALSE }

/** An integer, wrapped to 64 bits. */
export function integer (value: bigint | number): Scalar { return { type: 'integer', value: BigInt.asIntN(64, BigInt(value)) } }

/** The number as a real. */
export function real (value: number): Scalar { return { type: 'real', value } }

/** The text as a ClassAd value. */
export function string (value: string): Scalar { return { type: 'string', value } }

/** Lower case of ASCII letters only: what the language compares by. */
export function lower (text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** Upper case of ASCII letters only. */
export function upper (text: string): string {
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase())
}
