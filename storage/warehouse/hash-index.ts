/** Digests of 32 bytes, each once, numbered in the order in which they came. By the hundred thousand: strings as keys would take ten times the room. */
import { HASH_BYTES } from '../../protocols/image/index.ts'

/** An index that grows as needed; the caller bounds how much is added. */
export class HashIndex {
  #hashes = new Uint8Array(256 * HASH_BYTES)
  /** Number + 1 at the slot that the digest's first bytes name, or the next free one; a quarter to half full. */
  #slots = new Int32Array(1_024)
  #count = 0

  get count (): number { return this.#count }

  /** All of them, one after the other. A copy. */
  get hashes (): Uint8Array { return this.#hashes.slice(0, this.#count * HASH_BYTES) }

  /** Its number; undefined when it is not there. */
  find (hash: Uint8Array): number | undefined {
    const number = this.#slots[this.#slotOf(hash)] ?? 0
    return number === 0 ? undefined : number - 1
  }

  /** Its number, new or old. */
  add (hash: Uint8Array): number {
    const slot = this.#slotOf(hash)
    const number = this.#slots[slot] ?? 0
    if (number > 0) return number - 1
    if ((this.#count + 1) * HASH_BYTES > this.#hashes.length) {
      const larger = new Uint8Array(this.#hashes.length * 2)
      larger.set(this.#hashes)
      this.#hashes = larger
    }
    this.#hashes.set(hash, this.#count * HASH_BYTES)
    this.#slots[slot] = ++this.#count
    if (this.#count * 2 > this.#slots.length) this.#spread()
    return this.#count - 1
  }

  #spread (): void {
    this.#slots = new Int32Array(this.#slots.length * 2)
    for (let i = 0; i < this.#count; i++) this.#slots[this.#slotOf(this.#hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))] = i + 1
  }

  #slotOf (hash: Uint8Array): number {
    const [a = 0, b = 0, c = 0, d = 0] = hash
    for (let slot = ((a << 24) | (b << 16) | (c << 8) | d) & (this.#slots.length - 1); ; slot = (slot + 1) & (this.#slots.length - 1)) {
      const number = this.#slots[slot] ?? 0
      if (number === 0 || this.#same(number - 1, hash)) return slot
    }
  }

  #same (number: number, hash: Uint8Array): boolean {
    for (let i = 0; i < HASH_BYTES; i++) if (this.#hashes[number * HASH_BYTES + i] !== hash[i]) return false
    return true
  }
}
