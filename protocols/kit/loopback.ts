/**
 * A transport that also reaches its own plant: a shop asks its own plant as it asks any other, without the network. libp2p refuses to
 * dial itself, so streams to `self` are a pair of bounded queues in memory with the same promises as MessageStream makes.
 */
import { PlantError } from './errors.ts'
import type { PeerId } from './ids.ts'
import type { Cancel, Clock, MessageStream, StreamHandler, StreamLimits, Transport } from './ports.ts'

/** Messages that wait unread at one end before the sender is held back. */
const QUEUE_MAX = 16

/** The transport, with streams to its own peer kept in memory. */
export function withLoopback (transport: Transport, clock: Clock): Transport {
  const handlers = new Map<string, { limits: StreamLimits, handler: StreamHandler }>()
  return {
    self: transport.self,
    async open (peer, protocol, limits, signal, how) {
      if (peer !== transport.self) return transport.open(peer, protocol, limits, signal, how)
      signal?.throwIfAborted()
      const served = handlers.get(protocol)
      if (served === undefined) throw new PlantError('PEER_UNREACHABLE', { peer, protocol, problem: 'not served' })
      const [near, far] = streamPair(peer, protocol, limits, clock)
      signal?.addEventListener('abort', () => { near.abort(new PlantError('STREAM_RESET', { protocol })) }, { once: true })
      served.handler(far).catch((error: unknown) => { far.abort(error instanceof Error ? error : new Error(String(error))) })
      return near
    },
    async handle (protocol, limits, handler) {
      handlers.set(protocol, { limits, handler })
      const cancel = await transport.handle(protocol, limits, handler)
      return () => {
        handlers.delete(protocol)
        cancel()
      }
    },
    connected: () => transport.connected(),
    onNeighbour: (fn) => transport.onNeighbour(fn)
  }
}

/** Two ends of one conversation in memory. */
export function streamPair (peer: PeerId, protocol: string, limits: StreamLimits, clock: Clock): [MessageStream, MessageStream] {
  const shared = new AbortController()
  const a = new Queue()
  const b = new Queue()
  const abort = (reason: Error): void => {
    if (shared.signal.aborted) return
    shared.abort(reason)
    a.wake()
    b.wake()
  }
  const end = (inbox: Queue, outbox: Queue): MessageStream => ({
    peer,
    protocol,
    signal: shared.signal,
    abort,
    async send (message) {
      if (message.length > limits.messageBytesMax) throw new PlantError('STREAM_TOO_LONG', { bytes: message.length, max: limits.messageBytesMax, protocol })
      while (outbox.messages.length >= QUEUE_MAX && !shared.signal.aborted) await outbox.changed(undefined, clock)
      if (shared.signal.aborted || outbox.closed) throw new PlantError('STREAM_RESET', { protocol }, { cause: shared.signal.reason })
      outbox.messages.push(message)
      outbox.wake()
    },
    async receive (options) {
      const timeoutMs = options?.timeoutMs ?? limits.idleTimeoutMs
      const untilMs = clock.monotonicMs() + timeoutMs
      for (;;) {
        const message = inbox.messages.shift()
        if (message !== undefined) {
          inbox.wake()
          return message
        }
        if (shared.signal.aborted) throw new PlantError('STREAM_RESET', { protocol }, { cause: shared.signal.reason })
        if (inbox.closed) return undefined
        const leftMs = untilMs - clock.monotonicMs()
        if (leftMs <= 0) throw new PlantError('STREAM_TIMEOUT', { protocol, timeoutMs })
        await inbox.changed(leftMs, clock)
      }
    },
    async close () {
      outbox.closed = true
      outbox.wake()
    }
  })
  return [end(a, b), end(b, a)]
}

class Queue {
  messages: Uint8Array[] = []
  closed = false
  #waiters: Array<() => void> = []

  wake (): void {
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  /** Resolves at the next change, or after `ms`. */
  async changed (ms: number | undefined, clock: Clock): Promise<void> {
    let cancel: Cancel | undefined
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve)
      if (ms !== undefined) cancel = clock.after(ms, resolve)
    })
    cancel?.()
  }
}
