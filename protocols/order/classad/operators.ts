/** The operators on values, without evaluation. After HTCondor's library, corner cases included; see README.md, Operators. */
import { ERROR, UNDEFINED, boolean, integer, lower, real, type BinaryOp, type Scalar, type UnaryOp, type Value } from './ast.ts'

const INTEGER_MIN = -(2n ** 63n)
const INTEGER_MAX = 2n ** 63n - 1n

/** The truth that a value stands for: booleans and numbers have one. */
export function truth (value: Value): boolean | undefined {
  if (value.type === 'boolean') return value.value
  if (value.type === 'integer') return value.value !== 0n
  return value.type === 'real' ? value.value !== 0 : undefined
}

/** A unary operator on a value. */
export function unary (op: UnaryOp, operand: Value): Value {
  if (operand.type === 'error' || operand.type === 'undefined') return operand
  if (op === '!') {
    const known = truth(operand)
    return known === undefined ? ERROR : boolean(!known)
  }
  if (op === '~') return operand.type === 'integer' ? integer(~operand.value) : ERROR
  switch (operand.type) {
    case 'integer': return op === '-' ? integer(-operand.value) : operand
    case 'real': return op === '-' ? real(-operand.value) : operand
    case 'relTime': return op === '-' ? { type: 'relTime', seconds: -operand.seconds } : operand
    default: return ERROR
  }
}

/** Every binary operator but `&&`, `||` and `?:`, which do not always look at their right side. */
export function binary (op: BinaryOp, left: Value, right: Value): Scalar {
  if (op === '=?=') return identical(left, right)
  if (op === '=!=') {
    const same = identical(left, right)
    return same.type === 'boolean' ? boolean(!same.value) : same
  }
  if (left.type === 'error' || right.type === 'error') return ERROR
  if (left.type === 'undefined' || right.type === 'undefined') return UNDEFINED
  switch (op) {
    case '==': case '!=': case '<': case '<=': case '>': case '>=': return compare(op, left, right)
    case '+': case '-': case '*': case '/': case '%': return arithmetic(op, left, right)
    default: return left.type === 'integer' && right.type === 'integer' ? bits(op, left.value, right.value) : ERROR
  }
}

function identical (left: Value, right: Value): Scalar {
  if (left.type === 'list' || left.type === 'ad') return left.type === right.type ? ERROR : boolean(false)
  if (left.type !== right.type) return boolean(false)
  if (left.type === 'relTime') return boolean(right.type === 'relTime' && left.seconds === right.seconds)
  if (left.type === 'absTime') return boolean(right.type === 'absTime' && left.seconds === right.seconds && left.offsetSeconds === right.offsetSeconds)
  if (!('value' in left) || !('value' in right)) return boolean(true)
  return boolean(left.value === right.value)
}

type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>='

function compare (op: Comparison, left: Value, right: Value): Scalar {
  if (left.type === 'string' && right.type === 'string') return ordered(op, lower(left.value), lower(right.value))
  if (left.type === 'absTime' && right.type === 'absTime') return ordered(op, left.seconds, right.seconds)
  if (left.type === 'relTime' && right.type === 'relTime') return ordered(op, left.seconds, right.seconds)
  const pair = numbers(left, right)
  if (pair === undefined) return ERROR
  return pair.type === 'integers' ? ordered(op, pair.left, pair.right) : ordered(op, pair.left, pair.right)
}

function ordered<T extends string | number | bigint> (op: Comparison, left: T, right: T): Scalar {
  switch (op) {
    case '==': return boolean(left === right)
    case '!=': return boolean(left !== right)
    case '<': return boolean(left < right)
    case '<=': return boolean(left <= right)
    case '>': return boolean(left > right)
    case '>=': return boolean(left >= right)
  }
}

type Numbers = { type: 'integers', left: bigint, right: bigint } | { type: 'reals', left: number, right: number }

/** Both as integers, or both as reals when one of them is; booleans count as 0 and 1. Undefined when either is no number. */
function numbers (left: Value, right: Value): Numbers | undefined {
  const l = numberOf(left)
  const r = numberOf(right)
  if (l === undefined || r === undefined) return undefined
  if (typeof l === 'bigint' && typeof r === 'bigint') return { type: 'integers', left: l, right: r }
  return { type: 'reals', left: Number(l), right: Number(r) }
}

