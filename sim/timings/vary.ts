/** Durations vary: a factor around 1, drawn without functions whose last digit differs between platforms. */
import type { Random } from '../../protocols/kit/index.ts'

const DRAWS = 12
const STEPS = 2 ** 20
/** Nothing takes less than half of its mean. */
const FACTOR_MIN = 0.5

/**
 * A factor with mean 1 and this coefficient of variation: the sum of twelve even draws is normal to within 3 % of its density out to two
 * standard deviations, and needs additions only. Draws also when `cv` is 0, so that runs that differ in it stay comparable.
 */
export function factor (cv: number, random: Random): number {
  let sum = 0
  for (let i = 0; i < DRAWS; i++) sum += random.int(STEPS)
  const deviate = (sum + DRAWS / 2) / STEPS - DRAWS / 2
  return Math.max(FACTOR_MIN, 1 + cv * deviate)
}
