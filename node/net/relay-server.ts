/** Listens on this host and joins each connection to one that is opened elsewhere: what SOCKS and published ports have in common. Bounded, and nothing stays when it stops. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { PlantError } from '../../protocols/kit/index.ts'

export interface RelayServer {
  /** Where it listens; the port is the one that was given when 0 was asked for. */
  readonly host: string
  readonly port: number
  /** Ends it and every connection. */
  stop (): void
}

/**
 * Says where a new connection leads, and tells its caller what it must: `reader` has not been read from. Throws when it leads nowhere; the connection is closed then, and `signal`
 * is aborted when the caller hangs up or the server stops.
 */
export type Route = (caller: Socket, signal: AbortSignal) => Promise<Socket>

/** As many as the user-mode gateway carries; who comes beyond is hung up on. */
const CONNECTIONS_MAX = 256
/** A caller that is gone without a word gives its place back. */
const KEEP_ALIVE_MS = 60_000

/** Throws CONFIG_INVALID when the address cannot be listened on. */
export async function relayServer (at: { host: string, port: number }, route: Route, onFailure: (error: unknown) => void): Promise<RelayServer> {
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (caller) => {
    open.add(caller)
    caller.once('close', () => { open.delete(caller) })
    caller.on('error', () => { caller.destroy() })
    void serve(caller, route, onFailure)
  })
  server.maxConnections = CONNECTIONS_MAX
  server.on('drop', () => { onFailure(new PlantError('LIMIT', { bound: 'CONNECTIONS_MAX', max: CONNECTIONS_MAX })) })
  server.listen(at)
  try {
    await once(server, 'listening')
  } catch (cause) {
    throw new PlantError('CONFIG_INVALID', { listen: `${at.host}:${at.port}`, problem: (cause as Error).message }, { cause })
  }
  server.on('error', onFailure)
  const address = server.address()
  return {
    host: at.host,
    port: typeof address === 'object' && address !== null ? address.port : at.port,
    stop () {
      server.close()
      for (const socket of open) socket.destroy()
    }
  }
}

async function serve (caller: Socket, route: Route, onFailure: (error: unknown) => void): Promise<void> {
  const gone = new AbortController()
  caller.once('close', () => { gone.abort(new Error('the caller hung up')) })
  try {
    const there = await route(caller, gone.signal)
    if (caller.destroyed) {
      there.destroy()
      return
    }
    joinSockets(caller, there)
  } catch (error) {
    if (!gone.signal.aborted) onFailure(error)
    caller.destroySoon()
  }
}

/** Carries bytes both ways, each direction to its own end; what breaks one breaks both. */
export function joinSockets (a: Socket, b: Socket): void {
  a.pipe(b)
  b.pipe(a)
  for (const [one, other] of [[a, b], [b, a]] as const) {
    one.on('error', () => { one.destroy() })
    one.once('close', () => { other.destroySoon() })
  }
}
