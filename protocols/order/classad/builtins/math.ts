/** Rounding, powers and multiples. */
import { ERROR, UNDEFINED, integer, real, type Value } from '../ast.ts'
import { itemsOf, ofValues, type Builtins, type Context } from './call.ts'
import { realOf, truncated } from './conversions.ts'

/** Bases nearer to zero than this leave a number as it is. */
const NO_BASE = 1e-8

const rounded = (round: (value: number) => number) => ofValues(1, 1, ([value = UNDEFINED]) => {
  if (value.type === 'integer') return value
  const number = realOf(value)
  return number === undefined ? ERROR : truncated(round(number))
})

function halfToEven (value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

function power (base: Value, exponent: Value): Value {
  const b = realOf(base)
  const e = realOf(exponent)
  if (b === undefined || e === undefined) return ERROR
  const result = Math.pow(b, e)
  return base.type === 'integer' && exponent.type === 'integer' && e >= 0 ? truncated(result) : real(result)
}

/** The least multiple of the base that is not below the value; of a list, its first item that is not below, else a multiple of the last. */
function quantized (value: Value, base: Value, context: Context): Value {
  const number = realOf(value)
  if (number === undefined) return ERROR
  if (base.type !== 'list') return multiple(value, number, base)
  let last: Value = real(0)
  for (const item of itemsOf(base, context)) {
    const step = realOf(item)
    if (step === undefined) return ERROR
    if (step >= number) return item
    last = item
  }
  return multiple(value, number, last)
}

function multiple (value: Value, number: number, base: Value): Value {
  const step = realOf(base)
  if (step === undefined) return ERROR
  if (base.type !== 'integer') return Math.abs(step) <= NO_BASE ? value : real(Math.ceil(number / step) * step)
  if (base.value === 0n) return value
  if (value.type !== 'integer') return real(Math.ceil(number / step) * step)
  return integer((value.value + base.value - 1n) / base.value * base.value)
}

export const mathFunctions: Builtins = {
  floor: rounded(Math.floor),
  ceil: rounded(Math.ceil),
  ceiling: rounded(Math.ceil),
  round: rounded(halfToEven),
  pow: ofValues(2, 2, ([base = UNDEFINED, exponent = UNDEFINED]) => power(base, exponent)),
  quantize: ofValues(2, 2, ([value = UNDEFINED, base = UNDEFINED], context) => quantized(value, base, context))
}
