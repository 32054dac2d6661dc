/** Why requirements do not hold: clause by clause, with the smallest change that would mend each. */
import { Expression, lower, type AdValue, type BinaryOp, type Env, type Node, type Scalar } from './ast.ts'
import { CLAUSES_MAX, CLAUSE_CHARS_MAX, MENDS_MAX, MEND_CHANGES_MAX } from './constants.ts'
import { Evaluation } from './evaluate.ts'
import { formatExpression, formatValue } from './format.ts'
import { holds } from './match.ts'
import { envOf, type Sides } from './scope.ts'

/** A change of one attribute: `to` is the least that satisfies the clause; `above`, `below` and `other than` exclude the value itself. */
export interface Change {
  attribute: string
  present: AdValue
  bound: 'to' | 'above' | 'below' | 'other than'
  needed: AdValue
  /** For people: `FreeMemoryMiB from 300 to 512`. */
  text: string
}

/**
 * One part of the requirements. `mends` are ways to make it hold when it fails, each the changes that must be made together; the smallest comes
 * first. Empty when the clause holds, or depends on more than attributes compared with something fixed.
 */
export interface Clause { text: string, value: AdValue, holds: boolean, mends: Change[][] }

/**
 * Splits requirements at the `&&` that are not inside anything but parentheses, and evaluates each clause as `evaluate` would. The
 * attribute that a change names is the target's when there is one (a plant's, seen from an order), else that of `my`.
 */
export function explain (requirements: Expression, sides: Sides): Clause[] {
  const evaluation = new Evaluation()
  const env = envOf(sides)
  return partsOf(requirements.node, '&&').slice(0, CLAUSES_MAX).map((node) => {
    const value = evaluation.result(node, env)
    return { text: clipped(textOf(node)), value, holds: holds(value), mends: holds(value) ? [] : new Explainer(evaluation, sides, env).mends(node, true) }
  })
}

/** The operands of a chain of one operator, in the order in which they are evaluated. */
function partsOf (node: Node, op: BinaryOp): Node[] {
  const inner = bare(node)
  return inner.kind === 'binary' && inner.op === op ? [...partsOf(inner.left, op), ...partsOf(inner.right, op)] : [inner]
}

function bare (node: Node): Node {
  return node.kind === 'paren' ? bare(node.inner) : node
}

function textOf (node: Node): string {
  return formatExpression(new Expression(node))
}

function clipped (text: string): string {
  return text.length > CLAUSE_CHARS_MAX ? text.slice(0, CLAUSE_CHARS_MAX) + '…' : text
}

const MIRRORED: Readonly<Partial<Record<BinaryOp, BinaryOp>>> = { '<': '>', '<=': '>=', '>': '<', '>=': '<=', '==': '==', '!=': '!=', '=?=': '=?=', '=!=': '=!=' }
const NEGATED: Readonly<Partial<Record<BinaryOp, BinaryOp>>> = { '<': '>=', '<=': '>', '>': '<=', '>=': '<', '==': '!=', '!=': '==', '=?=': '=!=', '=!=': '=?=' }

class Explainer {
  readonly #evaluation: Evaluation
  readonly #sides: Sides
  readonly #env: Env

  constructor (evaluation: Evaluation, sides: Sides, env: Env) {
    this.#evaluation = evaluation
    this.#sides = sides
    this.#env = env
  }

  /** What would make the clause `wanted`, the smallest first. */
  mends (node: Node, wanted: boolean): Change[][] {
    const clause = bare(node)
    if (clause.kind === 'unary' && clause.op === '!') return this.mends(clause.operand, !wanted)
    if (clause.kind === 'binary' && (clause.op === '&&' || clause.op === '||')) {
      const parts = partsOf(clause, clause.op)
      return (clause.op === '&&') === wanted ? this.#together(parts, wanted) : this.#either(parts, wanted)
    }
    const change = this.#change(clause, wanted)
    return change === undefined ? [] : [[change]]
  }