function numberOf (value: Value): bigint | number | undefined {
  if (value.type === 'boolean') return value.value ? 1n : 0n
  return value.type === 'integer' || value.type === 'real' ? value.value : undefined
}

type Arithmetic = '+' | '-' | '*' | '/' | '%'

function arithmetic (op: Arithmetic, left: Value, right: Value): Scalar {
  if (left.type === 'absTime' || left.type === 'relTime' || right.type === 'absTime' || right.type === 'relTime') return timeArithmetic(op, left, right)
  const pair = numbers(left, right)
  if (pair === undefined) return ERROR
  return pair.type === 'integers' ? integerArithmetic(op, pair.left, pair.right) : realArithmetic(op, pair.left, pair.right)
}

function integerArithmetic (op: Arithmetic, left: bigint, right: bigint): Scalar {
  switch (op) {
    case '+': return integer(left + right)
    case '-': return integer(left - right)
    case '*': return integer(left * right)
    case '/':
      // The one quotient that does not fit is off by one rather than wrapped, as in the library.
      if (left === INTEGER_MIN && right === -1n) return integer(INTEGER_MAX)
      return right === 0n ? ERROR : integer(left / right)
    case '%': return right === 0n ? ERROR : integer(left % right)
  }
}

function realArithmetic (op: Arithmetic, left: number, right: number): Scalar {
  const result = op === '+' ? left + right : op === '-' ? left - right : op === '*' ? left * right : op === '/' ? left / right : Infinity
  // Only the positive infinity counts as overflow: the library compares with HUGE_VAL. There is no modulus of reals.
  return result === Infinity ? ERROR : real(result)
}

function timeArithmetic (op: Arithmetic, left: Value, right: Value): Scalar {
  if (left.type === 'relTime' && right.type === 'relTime') {
    if (op === '+') return { type: 'relTime', seconds: left.seconds + right.seconds }
    return op === '-' ? { type: 'relTime', seconds: left.seconds - right.seconds } : ERROR
  }
  if (left.type === 'absTime' && right.type === 'absTime') return op === '-' ? { type: 'relTime', seconds: left.seconds - right.seconds } : ERROR
  if (left.type === 'absTime' && right.type === 'relTime') {
    const change = Math.trunc(right.seconds)
    return op === '+' ? { ...left, seconds: left.seconds + change } : op === '-' ? { ...left, seconds: left.seconds - change } : ERROR
  }
  if (left.type === 'relTime' && right.type === 'absTime') return op === '+' ? { ...right, seconds: right.seconds + Math.trunc(left.seconds) } : ERROR
  return scaledTime(op, left, right)
}

function scaledTime (op: Arithmetic, left: Value, right: Value): Scalar {
  if (left.type === 'relTime' && (right.type === 'integer' || right.type === 'real')) {
    if (op === '*') return { type: 'relTime', seconds: left.seconds * Number(right.value) }
    return op === '/' && Number(right.value) !== 0 ? { type: 'relTime', seconds: left.seconds / Number(right.value) } : ERROR
  }
  if (right.type === 'relTime' && (left.type === 'integer' || left.type === 'real') && op === '*') return { type: 'relTime', seconds: right.seconds * Number(left.value) }
  return ERROR
}

/** Shift counts are taken modulo 64, as the machine does; the corner cases are the library's. */
function bits (op: BinaryOp, left: bigint, right: bigint): Scalar {
  const count = BigInt.asUintN(6, right)
  switch (op) {
    case '&': return integer(left & right)
    case '|': return integer(left | right)
    case '^': return integer(left ^ right)
    case '<<': return integer(left << count)
    case '>>':
      if (left >= 0n) return integer(left >> count)
      return integer(left >> (right < 0n ? 0n : right > 64n ? 64n : right))
    case '>>>':
      if (left >= 0n) return integer(left >> count)
      return integer(((left >> 1n) & INTEGER_MAX) >> BigInt.asUintN(6, right - 1n))
    default: return ERROR
  }
}
