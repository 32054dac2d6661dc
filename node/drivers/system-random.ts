/** Chance from the system's cryptographic source. */
import { randomBytes, randomInt } from 'node:crypto'
import type { Random } from '../../protocols/kit/index.ts'

export class SystemRandom implements Random {
  bytes (count: number): Uint8Array { return new Uint8Array(randomBytes(count)) }

  int (below: number): number { return randomInt(below) }
}
