/** Functions that look at expressions rather than at values, or evaluate them elsewhere. */
import { ERROR, UNDEFINED, integer, string, type Env, type Node, type Value } from '../ast.ts'
import { scopeOf } from '../scope.ts'
import { truth } from '../operators.ts'
import { parseExpression } from '../parser.ts'
import { itemsOf, ofValues, textOf, type Builtins, type Context } from './call.ts'
import { toText } from './conversions.ts'

/** The chosen branch only. */
function ifThenElse ([test, yes, no]: readonly Node[], { evaluation, env }: Context): Value {
  if (test === undefined || yes === undefined || no === undefined) return ERROR
  const value = evaluation.value(test, env)
  if (value.type === 'undefined') return UNDEFINED
  const known = truth(value)
  return known === undefined ? ERROR : evaluation.value(known ? yes : no, env)
}

/** Reads and evaluates the text of a value where the call stands. */
const evaluated = ofValues(1, 1, ([value = UNDEFINED], context) => {
  const { evaluation, env } = context
  const text = textOf(toText(value, context))
  if (text === undefined) return ERROR
  evaluation.charge(text.length)
  let node: Node
  try {
    node = parseExpression(text).node
  } catch {
    return ERROR // It does not parse; the language has no other way to say so.
  }
  evaluation.evals++
  const result = evaluation.value(node, env)
  evaluation.evals--
  return result
})

/** The text of the expression that an attribute of the innermost ad holds; empty when it has none. */
function unparse ([arg]: readonly Node[], { evaluation, env }: Context): Value {
  if (arg?.kind === 'select') return string('')
  if (arg?.kind !== 'ref') return ERROR
  const node = env.frame?.ad.node(arg.name)
  return node === undefined ? string('') : evaluation.made(evaluation.text(node))
}

/** The expression behind a plain reference, so that its names are looked up again elsewhere; any other expression is itself. */
function bound (arg: Node, context: Context): Node {
  const { evaluation, env } = context
  if (arg.kind === 'paren') return bound(arg.inner, context)
  if (arg.kind === 'ref' && !arg.absolute) return evaluation.find(arg.name, env)?.node ?? arg
  if (arg.kind !== 'select' || arg.base.kind !== 'ref') return arg
  const scope = scopeOf(arg.base.name, env)
  return scope?.type === 'ad' ? scope.ad.node(arg.name) ?? arg : arg
}

/** The values of an expression inside each ad of a list. */
function * inEach (expression: Node, list: Extract<Value, { type: 'list' }>, context: Context): Generator<Value> {
  for (const item of itemsOf(list, context)) {
    if (item.type !== 'ad') {
      yield item.type === 'undefined' ? UNDEFINED : ERROR
      continue
    }
    const env: Env = { frame: { ad: item.ad, outer: item.env.frame }, my: context.env.my, target: context.env.target }
    yield context.evaluation.value(expression, env)
  }
}

function evalInEachContext ([expression, ads]: readonly Node[], context: Context): Value {
  if (expression === undefined || ads === undefined) return ERROR
  const list = context.evaluation.value(ads, context.env)
  if (list.type !== 'list') return list.type === 'undefined' ? UNDEFINED : ERROR
  const items = Array.from(inEach(bound(expression, context), list, context), (value): Node => ({ kind: 'literal', value }))
  return { type: 'list', items, env: context.env }
}

function countMatches ([expression, ads]: readonly Node[], context: Context): Value {
  if (expression === undefined || ads === undefined) return ERROR
  const list = context.evaluation.value(ads, context.env)
  if (list.type !== 'list') return list.type === 'undefined' ? integer(0) : ERROR
  let count = 0
  for (const value of inEach(bound(expression, context), list, context)) if (truth(value) === true) count++
  return integer(count)
}

export const contextFunctions: Builtins = {
  ifthenelse: { min: 3, max: 3, run: ifThenElse },
  eval: evaluated,
  unparse: { min: 1, max: 1, run: unparse },
  evalineachcontext: { min: 2, max: 2, run: evalInEachContext },
  countmatches: { min: 2, max: 2, run: countMatches }
}

