/** Who holds a key that several claim: one does, the others wait in line until it leaves. */
import { CLAIMANTS_MAX } from './constants.ts'

/** Told when the holder of a key is another one. */
export type OnHolder<K, C> = (key: K, now: C | undefined, before: C | undefined) => void

/** All keys of one kind, with their claimants. */
export class Contest<K, C> {
  readonly #claims = new Map<K, C[]>()
  readonly #isBefore: (a: C, b: C) => boolean
  readonly #onHolder: OnHolder<K, C>

  /** `isBefore` orders the line; it must tell any two claimants of a key apart. */
  constructor (isBefore: (a: C, b: C) => boolean, onHolder: OnHolder<K, C>) {
    this.#isBefore = isBefore
    this.#onHolder = onHolder
  }

  holder (key: K): C | undefined { return this.#claims.get(key)?.[0] }

  /** Enters a claimant, or finds its place again after its rank changed. The last of a line that is too long does not wait. */
  claim (key: K, claimant: C): void {
    const line = this.#claims.get(key) ?? []
    const holder = line[0]
    const rest = line.filter((one) => one !== claimant)
    const at = rest.findIndex((one) => this.#isBefore(claimant, one))
    rest.splice(at < 0 ? rest.length : at, 0, claimant)
    this.#keep(key, rest.slice(0, CLAIMANTS_MAX), holder)
  }

  /** Takes a claimant out; the next in line holds the key. */
  release (key: K, claimant: C): void {
    const line = this.#claims.get(key)
    if (line === undefined || !line.includes(claimant)) return
    this.#keep(key, line.filter((one) => one !== claimant), line[0])
  }

  #keep (key: K, line: C[], before: C | undefined): void {
    if (line.length === 0) this.#claims.delete(key)
    else this.#claims.set(key, line)
    if (line[0] !== before) this.#onHolder(key, line[0], before)
  }
}
