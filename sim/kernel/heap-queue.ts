/** An event queue that is one 4-ary heap: no tuning, n log n whatever the times. The oracle of the calendar queue. */
import { NONE, type EventQueue } from './event-queue.ts'
import { assertPushable, CANCELLED, EventStore } from './event-store.ts'
import { KeyHeap } from './key-heap.ts'

/** See EventQueue. Cancelled events stay in the heap until their time; the heap is swept when they are more than those that are not. */
export class HeapQueue implements EventQueue {
  readonly #store = new EventStore()
  readonly #heap = new KeyHeap()
  #size = 0
  #pushed = 0
  nowTicks = 0
  id = -1
  a = 0
  b = 0

  get size (): number { return this.#size }
  get lastId (): number { return this.#pushed - 1 }
  get bytes (): number { return this.#store.bytes + this.#heap.bytes }

  push (atTicks: number, kind: number, a: number, b: number): number {
    assertPushable(atTicks, this.nowTicks, kind)
    const id = this.#pushed++
    const slot = this.#store.take(atTicks, id, kind, a, b)
    this.#heap.push(atTicks, id, slot)
    this.#size++
    return slot
  }

  cancel (slot: number, id: number): boolean {
    const { doubles, words } = this.#store
    if (slot < 0 || slot >= this.#store.used || doubles[(slot << 2) + 1] !== id || (words[(slot << 3) + 5] as number) < 0) return false
    words[(slot << 3) + 5] = CANCELLED
    this.#size--
    if (this.#heap.size > 2 * this.#size + 64) this.#sweep()
    return true
  }

  pop (untilTicks: number = Infinity): number {
    const heap = this.#heap
    const store = this.#store
    while (heap.size > 0 && heap.firstTicks <= untilTicks) {
      const slot = heap.pop()
      const at = slot << 3
      const kind = store.words[at + 5] as number
      if (kind >= 0) {
        this.nowTicks = store.doubles[slot << 2] as number
        this.id = store.doubles[(slot << 2) + 1] as number
        this.a = store.words[at + 6] as number
        this.b = store.words[at + 7] as number
        this.#size--
      }
      store.give(slot)
      if (kind >= 0) return kind
    }
    return NONE
  }

  nextTicks (): number {
    const heap = this.#heap
    while (heap.size > 0 && (this.#store.words[(heap.firstSlot() << 3) + 5] as number) < 0) this.#store.give(heap.pop())
    return heap.firstTicks
  }

  #sweep (): void {
    const { doubles, words, used } = this.#store
    this.#heap.clear()
    for (let slot = 0; slot < used; slot++) {
      const kind = words[(slot << 3) + 5] as number
      if (kind >= 0) this.#heap.push(doubles[slot << 2] as number, doubles[(slot << 2) + 1] as number, slot)
      else if (kind === CANCELLED) this.#store.give(slot)
    }
  }
}
