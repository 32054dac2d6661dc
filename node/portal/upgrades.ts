/** Connections of the API that stop being HTTP: upgraded to a raw duplex, whose first line says what is wanted. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { PlantError, asPlantError } from '../../protocols/kit/index.ts'
import { firstLine } from '../net/first-line.ts'

/** How long a caller may take for the first line. */
const FIRST_LINE_TIMEOUT_MS = 10_000
const LEAVES_WITHIN_MS = 5_000

/** What is served at one address. Its errors are told on the duplex as a line of JSON. */
export interface Upgrade {
  url: string
  /** The value of the header `Upgrade`. */
  protocol: string
  /** How many at once. */
  openMax: number
  /** Serves until it resolves; the duplex, out of which the first line was taken, is ended afterwards. `signal` is aborted when the caller is gone. */
  serve: (line: string, socket: Duplex, signal: AbortSignal) => Promise<void>
}

/** Serves them; returns what ends all that are open. */
export function upgradeRoutes (app: FastifyInstance, upgrades: readonly Upgrade[]): () => void {
  const open = new Map<Duplex, Upgrade | undefined>()
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => { socket.destroy() }) // The caller went; the other end follows from `close`.
    const upgrade = upgrades.find(({ url, protocol }) => request.url === url && request.headers.upgrade === protocol)
    open.set(socket, upgrade)
    socket.on('close', () => { open.delete(socket) })
    if (upgrade === undefined) {
      socket.write('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n')
      leave(socket)
      return
    }
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${upgrade.protocol}\r\n\r\n`)
    if (head.length > 0) socket.unshift(head)
    void served(upgrade, socket, [...open].filter(([one, what]) => what === upgrade && !one.writableEnded).length)
  })
  return () => { for (const socket of open.keys()) socket.destroy() }
}

async function served ({ serve, openMax, url }: Upgrade, socket: Duplex, openNow: number): Promise<void> {
  const gone = new AbortController()
  socket.on('close', () => { gone.abort(new Error('the caller hung up')) })
  try {
    if (openNow > openMax) throw new PlantError('LIMIT', { bound: 'openMax', url, max: openMax })
    await serve(await firstLine(socket, AbortSignal.any([gone.signal, AbortSignal.timeout(FIRST_LINE_TIMEOUT_MS)])), socket, gone.signal)
  } catch (error) {
    if (!socket.destroyed) socket.write(JSON.stringify({ error: asPlantError(error).report() }) + '\n')
  } finally {
    leave(socket)
  }
}

/** What was said arrives, whatever the caller still says; one that does not hang up is hung up on. */
function leave (socket: Duplex): void {
  socket.end()
  socket.resume()
  const timer = setTimeout(() => { socket.destroy() }, LEAVES_WITHIN_MS)
  socket.once('close', () => { clearTimeout(timer) })
}
