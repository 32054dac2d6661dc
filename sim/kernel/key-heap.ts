/** A 4-ary heap of slots by (time, insertion id): shallower than a binary one, and four children lie side by side. */

const FIRST_KEYS = 64

/** Keys are stored in the heap, so that sifting looks at nothing else. */
export class KeyHeap {
  #times = new Float64Array(FIRST_KEYS)
  #ids = new Float64Array(FIRST_KEYS)
  #slots = new Int32Array(FIRST_KEYS)
  #size = 0

  get size (): number { return this.#size }

  /** Time of the first; Infinity when empty. */
  get firstTicks (): number { return this.#size === 0 ? Infinity : this.#times[0] as number }

  get bytes (): number { return this.#times.byteLength + this.#ids.byteLength + this.#slots.byteLength }

  /** The slot of the first, which stays; only when there is one. */
  firstSlot (): number { return this.#slots[0] as number }

  clear (): void { this.#size = 0 }

  push (ticks: number, id: number, slot: number): void {
    if (this.#size === this.#times.length) this.#grow()
    const times = this.#times
    const ids = this.#ids
    const slots = this.#slots
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 2
      const parentTicks = times[parent] as number
      if (parentTicks < ticks || (parentTicks === ticks && (ids[parent] as number) < id)) break
      times[at] = parentTicks
      ids[at] = ids[parent] as number
      slots[at] = slots[parent] as number
      at = parent
    }
    times[at] = ticks
    ids[at] = id
    slots[at] = slot
  }

  /** Takes the first out; -1 when empty. */
  pop (): number {
    if (this.#size === 0) return -1
    const first = this.#slots[0] as number
    const last = --this.#size
    if (last > 0) this.#sink(this.#times[last] as number, this.#ids[last] as number, this.#slots[last] as number)
    return first
  }

  /** Puts a key where the first was, and lets it sink. */
  #sink (ticks: number, id: number, slot: number): void {
    const times = this.#times
    const ids = this.#ids
    const slots = this.#slots
    const size = this.#size
    let at = 0
    for (;;) {
      const child = (at << 2) + 1
      if (child >= size) break
      const end = child + 4 < size ? child + 4 : size
      let least = child
      let leastTicks = times[child] as number
      for (let other = child + 1; other < end; other++) {
        const otherTicks = times[other] as number
        if (otherTicks < leastTicks || (otherTicks === leastTicks && (ids[other] as number) < (ids[least] as number))) {
          least = other
          leastTicks = otherTicks
        }
      }
      if (ticks < leastTicks || (ticks === leastTicks && id < (ids[least] as number))) break
      times[at] = leastTicks
      ids[at] = ids[least] as number
      slots[at] = slots[least] as number
      at = least
    }
    times[at] = ticks
    ids[at] = id
    slots[at] = slot
  }

  #grow (): void {
    const keys = this.#times.length * 2
    const times = new Float64Array(keys)
    const ids = new Float64Array(keys)
    const slots = new Int32Array(keys)
    times.set(this.#times)
    ids.set(this.#ids)
    slots.set(this.#slots)
    this.#times = times
    this.#ids = ids
    this.#slots = slots
  }
}
