/**
 * What a simulated guest does with its network: asks for an address by DHCP, again and again as leases end, calls all others on its Ethernet, and answers who
 * called. Each frame says who sent it, so that a checker knows what should have come where. Now and then it lies: by another's MAC or address, which nobody is to hear. Its card carries
 * real frames; the plant's switch sees no difference.
 */
import type { Cancel } from '../../../protocols/kit/index.ts'
import { DHCP, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, OPTION, optionsOf } from '../../../protocols/tunnel/address/dhcp-message.ts'
import { udpFrame, udpPayload } from '../../../protocols/tunnel/address/packet.ts'
import { EVERYONE } from '../../../protocols/tunnel/address/subnet.ts'
import { BROADCAST_MAC, FrameView, PROTOCOL_UDP, parseMac, putMac, putU16, putU32, u16, u32 } from '../../../protocols/tunnel/ethernet.ts'

/** What of the world a guest has. */
export interface GuestParts {
  mac: string
  /** True time: a guest's timers go on whatever becomes of its plant. */
  after: (ms: number, fn: () => void) => Cancel
  /** The machine runs and is not paused. */
  awake: () => boolean
  /** What it hears of others. */
  onHeard: (heard: Heard) => void
}

/** A call or an answer that reached a guest; `from` is the sender's MAC, as it said itself in the frame's contents. */
export interface Heard { from: string, seq: number, kind: 'call' | 'answer' | 'lie' }

/** A guest calls the others so often. */
export const CALL_EVERY_MS = 4_000
/** Far more often than real leases want it, so that runs of minutes see what becomes of them. */
const LEASE_EVERY_MS = 15_000
const ASK_AGAIN_MS = 1_500

/** Of its calls, so many are followed by a lie. */
const LIE_EVERY = 4
/** In the networks' subnet, and likely nobody's. */
const LIE_ADDRESS = 0x0aff_fffd

const PORT = 4_000
const CALL = 1
const ANSWER = 2
const LIE = 3
const KINDS = ['lie', 'call', 'answer', 'lie'] as const
const CONTENT_BYTES = 11

/** One guest's end of its card; it lives as long as its machine, whoever holds the other end. */
export class SimGuest {
  readonly #parts: GuestParts
  readonly #mac: number
  readonly #view = new FrameView()
  #out: ((bytes: Uint8Array) => void) | undefined
  #address = 0
  #begun = false
  #seq = 0
  #calls = 0
  #others = BROADCAST_MAC
  #transaction = 0
  #asking: Cancel = () => {}

  constructor (parts: GuestParts) {
    this.#parts = parts
    this.#mac = parseMac(parts.mac) ?? 0
  }

  /** The address that it was given last; undefined before, and once it was taken from it. */
  get address (): number | undefined { return this.#address === 0 ? undefined : this.#address }

  /** It is told that its card leads to a network. */
  begin (): void {
    if (this.#begun) return
    this.#begun = true
    this.#ask()
    this.#call()
  }

  /** Whoever holds the other end of the card; undefined: nobody does. */
  plug (out: ((bytes: Uint8Array) => void) | undefined): void { this.#out = out }

  /** A frame comes in. */
  onFrame (bytes: Uint8Array): void {
    const view = this.#view
    if (!this.#parts.awake()) return
    view.read(bytes)
    if (view.destination !== this.#mac && view.destination !== BROADCAST_MAC) return
    if (view.contents !== 'ipv4' || view.protocol !== PROTOCOL_UDP || view.transportAt < 0) return
    const port = u16(bytes, view.transportAt + 2)
    const content = udpPayload(view)
    if (content === undefined) return
    if (port === DHCP_CLIENT_PORT) this.#onDhcp(content)
    if (port !== PORT || content.length !== CONTENT_BYTES) return
    const from = { mac: view.source, ip: view.sourceIpv4, port: PORT }
    const kind = KINDS[content[10] ?? 0] ?? 'lie'
    this.#others = from.mac
    const said = u16(content, 0) * 0x1_0000_0000 + u32(content, 2)
    this.#parts.onHeard({ from: said.toString(16).padStart(12, '0'), seq: u32(content, 6), kind })
    if (kind === 'call' && this.#address !== 0) this.#say(from, ANSWER)
  }

  #call (): void {
    this.#parts.after(CALL_EVERY_MS, () => { this.#call() })
    if (this.#address === 0) return
    const toAll = { mac: BROADCAST_MAC, ip: EVERYONE, port: PORT }
    this.#say(toAll, CALL)
    if (++this.#calls % LIE_EVERY !== 0) return
    const own = { mac: this.#mac, ip: this.#address }
    this.#say(toAll, LIE, { ...own, ip: LIE_ADDRESS })
    if (this.#others !== BROADCAST_MAC) this.#say(toAll, LIE, { ...own, mac: this.#others })
  }

  #say (to: { mac: number, ip: number, port: number }, kind: number, as = { mac: this.#mac, ip: this.#address }): void {
    const content = new Uint8Array(CONTENT_BYTES)
    putMac(content, 0, this.#mac)
    putU32(content, 6, ++this.#seq)
    content[10] = kind
    this.#send(udpFrame({ ...as, port: PORT }, to, content))
  }

  #send (bytes: Uint8Array): void { if (this.#parts.awake()) this.#out?.(bytes) }

  /** As a client that begins anew each time: RFC 2131, 3.1 and 3.2. */
  #ask (): void {
    this.#transaction++
    this.#dhcp(this.#address === 0 ? DHCP.discover : DHCP.request, this.#address)
    this.#asking()
    this.#asking = this.#parts.after(ASK_AGAIN_MS, () => { this.#ask() })
  }

  #onDhcp (message: Uint8Array): void {
    if (message[0] !== 2 || u32(message, 4) !== this.#transaction) return
    const type = optionsOf(message.subarray(240))?.get(OPTION.type)?.[0]
    const yours = u32(message, 16)
    if (type === DHCP.offer) return this.#dhcp(DHCP.request, yours)
    if (type !== DHCP.ack && type !== DHCP.nak) return
    this.#address = type === DHCP.ack ? yours : 0
    this.#asking()
    this.#asking = this.#parts.after(type === DHCP.ack ? LEASE_EVERY_MS : ASK_AGAIN_MS, () => { this.#ask() })
  }

  #dhcp (type: number, requested: number): void {
    const message = new Uint8Array(300)
    message.set([1, 1, 6, 0])
    putU32(message, 4, this.#transaction)
    putU16(message, 10, 0x8000)
    putMac(message, 28, this.#mac)
    message.set([0x63, 0x82, 0x53, 0x63, OPTION.type, 1, type], 236)
    let at = 243
    if (requested !== 0) {
      message.set([OPTION.requested, 4], at)
      putU32(message, at + 2, requested)
      at += 6
    }
    message[at] = 255
    this.#send(udpFrame({ mac: this.#mac, ip: 0, port: DHCP_CLIENT_PORT }, { mac: BROADCAST_MAC, ip: EVERYONE, port: DHCP_SERVER_PORT }, message))
  }
}
