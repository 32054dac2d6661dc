/** Which plant has which chunks: a bit each. */
import type { RandomStream } from '../kernel/index.ts'

/** The other has nothing that is lacking. */
export const NONE_LEFT = -1

/** The chunks of all plants. */
export class ChunkSets {
  readonly #words: number
  readonly #chunks: number
  readonly #bits: Uint32Array
  readonly #sizes: Int32Array

  constructor (plants: number, chunks: number) {
    this.#chunks = chunks
    this.#words = Math.ceil(chunks / 32)
    this.#bits = new Uint32Array(plants * this.#words)
    this.#sizes = new Int32Array(plants)
  }

  size (plant: number): number { return this.#sizes[plant] as number }

  has (plant: number, chunk: number): boolean { return ((this.#bits[plant * this.#words + (chunk >> 5)] as number) >>> (chunk & 31) & 1) === 1 }

  add (plant: number, chunk: number): void {
    if (this.has(plant, chunk)) return
    const at = plant * this.#words + (chunk >> 5)
    this.#bits[at] = (this.#bits[at] as number) | 1 << (chunk & 31)
    this.#sizes[plant] = this.size(plant) + 1
  }

  /** It has all of them. */
  fill (plant: number): void { for (let chunk = 0; chunk < this.#chunks; chunk++) this.add(plant, chunk) }

  /** A chunk that the other has and the plant lacks, from a drawn place on. */
  drawLacking (plant: number, other: number, random: RandomStream): number {
    const words = this.#words
    const [mine, theirs] = [plant * words, other * words]
    const first = random.int(words)
    const turn = random.int(32)
    for (let i = 0; i < words; i++) {
      const word = first + i < words ? first + i : first + i - words
      const useful = (this.#bits[theirs + word] as number) & ~(this.#bits[mine + word] as number)
      if (useful === 0) continue
      const turned = turn === 0 ? useful : (useful >>> turn | useful << 32 - turn)
      return word * 32 + ((31 - Math.clz32(turned & -turned)) + turn & 31)
    }
    return NONE_LEFT
  }
}
