/**
 * Wires between swarms in virtual time: each host's line up and line down carry messages one after the other at their rate; a host's wires
 * take turns on its line up, as TCP connections do. For the engine's decisions, not for its bytes.
 */
import { PlantError } from '../../protocols/kit/index.ts'
import type { Cancel, Log, PeerId } from '../../protocols/kit/index.ts'
import type { ByteStream, ByteTransport } from '../../storage/swarm/byte-stream.ts'
import { swarm } from '../../storage/swarm/index.ts'
import type { Swarm, SwarmInit } from '../../storage/swarm/index.ts'
import type { PeerWire, WireEvents } from '../../storage/swarm/peer-wire.ts'
import type { BlockRequest } from '../../storage/swarm/uploader.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeRandom } from '../support/fake-random.ts'

const quietLog: Log = { debug () {}, info () {}, warn () {}, error () {} }

/** TCP, TLS and the muxer around each message. */
const OVERHEAD_BYTES = 100
/** What the kernel takes of a connection before anyone sees a queue. */
const SOCKET_BYTES = 64 * 1024

export interface LineRates { upBytesPerS: number, downBytesPerS: number, latencyMs: number }

interface Message { bytes: number, deliver: (events: WireEvents) => void }

class SimHost {
  readonly peer: PeerId
  readonly rates: LineRates
  readonly wires: SimWire[] = []
  accept: ((stream: ByteStream) => void) | undefined
  downFreeAtMs = 0
  sending = false

  constructor (peer: PeerId, rates: LineRates) {
    this.peer = peer
    this.rates = rates
  }
}

class SimWire implements PeerWire {
  readonly peer: PeerId
  readonly queue: Message[] = []
  readonly net: SimNet
  readonly host: SimHost
  other: SimWire | undefined
  #queued = 0
  #events: WireEvents | undefined
  readonly #held: Message[] = []
  readonly #open = new Map<string, BlockRequest>()
  #gone = false
  #choking = true

  constructor (net: SimNet, host: SimHost, peer: PeerId) {
    this.net = net
    this.host = host
    this.peer = peer
  }

