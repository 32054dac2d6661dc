/**
 * A bad link, for kernels without netem: a program between two TAPs. Each way 2 ms delay and 2 ms jitter (uniform, in order), 0.25 % loss, and 0.5 %
 * of packets overtake the others by the delay. What the kernel left to cut is cut first, so that packets are lost one by one as on a wire.
 */
import { openTap } from '../../node/net/tap.ts'
import type { Tap } from '../../node/net/tap.ts'
import { wireFrames } from '../../protocols/tunnel/offload.ts'

const DELAY_MS = 2
const JITTER_MS = 2
const LOSS = 0.0025
const REORDER = 0.005
/** At 1 Gbit/s some 16,000 packets wait for 4 ms at most 350; this is a queue that overflows when the program falls behind. */
const WAITING_MAX = 5_000

/** One direction. */
class Way {
  readonly #to: Tap
  readonly #waiting: Array<{ dueMs: number, bytes: Uint8Array }> = []
  #head = 0
  #lastMs = 0

  constructor (to: Tap) { this.#to = to }

  push (bytes: Uint8Array, nowMs: number): void {
    if (Math.random() < LOSS || this.#waiting.length - this.#head >= WAITING_MAX) return
    if (Math.random() < REORDER) {
      this.#to.send({ bytes })
      return
    }
    this.#lastMs = Math.max(this.#lastMs, nowMs + DELAY_MS + (Math.random() * 2 - 1) * JITTER_MS)
    this.#waiting.push({ dueMs: this.#lastMs, bytes })
  }

  /** Hands over what is due; says whether more waits. */
  tick (nowMs: number): boolean {
    for (let one = this.#waiting[this.#head]; one !== undefined && one.dueMs <= nowMs; one = this.#waiting[this.#head]) {
      this.#to.send({ bytes: one.bytes })
      this.#head++
    }
    if (this.#head > 1_000) {
      this.#waiting.splice(0, this.#head)
      this.#head = 0
    }
    return this.#waiting.length > this.#head
  }
}

const taps = [openTap({ name: 'pmimp%d' }), openTap({ name: 'pmimp%d' })] as const
const ways = [new Way(taps[1]), new Way(taps[0])] as const
let ticking = false
/** Every millisecond while something waits: Node's timers are no finer. */
function tick (): void {
  const nowMs = performance.now()
  const more = [ways[0].tick(nowMs), ways[1].tick(nowMs)]
  ticking = more.includes(true)
  if (ticking) setTimeout(tick, 1)
}
for (const [i, tap] of taps.entries()) {
  tap.onFrame((frame) => {
    const nowMs = performance.now()
    for (const bytes of wireFrames(frame)) ways[i]?.push(bytes, nowMs)
    if (ticking) return
    ticking = true
    setTimeout(tick, 1)
  })
}
process.send?.(taps.map(({ name }) => name))
process.on('disconnect', () => { process.exit(0) })