  /** Each part must become `wanted`. */
  #together (parts: Node[], wanted: boolean): Change[][] {
    let mends: Change[][] = [[]]
    for (const part of parts) {
      const value = this.#evaluation.result(part, this.#env)
      if (wanted ? holds(value) : value.type === 'boolean' && !value.value) continue
      const more = this.mends(part, wanted)
      mends = smallestFirst(mends.flatMap((mend) => more.map((one) => [...mend, ...one])))
    }
    return mends
  }

  /** One part that becomes `wanted` is enough. */
  #either (parts: Node[], wanted: boolean): Change[][] {
    const mends: Change[][] = []
    for (const part of parts) {
      mends.push(...this.mends(part, wanted))
      // The whole stays an error, whatever is behind it.
      if (this.#evaluation.result(part, this.#env).type === 'error') break
    }
    return smallestFirst(mends)
  }

  /** A comparison, or an attribute that is a truth value. */
  #change (clause: Node, wanted: boolean): Change | undefined {
    if (clause.kind !== 'binary') return this.#compared(clause, '==', { kind: 'literal', value: { type: 'boolean', value: wanted } })
    const op = wanted ? clause.op : NEGATED[clause.op]
    const mirrored = op === undefined ? undefined : MIRRORED[op]
    if (op === undefined || mirrored === undefined) return undefined
    return this.#compared(bare(clause.left), op, clause.right) ?? this.#compared(bare(clause.right), mirrored, clause.left)
  }

  #compared (reference: Node, op: BinaryOp, other: Node): Change | undefined {
    const attribute = this.#attributeOf(reference)
    if (attribute === undefined || !this.#isFixed(other)) return undefined
    const needed = this.#evaluation.result(other, this.#env)
    if (needed.type === 'error' || needed.type === 'list' || needed.type === 'ad') return undefined
    // Nothing is equal to undefined or below it; but one may be it.
    if (needed.type === 'undefined' && op !== '=?=' && op !== '=!=') return undefined
    return changeOf(attribute, this.#evaluation.result(reference, this.#env), op, needed)
  }

  /** The name, when the node is an attribute that the plant could change. */
  #attributeOf (node: Node): string | undefined {
    const { my, target } = this.#sides
    if (node.kind === 'ref' && !node.absolute) return target === undefined || my?.has(node.name) !== true ? node.name : undefined
    if (node.kind !== 'select') return undefined
    const base = bare(node.base)
    if (base.kind !== 'ref') return undefined
    const side = SCOPES.get(lower(base.name))
    return side === (target === undefined ? 'my' : 'target') ? node.name : undefined
  }

  /** Whether the node keeps its value when the plant changes. */
  #isFixed (node: Node): boolean {
    switch (node.kind) {
      case 'literal': return true
      case 'paren': return this.#isFixed(node.inner)
      case 'unary': return this.#isFixed(node.operand)
      case 'binary': return this.#isFixed(node.left) && this.#isFixed(node.right)
      case 'call': return lower(node.name) !== 'eval' && node.args.every((arg) => this.#isFixed(arg))
      case 'ref': case 'select': return this.#attributeOf(node) === undefined && this.#isMine(node)
      default: return false
    }
  }

  /** Whether the node is an attribute of the order, with a value of its own. */
  #isMine (node: Node): boolean {
    const { my, target } = this.#sides
    if (target === undefined || my === undefined) return false
    const held = node.kind === 'ref' ? my.node(node.name) : node.kind === 'select' && node.base.kind === 'ref' && SCOPES.get(lower(node.base.name)) === 'my' ? my.node(node.name) : undefined
    return held?.kind === 'literal'
  }
}

/** Fewer changes before more, then those that go less far. */
function smallestFirst (mends: Change[][]): Change[][] {
  const sized = mends.filter((mend) => mend.length <= MEND_CHANGES_MAX).map((mend) => ({ mend, size: mend.reduce((sum, change) => sum + 1 + distanceOf(change), 0) }))
  return sized.sort((a, b) => a.size - b.size).slice(0, MENDS_MAX).map(({ mend }) => mend)
}

/** How far a number has to go, from 0 to below 1; anything else is another thing altogether. */
function distanceOf ({ present, needed }: Change): number {
  const [from, to] = [present, needed].map((value) => value.type === 'integer' || value.type === 'real' ? Number(value.value) : NaN) as [number, number]
  const distance = Math.abs(to - from) / (Math.abs(to) + Math.abs(from) + 1)
  return Number.isFinite(distance) ? distance : 1
}

/** The names of the two sides. */
const SCOPES = new Map<string, 'my' | 'target'>([['my', 'my'], ['self', 'my'], ['target', 'target'], ['other', 'target']])

function changeOf (attribute: string, present: AdValue, op: BinaryOp, fixed: Scalar): Change | undefined {
  const change = (bound: Change['bound'], needed: Scalar): Change => ({
    attribute, present, bound, needed, text: clipped(`${attribute} from ${formatValue(present)} ${bound === 'to' ? 'to' : `to ${bound}`} ${formatValue(needed)}`)
  })
  switch (op) {
    case '==': case '=?=': return change('to', fixed)
    case '!=': case '=!=': return change('other than', fixed)
    case '>=': return change('to', whole(present, fixed, Math.ceil))
    case '<=': return change('to', whole(present, fixed, Math.floor))
    case '>': case '<': {
      const step = op === '>' ? 1n : -1n
      const rounded = whole(present, fixed, op === '>' ? Math.floor : Math.ceil)
      // Between whole numbers there is a next one; between reals there is none to name.
      if (rounded.type === 'integer' && present.type !== 'real') return change('to', { type: 'integer', value: rounded.value + step })
      return change(op === '>' ? 'above' : 'below', fixed)
    }
    default: return undefined
  }
}

/** The bound as the attribute can reach it: an integer attribute passes a bound of 2.5 at 3. */
function whole (present: AdValue, fixed: Scalar, round: (value: number) => number): Scalar {
  if (present.type !== 'integer' || fixed.type !== 'real' || !Number.isSafeInteger(round(fixed.value))) return fixed
  return { type: 'integer', value: BigInt(round(fixed.value)) }
}
