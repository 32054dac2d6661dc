/** Evaluation: total (it gives a value, it never throws) and bounded (steps, depth, sizes; constants.ts). */
import type { RE2JS } from 're2js'
import { ERROR, UNDEFINED, boolean, type AdValue, type BinaryOp, type ClassAd, type Env, type Expression, type Frame, type Node, type Scalar, type Value } from './ast.ts'
import type { Evaluator } from './builtins/call.ts'
import { builtin } from './builtins/index.ts'
import { CHARS_PER_STEP, DEPTH_MAX, STEPS_MAX, STRING_CHARS_MAX } from './constants.ts'
import { libraryText } from './format.ts'
import { binary, truth, unary } from './operators.ts'
import { envOf, scopeOf, targetEnv, type Lookup, type Sides } from './scope.ts'

/** Ends an evaluation that passed a bound; its value is then error, whatever is around the place where it happened. */
class Overrun extends Error {}

/** The value of an expression, all the way down. Never throws; a bound that is passed gives error. */
export function evaluate (expression: Expression, sides: Sides = {}): AdValue {
  return new Evaluation().result(expression.node, envOf(sides))
}

/** The value of an attribute of `sides.my`; undefined when it has none of that name. */
export function evaluateAttribute (name: string, sides: Sides): AdValue {
  const node = sides.my?.node(name)
  return node === undefined ? UNDEFINED : new Evaluation().result(node, envOf(sides))
}

/** One evaluation and what it has spent. Several expressions may share one, and with it the bound. */
export class Evaluation implements Evaluator {
  /** How many calls of `eval` are under way. */
  evals = 0
  /** Patterns compiled so far. */
  readonly patterns = new Map<string, RE2JS | undefined>()
  readonly #active: Lookup[] = []
  #steps = 0
  #depth = 0

  /** The value all the way down, or error when a bound was passed. */
  result (node: Node, env: Env): AdValue {
    const depth = this.#depth
    const active = this.#active.length
    try {
      return this.#whole(this.value(node, env))
    } catch (thrown) {
      // DEPTH_MAX keeps clear of the end of the stack unless the caller is near it already: that is a bound too.
      if (!(thrown instanceof Overrun || thrown instanceof RangeError)) throw thrown
      this.#depth = depth
      this.#active.length = active
      this.evals = 0
      return ERROR
    }
  }

