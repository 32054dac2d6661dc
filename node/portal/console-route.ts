/** The console and interactive input: HTTP upgraded to a raw duplex, bytes both ways. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { asPlantError } from '../../protocols/kit/index.ts'
import type { Shop } from '../shop/shop-face.ts'

/** How long a caller may take for the first line, the signed call. */
const FIRST_LINE_TIMEOUT_MS = 10_000
const FIRST_LINE_BYTES_MAX = 64 * 1024

/**
 * `GET /v1/console` with `Upgrade: plantmesh-console`; the first line on the upgraded connection is the signed call in base64, the answer
 * to it a line `ok` or a line of JSON with the error; then raw bytes until either side ends.
 */
export function consoleRoute (app: FastifyInstance, shop: Shop): () => void {
  const open = new Set<Duplex>()
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => { socket.destroy() }) // The caller went; the console's end follows from `close`.
    open.add(socket)
    socket.on('close', () => { open.delete(socket) })
    if (request.url !== '/v1/console' || request.headers.upgrade !== 'plantmesh-console') {
      socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n')
      return
    }
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: plantmesh-console\r\n\r\n')
    if (head.length > 0) socket.unshift(head)
    void serveConsole(shop, socket)
  })
  return () => { for (const socket of open) socket.destroy() }
}

async function serveConsole (shop: Shop, socket: Duplex): Promise<void> {
  const gone = new AbortController()
  socket.on('close', () => { gone.abort(new Error('the caller hung up')) })
  try {
    const reader = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    const { line, rest } = await firstLine(reader, socket)
    let started = false
    const start = (): void => {
      if (!started) socket.write('ok\n')
      started = true
    }
    await shop.call(Buffer.from(line, 'base64'), {
      input: typed(reader, rest),
      onEvent: async (event) => {
        start()
        if (event.kind !== 'output' || socket.destroyed || socket.write(event.bytes)) return
        await once(socket, 'drain', { signal: gone.signal }).catch(() => undefined) // The caller hung up: the call ends by the signal.
      }
    }, gone.signal)
    start()
  } catch (error) {
    if (!socket.destroyed) socket.write(JSON.stringify({ error: asPlantError(error).report() }) + '\n')
  } finally {
    socket.end()
  }
}

async function firstLine (reader: AsyncIterator<Buffer>, socket: Duplex): Promise<{ line: string, rest: Buffer }> {
  const timer = setTimeout(() => { socket.destroy() }, FIRST_LINE_TIMEOUT_MS)
  try {
    let bytes = Buffer.alloc(0)
    while (bytes.length <= FIRST_LINE_BYTES_MAX) {
      const { value, done } = await reader.next()
      if (done === true) break
      bytes = Buffer.concat([bytes, value])
      const end = bytes.indexOf(0x0a)
      if (end >= 0) return { line: bytes.subarray(0, end).toString('latin1'), rest: bytes.subarray(end + 1) }
    }
    throw new Error('no signed call in the first line')
  } finally {
    clearTimeout(timer)
  }
}

async function * typed (reader: AsyncIterator<Buffer>, rest: Buffer): AsyncGenerator<Uint8Array> {
  if (rest.length > 0) yield rest
  for (;;) {
    const { value, done } = await reader.next()
    if (done === true) return
    yield value
  }
}
