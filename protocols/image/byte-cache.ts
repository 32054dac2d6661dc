/** Keeps what was used last, by its bytes: what peers have plants look at must not grow without bound. */
export class ByteCache<K, V> {
  readonly #bytesMax: number
  /** In the order of use, the longest unused first. */
  readonly #kept = new Map<K, { value: V, bytes: number }>()
  #bytes = 0

  constructor (bytesMax: number) { this.#bytesMax = bytesMax }

  get bytes (): number { return this.#bytes }

  get (key: K): V | undefined {
    const entry = this.#kept.get(key)
    if (entry === undefined) return undefined
    this.#kept.delete(key)
    this.#kept.set(key, entry)
    return entry.value
  }

  /** What alone is larger than the cache is not kept. */
  set (key: K, value: V, bytes: number): void {
    this.delete(key)
    if (bytes > this.#bytesMax) return
    this.#kept.set(key, { value, bytes })
    this.#bytes += bytes
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#bytesMax) break
      this.delete(oldest)
    }
  }

  delete (key: K): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }
}
