/**
 * One life of a plant's process, from its start to its end. Whatever it does to the world goes through a port that asks here first, so that
 * it can be made to die between any two of its effects. After its death its code may still run to the end of what it was doing (nobody can
 * stop a function half way), but nothing of that has an effect, and nothing it waits for ever comes.
 *
 *   alive ──die, or the effect it dies at──> dead
 */

/** What a process does to the world; counted, so that a crash can be put in front of any one. */
export type Effect = 'record' | 'line' | 'warehouse' | 'open' | 'send' | 'publish' | 'directory'

/** Whether a process lives, stands still, and what it has done so far. */
export class Life {
  /** Which life of its plant this is, from 0. */
  readonly incarnation: number
  /** While it stands still (no processor, a stopped process) nothing reaches it; in true microseconds. */
  stillUntilUs = 0
  #dead = false
  #effects = 0
  #dieAt = Infinity
  #events = 0
  #arrivals = 0
  #diedBefore: Effect | undefined
  readonly #onDeath: (life: Life, before?: Effect) => void

  constructor (incarnation: number, onDeath: (life: Life, before?: Effect) => void) {
    this.incarnation = incarnation
    this.#onDeath = onDeath
  }

  get dead (): boolean { return this.#dead }
  /** The effect that it died in front of, when that is how it died. */
  get diedBefore (): Effect | undefined { return this.#diedBefore }
  /** Effects so far. */
  get effects (): number { return this.#effects }
  /** Events planned that would reach it: timers, and what is on its way to it. */
  get events (): number { return this.#events }
  /** Those of them that are no messages on their way: a slow line has one for longer than any lull. */
  get timers (): number { return this.#events - this.#arrivals }

  /** Dies in front of the effect that comes after so many more. */
  dieAfterEffects (more: number): void { this.#dieAt = this.#effects + more }

  /** True when the effect takes place; false for a process that is dead, or dies at this one. */
  may (effect: Effect): boolean {
    if (this.#dead) return false
    if (this.#effects++ < this.#dieAt) return true
    this.die(effect)
    return false
  }

  die (before?: Effect): void {
    if (this.#dead) return
    this.#dead = true
    this.#diedBefore = before
    this.#onDeath(this, before)
  }

  /** The timeline says so. */
  planned (by: 1 | -1): void { this.#events += by }

  /** A line says so, of what it has planned besides: its next message. */
  awaited (by: 1 | -1): void { this.#arrivals += by }
}

/** What a dead process waits for. */
export async function never<T> (): Promise<T> {
  return new Promise<T>(() => {})
}
