/**
 * Logarithm and square root from additions, multiplications and divisions alone. ECMAScript fixes those to the last bit (IEEE 754, round to
 * nearest, no fused steps), while Math.log, Math.exp, Math.pow and Math.sqrt may differ between engines and processors. Whatever decides the time
 * of an event is drawn with these, so that a seed gives one order of events everywhere. Their errors are a few units in the last place.
 */

/** ln 2 in two parts: the first has 33 bits, so that its product with an exponent is exact. */
const LN2_HIGH = 0.6931471803691238
const LN2_LOW = 1.9082149292705877e-10
const SQRT_HALF = Math.SQRT1_2

/** Natural logarithm of a positive, finite, normal number: ln(2^e m) = e ln 2 + 2 atanh((m - 1) / (m + 1)), m in [sqrt(1/2), sqrt(2)). */
export function exactLn (x: number): number {
  let m = x
  let e = 0
  // Multiplying by powers of two is exact; uniform draws need a step or two.
  while (m >= 2 * SQRT_HALF) { m *= 0.5; e++ }
  while (m < SQRT_HALF / 65_536) { m *= 65_536; e -= 16 }
  while (m < SQRT_HALF) { m *= 2; e-- }
  const s = (m - 1) / (m + 1)
  const z = s * s
  // |s| < 0.1716: the first term left out is below 2^-56 of the sum.
  let sum = 1 / 21
  for (let k = 19; k >= 1; k -= 2) sum = sum * z + 1 / k
  return e * LN2_HIGH + (2 * s * sum + e * LN2_LOW)
}

/** Square root of a number from 0 up, by Newton's method from the nearest power of four. */
export function exactSqrt (x: number): number {
  if (x <= 0) return 0
  let m = x
  let scale = 1
  while (m >= 2) { m *= 0.25; scale *= 2 }
  while (m < 0.5) { m *= 4; scale *= 0.5 }
  let root = 0.5 + 0.5 * m
  for (let i = 0; i < 5; i++) root = 0.5 * (root + m / root)
  return root * scale
}

/** e to the power of x: 2^k e^r with r in [-ln 2 / 2, ln 2 / 2]; 0 and Infinity beyond the range of doubles. */
export function exactExp (x: number): number {
  if (!(x > -745)) return x <= -745 ? 0 : x
  if (x > 709.7) return Infinity
  const k = Math.floor(x / Math.LN2 + 0.5)
  const r = x - k * LN2_HIGH - k * LN2_LOW
  // |r| < 0.3466: r^14 / 14! is below 2^-56.
  let sum = 1
  for (let i = 14; i >= 1; i--) sum = 1 + sum * r / i
  let power = 1
  const step = k < 0 ? 0.5 : 2
  for (let i = Math.abs(k); i > 0; i--) power *= step
  return sum * power
}
