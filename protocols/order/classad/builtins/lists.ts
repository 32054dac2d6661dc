/** Functions of lists. */
import { ERROR, FALSE, TRUE, UNDEFINED, boolean, integer, real, type BinaryOp, type Value } from '../ast.ts'
import { binary, truth } from '../operators.ts'
import { itemsOf, ofValues, type Builtins, type Context } from './call.ts'

const COMPARISONS: ReadonlyMap<string, BinaryOp> = new Map<string, BinaryOp>([
  ['<', '<'], ['<=', '<='], ['==', '=='], ['!=', '!='], ['>=', '>='], ['>', '>'], ['is', '=?='], ['isnt', '=!=']
])

/** `member` compares with `==`, `identicalMember` with `=?=`; items that cannot be compared are passed over. */
const membership = (op: '==' | '=?=') => ofValues(2, 2, ([value = UNDEFINED, list = UNDEFINED], context) => {
  const strict = op === '=='
  if (list.type === 'undefined' || (strict && value.type === 'undefined')) return UNDEFINED
  if (list.type !== 'list' || value.type === 'list' || value.type === 'ad' || (strict && value.type === 'error')) return ERROR
  for (const item of itemsOf(list, context)) {
    context.evaluation.chargeValue(value)
    if (truth(binary(op, item, value)) === true) return TRUE
  }
  return FALSE
})

/** Every number of the list in turn; false as soon as one is none. What is undefined is passed over. */
function eachNumber (list: Extract<Value, { type: 'list' }>, context: Context, visit: (value: Value) => void): boolean {
  for (const item of itemsOf(list, context)) {
    if (item.type === 'undefined') continue
    if (truth(item) === undefined) return false
    visit(item)
  }
  return true
}

function total (list: Extract<Value, { type: 'list' }>, context: Context): { sum: Value, count: number } | undefined {
  let sum: Value | undefined
  let count = 0
  const numeric = eachNumber(list, context, (item) => {
    sum = sum === undefined ? item : binary('+', sum, item)
    count++
  })
  return numeric ? { sum: sum ?? integer(0), count } : undefined
}

/** The least or the greatest, in the type that all its numbers share. */
function extreme (op: '<' | '>', list: Extract<Value, { type: 'list' }>, context: Context): Value {
  let best: Value | undefined
  const numeric = eachNumber(list, context, (item) => {
    if (best === undefined) {
      best = item
      return
    }
    const chosen = truth(binary(op, item, best)) === true ? item : best
    const other = chosen === item ? best : item
    best = inTypeOf(chosen, other)
  })
  return numeric ? best ?? UNDEFINED : ERROR
}

function inTypeOf (value: Value, other: Value): Value {
  if (value.type === 'boolean') return inTypeOf(integer(value.value ? 1 : 0), other)
  return value.type === 'integer' && other.type === 'real' ? real(Number(value.value)) : value
}

const ofList = (run: (list: Extract<Value, { type: 'list' }>, context: Context) => Value) => ofValues(1, 1, ([list = UNDEFINED], context) => {
  if (list.type === 'undefined') return UNDEFINED
  return list.type === 'list' ? run(list, context) : ERROR
})

const comparison = (all: boolean) => ofValues(3, 3, ([op = UNDEFINED, list = UNDEFINED, value = UNDEFINED], context) => {
  if (op.type === 'undefined') return UNDEFINED
  const known = op.type === 'string' ? COMPARISONS.get(op.value) : undefined
  if (known === undefined) return ERROR
  if (list.type !== 'list') return list.type === 'undefined' ? UNDEFINED : ERROR
  for (const item of itemsOf(list, context)) {
    context.evaluation.chargeValue(value)
    const result = binary(known, item, value)
    // A comparison that is undefined ends the search, as in the library.
    if (result.type !== 'boolean') return result.type === 'undefined' ? FALSE : ERROR
    if (result.value !== all) return boolean(!all)
  }
  return boolean(all)
})

export const listFunctions: Builtins = {
  member: membership('=='),
  identicalmember: membership('=?='),
  sum: ofList((list, context) => total(list, context)?.sum ?? ERROR),
  avg: ofList((list, context) => {
    const found = total(list, context)
    if (found === undefined) return ERROR
    return found.count === 0 ? found.sum : binary('/', found.sum, real(found.count))
  }),
  min: ofList((list, context) => extreme('<', list, context)),
  max: ofList((list, context) => extreme('>', list, context)),
  anycompare: comparison(false),
  allcompare: comparison(true)
}
