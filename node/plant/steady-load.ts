/**
 * The load that a plant tells of. The host's is an average that moves by hundredths for ever: told as it is, every look at the host would be news, and
 * the whole mesh would hear each plant twice as often as it needs to.
 */

/** A change is worth telling when it is more than this, and more than this share of what was told. */
const CHANGE_MIN = 0.2
const CHANGE_SHARE_MIN = 0.25

/** One for a plant. */
export class SteadyLoad {
  #told: number | undefined

  /** What to tell, given what the host has now. */
  of (load: number): number {
    if (this.#told === undefined || Math.abs(load - this.#told) > Math.max(CHANGE_MIN, this.#told * CHANGE_SHARE_MIN)) this.#told = load
    return this.#told
  }
}
