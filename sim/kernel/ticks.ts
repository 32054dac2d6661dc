/**
 * Simulated time inside the kernel: whole microseconds since the run began ("ticks"), kept in a double. Every whole number up to 2^53 has
 * its own double, so times compare exactly for 285 years of a run, on every machine.
 */
import { PlantError } from '../../protocols/kit/index.ts'

/** Ticks of a millisecond. */
export const TICKS_PER_MS = 1_000

/** The last time there is. */
export const TICKS_MAX = Number.MAX_SAFE_INTEGER

/** A time or duration in milliseconds as the nearest tick, halves up; throws INTERNAL for what is no time. */
export function ticksOfMs (ms: number): number {
  const ticks = Math.floor(ms * TICKS_PER_MS + 0.5)
  if (!(ticks >= 0 && ticks <= TICKS_MAX)) throw new PlantError('INTERNAL', { problem: 'not a time of the simulation', ms })
  return ticks
}

/** A time or duration in milliseconds. */
export function msOfTicks (ticks: number): number { return ticks / TICKS_PER_MS }
