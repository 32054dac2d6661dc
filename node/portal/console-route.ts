/** The console and interactive input: HTTP upgraded to a raw duplex, bytes both ways. */
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Shop } from '../shop/shop-face.ts'
import type { Upgrade } from './upgrades.ts'

const CONSOLES_OPEN_MAX = 1_024

/**
 * `GET /v1/console` with `Upgrade: plantmesh-console`; the first line on the upgraded connection is the signed call in base64, the answer
 * to it a line `ok` or a line of JSON with the error; then raw bytes until either side ends.
 */
export function consoleRoute (shop: Shop): Upgrade {
  return { url: '/v1/console', protocol: 'plantmesh-console', openMax: CONSOLES_OPEN_MAX, serve: async (line, socket, signal) => serveConsole(shop, line, socket, signal) }
}

async function serveConsole (shop: Shop, line: string, socket: Duplex, signal: AbortSignal): Promise<void> {
  let started = false
  const start = (): void => {
    if (!started) socket.write('ok\n')
    started = true
  }
  await shop.call(Buffer.from(line, 'base64'), {
    input: typed(socket),
    onEvent: async (event) => {
      start()
      if (event.kind !== 'output' || socket.destroyed || socket.write(event.bytes)) return
      await once(socket, 'drain', { signal }).catch(() => undefined) // The caller hung up: the call ends by the signal.
    }
  }, signal)
  start()
}

/** Whoever stops reading has something to say yet: the socket stays. */
function typed (socket: Duplex): AsyncIterable<Uint8Array> { return socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array> }
