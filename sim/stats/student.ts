/** Student's t distribution: how far the mean of few runs may lie from the truth. */

/**
 * The value that |t| stays below with this probability, for so many degrees of freedom (at least 1). Found by bisection on the distribution;
 * right to some ten digits.
 */
export function studentT (probability: number, freedom: number): number {
  let low = 0
  let high = 1e6
  for (let i = 0; i < 200 && high - low > 1e-12 * high; i++) {
    const middle = (low + high) / 2
    if (withinT(middle, freedom) < probability) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** The probability that |T| < t. */
export function withinT (t: number, freedom: number): number {
  return 1 - incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5)
}

/** The regularised incomplete beta function, by Lentz' method on its continued fraction (Abramowitz and Stegun 26.5.8). */
function incompleteBeta (x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x))
  return x < (a + 1) / (a + b + 2) ? front * fraction(x, a, b) / a : 1 - front * fraction(1 - x, b, a) / b
}

const TINY = 1e-300

function fraction (x: number, a: number, b: number): number {
  const away = (value: number): number => Math.abs(value) < TINY ? TINY : value
  let c = 1
  let d = 1 / away(1 - (a + b) * x / (a + 1))
  let result = d
  for (let m = 1; m < 500; m++) {
    for (const term of [m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))]) {
      d = 1 / away(1 + term * d)
      c = away(1 + term / c)
      result *= d * c
    }
    if (Math.abs(d * c - 1) < 1e-15) break
  }
  return result
}

/** Coefficients of Lanczos' approximation with g = 7 and nine terms: fifteen digits. */
const LANCZOS = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7]

function logGamma (z: number): number {
  let sum = LANCZOS[0] ?? 1
  for (let i = 1; i < LANCZOS.length; i++) sum += (LANCZOS[i] ?? 0) / (z - 1 + i)
  const t = z + 6.5
  return 0.5 * Math.log(2 * Math.PI) + (z - 0.5) * Math.log(t) - t + Math.log(sum)
}
