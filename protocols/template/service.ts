/** Streams, gossip, records and clock bound to the core. */
import { Lifetime, PlantError, limiter, type Cancel, type GoldenId, type Limiter, type MessageStream, type PeerId } from '../kit/index.ts'
import {
  ASKS_AT_ONCE_MAX, ASKS_WAITING_MAX, ASK_TIMEOUT_MS, EXCHANGE_EVERY_MS, EXCHANGE_JITTER_SHARE, MARKS_MAX, MARKS_PER_KEY_MAX, NEIGHBOUR_ASKED_MS, TEMPLATE_LIMITS, TEMPLATE_PROTOCOL,
  TEMPLATE_TOPIC, USES_PEERS_MAX, USES_TIMEOUT_MS
} from './constants.ts'
import { MarksCore, type MarksEffect, type Offered } from './core.ts'
import type { Marks, MarksComponents, MarksView } from './index.ts'
import type { MarkSetBounds } from './mark-set.ts'
import { decodeMark, decodeMarks, decodeTemplateAsk, decodeUses, encodeMarks, encodeTemplateAsk, encodeUses, markKey, type SignedMark, type Uses } from './messages.ts'
import { Served } from './served.ts'

export class MarksService implements Marks {
  readonly view: MarksView
  readonly #c: MarksComponents
  readonly #core: MarksCore
  readonly #lifetime = new Lifetime()
  readonly #listeners = new Set<() => void>()
  readonly #asks: Limiter = limiter(ASKS_AT_ONCE_MAX, ASKS_WAITING_MAX)
  readonly #served = new Served()
  /** Where the next answer begins, 0 to 1. */
  #beginning = 0
  #telling = false
  #cancelExchange: Cancel = () => {}

  constructor (components: MarksComponents, bounds: MarkSetBounds) {
    this.#c = components
    this.#core = new MarksCore(components.crypto, bounds)
    this.view = this.#core.marks
  }

