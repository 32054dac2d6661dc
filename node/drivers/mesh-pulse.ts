/**
 * Finds connections whose other end is gone though TCP has not noticed. libp2p's own monitor opens a stream for each question: some 2 KB from either end,
 * every 10 s, on every connection. A muxer's ping is one packet each way.
 */
import type { Connection, Libp2p } from '@libp2p/interface'
import type { Cancel, Clock, Log } from '../../protocols/kit/index.ts'
import { socketOf } from '../net/socket-options.ts'
import { PULSE_EVERY_MS, PULSE_TIMEOUT_MS } from './mesh-limits.ts'

export interface PulseComponents { node: Pick<Libp2p, 'getConnections'>, clock: Clock, log: Log }

/** Asks every connection for a sign of life, and ends those that give none. */
export class Pulse {
  readonly #c: PulseComponents
  readonly #asked = new Set<Connection>()
  #cancel: Cancel = () => {}

  constructor (components: PulseComponents) { this.#c = components }

  start (): void {
    this.#cancel = this.#c.clock.after(PULSE_EVERY_MS, () => {
      for (const connection of this.#c.node.getConnections()) if (!this.#asked.has(connection)) void this.#ask(connection)
      this.start()
    })
  }

  stop (): void { this.#cancel() }

  /** Never rejects. */
  async #ask (connection: Connection): Promise<void> {
    const late = new AbortController()
    const cancel = this.#c.clock.after(PULSE_TIMEOUT_MS, () => { late.abort(new Error('no answer in time')) })
    const heardBytes = socketOf(connection)?.bytesRead
    this.#asked.add(connection)
    try {
      await muxerOf(connection)?.ping?.({ signal: late.signal })
    } catch (error) {
      // Behind bulk on a slow path an answer may come late: what else came is a sign as good.
      if (late.signal.aborted && socketOf(connection)?.bytesRead !== heardBytes) return
      this.#c.log.debug({ peer: connection.remotePeer.toString(), error }, 'a connection gives no sign of life')
      connection.abort(error instanceof Error ? error : new Error(String(error)))
    } finally {
      cancel()
      this.#asked.delete(connection)
    }
  }
}

/** yamux's; libp2p's connections keep it under this name, which is not in their types. */
function muxerOf (connection: object): { ping?: (options: { signal: AbortSignal }) => Promise<unknown> } | undefined {
  return (connection as { muxer?: { ping?: (options: { signal: AbortSignal }) => Promise<unknown> } }).muxer
}
