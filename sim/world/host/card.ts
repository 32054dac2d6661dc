/** The plant's end of a simulated guest's network card, as a device of its networks; goes with the life of the plant that took it, or with the machine. */
import type { CardEnd } from '../../../node/plant/networks.ts'
import type { Device, Frame } from '../../../protocols/tunnel/index.ts'
import type { Life } from '../life.ts'
import type { HostMachine, SimHost } from './host.ts'

/** A frame's way through a card: what a virtual machine's takes. */
const CARD_US = 50

/** One at a time: the next takes over. */
export class SimCard implements Device {
  readonly takesOffload = false
  readonly #host: SimHost
  readonly #machine: HostMachine
  readonly #life: Life
  readonly #gone = new AbortController()
  #onFrame: ((frame: Frame) => void) | undefined

  constructor (host: SimHost, machine: HostMachine, life: Life) {
    this.#host = host
    this.#machine = machine
    this.#life = life
    machine.card?.close()
    machine.card = this
    machine.guest.plug((bytes) => {
      host.timeline.after(CARD_US, () => { if (!this.closed.aborted) this.#onFrame?.({ bytes }) }, life)
    })
    // It is the plant that hears of its end: never when that is dead.
    machine.onDeath.add(() => { host.timeline.after(0, () => { this.close() }, life) })
  }

  /** A line hands out the ends of cards as streams of bytes; `deviceOf` of a simulated plant takes what it is. */
  asCardEnd (): CardEnd { return this as unknown as CardEnd }

  get closed (): AbortSignal { return this.#gone.signal }

  send ({ bytes }: Frame): void {
    if (this.closed.aborted || this.#life.dead) return
    // The sender's buffer may be used again.
    const own = bytes.slice()
    this.#host.timeline.after(CARD_US, () => { if (this.#machine.card === this && this.#machine.alive) this.#machine.guest.onFrame(own) })
  }

  onFrame (fn: (frame: Frame) => void): void { this.#onFrame = fn }

  close (): void {
    if (this.closed.aborted) return
    if (this.#machine.card === this) {
      this.#machine.guest.plug(undefined)
      delete this.#machine.card
    }
    this.#gone.abort(new Error('the card is gone'))
  }
}