  get queuedBytes (): number { return Math.max(0, this.#queued - SOCKET_BYTES) }

  listen (events: WireEvents): void {
    this.#events = events
    for (const message of this.#held.splice(0)) this.receive(message)
  }

  handshake (infoHash: string): void { this.#say(68, (events) => { events.handshake(infoHash) }) }
  bitfield (bits: Uint8Array): void { this.#say(bits.length + 5, (events) => { events.bitfield(bits) }) }
  have (piece: number): void { this.#say(9, (events) => { events.have(piece) }) }
  interested (interested: boolean): void { this.#say(5, (events) => { events.interested(interested) }) }
  cancel (piece: number, offset: number): void { this.#say(17, (events) => { events.cancel(piece, offset) }) }

  choke (choke: boolean): void {
    if (this.#choking === choke) return
    this.#choking = choke
    this.#say(5, (events) => { events.choked(choke) })
  }

  request (piece: number, offset: number, length: number): void {
    const self = this.other
    this.#say(17, (events) => {
      events.request(piece, { offset, length, answer: (bytes) => {
        if (bytes === undefined) self?.say(17, (mine) => { mine.refused(piece) })
        else self?.say(13 + bytes.length, (mine) => { mine.block(piece, offset, bytes) })
      } })
    })
  }

  say (bytes: number, deliver: (events: WireEvents) => void): void { this.#say(bytes, deliver) }

  abort (reason: Error): void {
    if (this.#gone) return
    const other = this.other
    this.end(reason)
    if (other !== undefined) this.net.clock.after(this.host.rates.latencyMs, () => { other.end(new Error('reset')) })
  }

  end (reason: Error): void {
    if (this.#gone) return
    this.#gone = true
    this.queue.length = 0
    this.#open.clear()
    this.host.wires.splice(this.host.wires.indexOf(this), 1)
    this.#events?.gone(reason)
  }

  receive (message: Message): void {
    if (this.#gone) return
    if (this.#events === undefined) this.#held.push(message)
    else message.deliver(this.#events)
  }

  sent (message: Message): void {
    this.#queued -= message.bytes
    if (!this.#gone) this.#events?.drained()
  }

  #say (bytes: number, deliver: (events: WireEvents) => void): void {
    if (this.#gone) return
    const message = { bytes: bytes + OVERHEAD_BYTES, deliver }
    this.#queued += message.bytes
    this.queue.push(message)
    this.net.send(this.host)
  }
}

export class SimNet {
  readonly clock = new FakeClock()
  readonly #hosts = new Map<PeerId, SimHost>()
  readonly #ends = new WeakMap<ByteStream, SimWire>()

  /** A host with a started swarm. */
  async host (name: string, rates: LineRates, init: SwarmInit = {}): Promise<{ peer: PeerId, swarm: Swarm }> {
    const peer = name as PeerId
    const host = new SimHost(peer, rates)
    this.#hosts.set(peer, host)
    const transport: ByteTransport = {
      self: peer,
      openBytes: async (to) => this.#open(host, to),
      handleBytes: async (_protocol, _limits, handler): Promise<Cancel> => {
        host.accept = handler
        return () => { host.accept = undefined }
      }
    }
    const random = new FakeRandom([...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7))
    const one = swarm(init)({
      transport, clock: this.clock, random, log: quietLog,
      wire: (stream) => {
        const end = this.#ends.get(stream)
        if (end === undefined) throw new Error('a stream of another network')
        return end
      }
    })
    await one.start()
    return { peer, swarm: one }
  }

  /** The host vanishes without a word, or only stops sending. */
  silence (peer: PeerId): void {
    for (const wire of this.#hosts.get(peer)?.wires ?? []) {
      wire.queue.length = 0
      wire.say = () => {}
    }
    const host = this.#hosts.get(peer)
    if (host !== undefined) host.sending = true
  }

  async #open (host: SimHost, to: PeerId): Promise<ByteStream> {
    const far = this.#hosts.get(to)
    if (far?.accept === undefined) throw new PlantError('PEER_UNREACHABLE', { peer: to })
    const [mine, theirs] = [new SimWire(this, host, to), new SimWire(this, far, host.peer)]
    mine.other = theirs
    theirs.other = mine
    host.wires.push(mine)
    far.wires.push(theirs)
    const [near, distant] = [{ peer: to } as ByteStream, { peer: host.peer } as ByteStream]
    this.#ends.set(near, mine)
    this.#ends.set(distant, theirs)
    const { accept } = far
    this.clock.after(host.rates.latencyMs, () => { accept(distant) })
    return near
  }

  /** The line up: one message at a time, of one wire after the other. */
  send (host: SimHost): void {
    if (host.sending) return
    const wire = host.wires.find((one) => one.queue.length > 0)
    const message = wire?.queue.shift()
    if (wire === undefined || message === undefined) return
    // Its turn is over.
    host.wires.splice(host.wires.indexOf(wire), 1)
    host.wires.push(wire)
    host.sending = true
    this.clock.after(message.bytes / host.rates.upBytesPerS * 1_000, () => {
      host.sending = false
      this.#carry(wire, message)
      wire.sent(message)
      this.send(host)
    })
  }

  /** The line down of the other side. */
  #carry (wire: SimWire, message: Message): void {
    const other = wire.other
    if (other === undefined) return
    const { rates } = other.host
    const nowMs = this.clock.monotonicMs()
    const arrivesMs = Math.max(nowMs + rates.latencyMs, other.host.downFreeAtMs) + message.bytes / rates.downBytesPerS * 1_000
    other.host.downFreeAtMs = arrivesMs
    this.clock.after(arrivesMs - nowMs, () => { other.receive(message) })
  }
}