  async start (): Promise<void> {
    const { pubsub, transport, clock, records } = this.#c
    this.#core.restore(records.marks())
    this.#lifetime.own(await pubsub.subscribe(TEMPLATE_TOPIC, (from, message) => {
      const { verdict, effects } = this.#core.onGossip(clock.monotonicMs(), clock.nowMs(), from, message)
      return this.#run(effects) ? verdict : 'ignore'
    }))
    this.#lifetime.own(await transport.handle(TEMPLATE_PROTOCOL, TEMPLATE_LIMITS, async (stream) => this.#serve(stream)))
    this.#lifetime.own(transport.onNeighbour((peer, change) => {
      if (change === 'joined') this.#onNeighbour(peer)
    }))
    this.#lifetime.own(() => { this.#cancelExchange() })
    for (const peer of transport.connected()) this.#onNeighbour(peer)
    this.#exchangeLater()
  }

  async stop (): Promise<void> {
    this.#listeners.clear()
    await this.#lifetime.end()
  }

  publish (signed: Uint8Array): void {
    const mark = decodeMark(signed)
    // A person is told that there is no room, rather than that an older label goes for it.
    const isNew = this.#core.marks.get(markKey(mark)) === undefined
    if (isNew && this.#core.marks.sizeOf(mark.by) >= MARKS_PER_KEY_MAX && mark.kind === 'label' && mark.on) throw new PlantError('LIMIT', { bound: 'marks of one key', max: MARKS_PER_KEY_MAX })
    const offered = this.#core.offer(this.#c.clock.nowMs(), signed)
    if (offered.outcome === 'kept') this.#run(offered.effects, true)
    else this.#refuse(offered.outcome, mark) // What is known is told again: the first telling may have been lost.
    this.#c.pubsub.publish(TEMPLATE_TOPIC, signed).catch((error: unknown) => { this.#c.log.debug({ error }, 'a mark was not gossiped; neighbours ask for it') })
  }

  check (signed: Uint8Array): void {
    const outcome = this.#core.check(this.#c.clock.nowMs(), signed)
    if (typeof outcome === 'string') this.#refuse(outcome, decodeMark(signed))
  }

  #refuse (outcome: Exclude<Offered['outcome'], 'kept'>, mark: SignedMark): void {
    switch (outcome) {
      case 'invalid': throw new PlantError('MESSAGE_INVALID', { path: '', problem: 'not a mark' })
      case 'forged': throw new PlantError('SIGNATURE_INVALID', { by: mark.by })
      case 'full': throw new PlantError('LIMIT', { bound: 'marks', max: MARKS_MAX })
      case 'future': throw new PlantError('CALL_STALE', { problem: 'from the future', aheadMs: mark.atMs - this.#c.clock.nowMs() })
      case 'older': throw new PlantError('CALL_STALE', { problem: 'a later mark is known', atMs: mark.atMs })
      case 'known':
    }
  }

  async usesAt (peers: readonly PeerId[], goldenIds: readonly GoldenId[], signal: AbortSignal): Promise<Array<{ peer: PeerId, uses: Uses | undefined }>> {
    const tooLong = new AbortController()
    const cancel = this.#c.clock.after(USES_TIMEOUT_MS, () => { tooLong.abort(new PlantError('STREAM_TIMEOUT', { timeoutMs: USES_TIMEOUT_MS })) })
    const until = AbortSignal.any([signal, tooLong.signal, this.#lifetime.signal])
    try {
      const said = await Promise.all(peers.slice(0, USES_PEERS_MAX).map(async (peer) => ({ peer, uses: await this.#usesOf(peer, goldenIds, until).catch(() => undefined) }))) // Told as silent.
      return [...said, ...peers.slice(USES_PEERS_MAX).map((peer) => ({ peer, uses: undefined }))]
    } finally {
      cancel()
    }
  }

  onChange (fn: () => void): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  /** False when the records do not take it: then it is not passed on either. With `must` that is thrown. */
  #run (effects: MarksEffect[], must = false): boolean {
    try {
      for (const effect of effects) {
        if (effect.do === 'keep') this.#c.records.saveMarks(effect.changes)
        else this.#tell()
      }
      return true
    } catch (error) {
      if (must) throw error
      this.#c.log.warn({ error: String(error) }, 'a mark could not be kept; it is asked for again')
      return false
    }
  }

  /** Listeners are told once a turn, however much came in it. */
  #tell (): void {
    if (this.#telling) return
    this.#telling = true
    this.#c.clock.after(0, () => {
      this.#telling = false
      for (const listener of this.#listeners) listener()
    })
  }

  #onNeighbour (peer: PeerId): void {
    for (const ms of NEIGHBOUR_ASKED_MS) {
      const forget = this.#lifetime.own(this.#c.clock.after(ms, () => {
        forget()
        void this.#ask(peer)
      }))
    }
  }

  #exchangeLater (): void {
    const jitter = 1 + EXCHANGE_JITTER_SHARE * (this.#c.random.int(2_001) / 1_000 - 1)
    this.#cancelExchange = this.#c.clock.after(EXCHANGE_EVERY_MS * jitter, () => {
      if (this.#lifetime.ended) return
      const peers = this.#c.transport.connected()
      const peer = peers.length === 0 ? undefined : peers[this.#c.random.int(peers.length)]
      if (peer !== undefined) void this.#ask(peer)
      this.#exchangeLater()
    })
  }

  async #ask (peer: PeerId): Promise<void> {
    if (this.#lifetime.ended || !this.#c.transport.connected().includes(peer)) return
    try {
      await this.#asks.run(async () => this.#askMarks(peer), this.#lifetime.signal)
    } catch (error) {
      this.#c.log.debug({ peer, error }, 'a neighbour did not give its marks; another will')
    }
  }

  async #askMarks (peer: PeerId): Promise<void> {
    const stream = await this.#c.transport.open(peer, TEMPLATE_PROTOCOL, TEMPLATE_LIMITS, this.#lifetime.signal)
    const cancel = this.#c.clock.after(ASK_TIMEOUT_MS, () => { stream.abort(new PlantError('STREAM_TIMEOUT', { timeoutMs: ASK_TIMEOUT_MS })) })
    try {
      await stream.send(encodeTemplateAsk({ ask: 'marks', have: this.#core.marks.summary() }))
      await stream.close()
      let count = 0
      for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) {
        const part = decodeMarks(message)
        count += part.length
        const { sound, effects } = this.#core.onPart(this.#c.clock.nowMs(), part)
        if (!this.#run(effects)) return
        if (sound && part.length > 0 && count <= MARKS_MAX) continue
        this.#c.log.warn({ peer, count, sound }, 'a neighbour gave marks that are not sound')
        return
      }
    } finally {
      cancel()
      stream.abort(new Error('done')) // Does nothing to a stream that has ended in order.
    }
  }

  async #usesOf (peer: PeerId, goldenIds: readonly GoldenId[], signal: AbortSignal): Promise<Uses> {
    const stream = await this.#c.transport.open(peer, TEMPLATE_PROTOCOL, TEMPLATE_LIMITS, signal)
    const onAbort = (): void => { stream.abort(new Error('no longer waited for')) }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await stream.send(encodeTemplateAsk({ ask: 'uses', goldenIds }))
      await stream.close()
      const answer = await stream.receive()
      if (answer === undefined) throw new PlantError('STREAM_TRUNCATED', { peer })
      return decodeUses(answer)
    } finally {
      signal.removeEventListener('abort', onAbort)
      stream.abort(new Error('done'))
    }
  }

  async #serve (stream: MessageStream): Promise<void> {
    const asked = await stream.receive()
    if (asked === undefined) return
    const ask = decodeTemplateAsk(asked)
    if (ask.ask === 'uses') {
      await stream.send(encodeUses({ ...this.#c.uses(ask.goldenIds), more: false }))
      return
    }
    let bytesLeft = this.#served.asked(this.#c.clock.monotonicMs(), stream.peer)
    if (bytesLeft <= 0) return
    // By the golden section, so that beginnings are spread however few there are.
    this.#beginning = (this.#beginning + 0.618) % 1
    for (const part of this.#core.parts(ask.have, this.#beginning)) {
      const message = encodeMarks(part)
      this.#served.handed(stream.peer, message.length)
      bytesLeft -= message.length
      await stream.send(message)
      if (bytesLeft <= 0) return
    }
  }
}