  /** Counts work: every character that a function reads or writes is paid for. */
  charge (steps: number): void {
    this.#steps += steps
    if (this.#steps > STEPS_MAX) throw new Overrun()
  }

  /** A string that a function made; counted, and refused when it is too long. */
  made (text: string): Scalar {
    this.chargeText(text.length)
    return { type: 'string', value: text }
  }

  /** A tree written out. */
  text (node: Node): string {
    return libraryText(node, (inner) => {
      this.charge(1)
      if (inner.kind === 'literal') this.chargeValue(inner.value)
    })
  }

  chargeText (chars: number): void {
    if (chars > STRING_CHARS_MAX) throw new Overrun()
    this.charge(chars / CHARS_PER_STEP)
  }

  /** Counts the reading of a value. */
  chargeValue (value: Value): void {
    if (value.type === 'string') this.charge(value.value.length / CHARS_PER_STEP)
  }

  value (node: Node, env: Env): Value {
    if (++this.#depth > DEPTH_MAX) throw new Overrun()
    this.charge(1)
    const value = this.#evaluate(node, env)
    this.#depth--
    return value
  }

  /** The expression behind a name, and where it is evaluated; undefined when nothing of that name is in sight. */
  find (name: string, env: Env): Lookup | undefined {
    const inside = this.#find(name, env.frame, env)
    if (inside !== undefined || env.target === undefined) return inside
    const node = env.target.node(name)
    return node === undefined ? undefined : { node, env: targetEnv(env), holder: env.target }
  }

  /** Evaluates what a name stands for; one that comes to itself again is error, or undefined when that was by way of `eval`. */
  follow (found: Lookup | undefined): Value {
    if (found === undefined) return UNDEFINED
    if (this.#active.some((other) => other.node === found.node && other.holder === found.holder && other.env.target === found.env.target)) return this.evals > 0 ? UNDEFINED : ERROR
    this.charge(this.#active.length / CHARS_PER_STEP)
    this.#active.push(found)
    const value = this.value(found.node, found.env)
    this.#active.pop()
    return value
  }

  /** Looks from `frame` outwards. `around` encloses the frame for the expression that is found, though the search ends before it. */
  #find (name: string, frame: Frame | undefined, env: Env, around?: Frame): Lookup | undefined {
    for (let at = frame; at !== undefined; at = at.outer) {
      this.charge(1 / CHARS_PER_STEP)
      const node = at.ad.node(name)
      if (node !== undefined) return { node, env: { frame: around === undefined ? at : { ad: at.ad, outer: around }, my: env.my, target: env.target }, holder: at.ad }
    }
    return undefined
  }

  #evaluate (node: Node, env: Env): Value {
    switch (node.kind) {
      case 'literal': return node.value
      case 'paren': return this.value(node.inner, env)
      case 'ref': return node.absolute ? this.#absolute(node.name, env) : this.#reference(node.name, env)
      case 'select': return this.#select(node, env)
      case 'index': return this.#index(this.value(node.base, env), this.value(node.index, env))
      case 'call': return this.#call(node.name, node.args, env)
      case 'unary': return unary(node.op, this.value(node.operand, env))
      case 'binary': return this.#binary(node, env)
      case 'ternary': return this.#ternary(node, env)
      case 'list': return { type: 'list', items: node.items, env }
      case 'ad': return { type: 'ad', ad: node.ad, env }
    }
  }

  #reference (name: string, env: Env): Value {
    const found = this.find(name, env)
    return found === undefined ? scopeOf(name, env) ?? UNDEFINED : this.follow(found)
  }

  /** `.name`: from the outermost ad. */
  #absolute (name: string, env: Env): Value {
    let frame = env.frame
    while (frame?.outer !== undefined) frame = frame.outer
    return this.follow(this.#find(name, frame, env))
  }

  #select (node: Extract<Node, { kind: 'select' }>, env: Env): Value {
    const base = this.value(node.base, env)
    if (base.type === 'ad') return this.follow(this.#find(node.name, { ad: base.ad, outer: base.env.frame }, base.env))
    if (base.type === 'list') {
      this.charge(base.items.length)
      return { type: 'list', items: base.items.map((item) => ({ kind: 'select', base: item, name: node.name })), env: base.env }
    }
    return base.type === 'undefined' ? UNDEFINED : ERROR
  }

  #index (base: Value, index: Value): Value {
    if (base.type === 'error' || index.type === 'error') return ERROR
    if (base.type === 'undefined' || index.type === 'undefined') return UNDEFINED
    this.chargeValue(index)
    if (base.type === 'ad' && index.type === 'string') return this.follow(this.#find(index.value, { ad: base.ad, outer: undefined }, base.env, base.env.frame))
    if (base.type !== 'list' || index.type !== 'integer' || index.value < 0n) return ERROR
    const item = base.items[Number(index.value)]
    return item === undefined ? ERROR : this.value(item, base.env)
  }

  #call (name: string, args: readonly Node[], env: Env): Value {
    const call = builtin(name)
    if (call === undefined || args.length < call.min || args.length > call.max) return ERROR
    return call.run(args, { evaluation: this, env })
  }

  #binary (node: Extract<Node, { kind: 'binary' }>, env: Env): Value {
    const left = this.value(node.left, env)
    if (node.op === '?:') return left.type === 'undefined' ? this.value(node.right, env) : left
    if (node.op !== '&&' && node.op !== '||') return this.#strict(node.op, left, this.value(node.right, env))
    const decisive = node.op === '||'
    const known = truth(left)
    if (known === decisive) return boolean(decisive)
    if (known === undefined && left.type !== 'undefined') return ERROR
    const right = this.value(node.right, env)
    const other = truth(right)
    if (other === undefined) return right.type === 'undefined' ? UNDEFINED : ERROR
    return known !== undefined || other === decisive ? boolean(other) : UNDEFINED
  }

  #strict (op: BinaryOp, left: Value, right: Value): Value {
    this.chargeValue(left)
    this.chargeValue(right)
    return binary(op, left, right)
  }

  #ternary (node: Extract<Node, { kind: 'ternary' }>, env: Env): Value {
    const test = this.value(node.test, env)
    if (test.type === 'undefined') return UNDEFINED
    const known = truth(test)
    return known === undefined ? ERROR : this.value(known ? node.yes : node.no, env)
  }

  /** Evaluates everything inside: the items of a list where they were written, the attributes of an ad in its own scope alone. */
  #whole (value: Value): AdValue {
    if (value.type !== 'list' && value.type !== 'ad') return value
    if (++this.#depth > DEPTH_MAX) throw new Overrun()
    const whole = value.type === 'list' ? this.#wholeList(value) : this.#wholeAd(value.ad)
    this.#depth--
    return whole
  }

  #wholeList ({ items, env }: Extract<Value, { type: 'list' }>): AdValue {
    return { type: 'list', items: items.map((item) => this.#whole(this.value(item, env))) }
  }

  #wholeAd (ad: ClassAd): AdValue {
    const env = envOf({ my: ad })
    return { type: 'ad', attributes: Array.from(ad.attributes(), ({ name, node }) => ({ name, value: this.#whole(this.value(node, env)) })) }
  }
}
