/**
 * A machine's card with a way out of its network: what the machine sends to its gateway for addresses outside goes to a user-mode network of this host, and what its network's
 * names do not know is asked outside. All else passes between card and switch as before. The machine has to be who it is: only its own address goes out.
 */
import type { Log } from '../../protocols/kit/index.ts'
import { DEFAULT_SUBNET, GATEWAY_MAC, contains, gatewayOf } from '../../protocols/tunnel/address/index.ts'
import { ipv4Number, ipv4Text } from '../../protocols/tunnel/ethernet.ts'
import type { Device, Frame, Station } from '../../protocols/tunnel/types.ts'
import { answered, arpReplyFor, dnsQuestion, dnsRefusal, inward, outward, type Self } from './egress-frames.ts'
import { FrameStream } from './frame-stream.ts'
import { macBytes } from './gateway-frames.ts'
import { askOutside } from './outside-names.ts'
import type { StartUserNetwork, UserNetwork } from './user-network.ts'

export interface EgressComponents {
  /** Whether the plant lets machines send there. */
  allows: (address: number) => boolean
  start: StartUserNetwork
  log: Log
}

/** A card whose machine may go out once it is known who it is, by its first address. */
export interface EgressDevice extends Device {
  open (station: Station): void
}

/** Questions of one machine that the world has not answered. */
const ASKED_MAX = 64
/** After a user-mode network has ended or did not start, for so long no other is tried. */
const AGAIN_AFTER_MS = 5_000
const GATEWAY = { mac: macBytes(GATEWAY_MAC), address: gatewayOf(DEFAULT_SUBNET) }

/** Wraps a card. The user-mode network is a process of its own, started by the first packet that leaves, and ends with the card. */
export function egressDevice (card: Device, c: EgressComponents): EgressDevice { return new OutwardCard(card, c) }

class OutwardCard implements EgressDevice {
  readonly takesOffload: boolean
  readonly #card: Device
  readonly #c: EgressComponents
  readonly #asked = new Map<string, Uint8Array>()
  #self: Self | undefined
  #out: { device?: FrameStream, againMs: number } = { againMs: 0 }
  #starting = false

  constructor (card: Device, c: EgressComponents) {
    this.#card = card
    this.#c = c
    this.takesOffload = card.takesOffload
  }

  get closed (): AbortSignal { return this.#card.closed }

  open ({ mac, addresses }: Station): void {
    const address = ipv4Number(addresses[0] ?? '')
    this.#self = address === undefined ? undefined : { mac: macBytes(mac), address }
  }

  close (): void { this.#card.close() }

  onFrame (fn: (frame: Frame) => void): void {
    this.#card.onFrame((frame) => { if (!this.#goesOut(frame)) fn(frame) })
  }

  send (frame: Frame): void {
    const refused = this.#asked.size === 0 ? undefined : dnsRefusal(frame.bytes, GATEWAY.address)
    const query = refused === undefined ? undefined : this.#asked.get(refused)
    if (refused === undefined || query === undefined) return this.#card.send(frame)
    this.#asked.delete(refused)
    void this.#ask(query, frame)
  }

  /** Whether a frame is not for the network. */
  #goesOut (frame: Frame): boolean {
    const self = this.#self
    if (self === undefined) return false
    const to = outward(frame.bytes, self, GATEWAY.mac)
    if (to === undefined) return false
    if (contains(DEFAULT_SUBNET, to)) {
      const question = to === GATEWAY.address ? dnsQuestion(frame.bytes) : undefined
      if (question !== undefined) this.#remember(question.key, question.query)
      return false
    }
    // The gateway tells the machine that it may not.
    if (!this.#c.allows(to)) return false
    if (this.#out.device === undefined) this.#start(self)
    this.#out.device?.send(frame)
    return true
  }

  #remember (key: string, query: Uint8Array): void {
    this.#asked.delete(key)
    this.#asked.set(key, query.slice())
    const oldest = this.#asked.size > ASKED_MAX ? this.#asked.keys().next().value : undefined
    if (oldest !== undefined) this.#asked.delete(oldest)
  }

  async #ask (query: Uint8Array, refusal: Frame): Promise<void> {
    const answer = await askOutside(query, this.closed)
    if (this.closed.aborted) return
    const frame = answer && answered(refusal.bytes, answer)
    this.#card.send(frame === undefined ? refusal : { bytes: frame })
  }

  /** What is sent until it runs is lost; it is sent again. */
  #start (self: Self): void {
    if (this.#starting || performance.now() < this.#out.againMs) return
    this.#starting = true
    const ended = (problem: string): void => {
      this.#out = { againMs: performance.now() + AGAIN_AFTER_MS }
      if (!this.closed.aborted) this.#c.log.warn({ address: ipv4Text(self.address), problem }, 'the way out of a machine has ended; another is started when it is needed')
    }
    this.#c.start({ host: ipv4Text(GATEWAY.address), net: `${ipv4Text(DEFAULT_SUBNET.base)}/24`, unused: [ipv4Text(DEFAULT_SUBNET.base + 253), ipv4Text(DEFAULT_SUBNET.base + 254)], restrict: false }, this.closed).then((network) => {
      this.#join(network)
      void network.ended.then(ended)
    }, (error: unknown) => { ended(String(error)) }).finally(() => { this.#starting = false })
  }

  #join (network: UserNetwork): void {
    const device = new FrameStream(network.frames, { takesOffload: false })
    const end = (): void => { network.end() }
    this.closed.addEventListener('abort', end, { once: true })
    device.closed.addEventListener('abort', () => { this.closed.removeEventListener('abort', end) }, { once: true })
    device.onFrame(({ bytes }) => {
      const self = this.#self
      if (self === undefined) return
      const reply = arpReplyFor(bytes, self)
      if (reply !== undefined) device.send({ bytes: reply })
      else if (inward(bytes, self)) {
        bytes.set(GATEWAY.mac, 6)
        this.#card.send({ bytes })
      }
    })
    this.#out = { device, againMs: 0 }
  }
}
