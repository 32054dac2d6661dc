/**
 * QEMU serves the socket of a network card from a thread of its own. Until its main loop has heard that the socket is there the card counts as
 * connected though nobody is, and the first frame ends QEMU by SIGSEGV (net/stream.c, seen with 7.2: one clone in some 800 on a busy host). So no
 * clone runs before a connection has come and gone.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { shortPath } from '../../drivers/socket-path.ts'
import { MONITOR_WITHIN_MS, SOCKET_POLL_MS } from './limits.ts'
import { openSocket } from './qmp.ts'
import type { Qmp } from './qmp.ts'

/** The backend of a card: its name in QEMU, and the path of its socket. */
export interface CardBackend { netdev: string, path: string }

/** Resolves when a card without a peer drops its frames, as it should. Throws VM_STATE when that takes too long, VM_DIED or the signal's reason. */
export async function cardServed (qmp: Qmp, { netdev, path }: CardBackend, signal?: AbortSignal): Promise<void> {
  const options = { signal, timeoutMs: MONITOR_WITHIN_MS }
  const ours = (data: Record<string, unknown>): boolean => data['netdev-id'] === netdev
  const stop = new AbortController()
  // The events of QEMU 7.2 and later (qapi/net.json).
  const came = qmp.event('NETDEV_STREAM_CONNECTED', ours, options)
  const left = qmp.event('NETDEV_STREAM_DISCONNECTED', ours, options)
  const touched = touch(shortPath(path), came, stop.signal)
  try {
    await Promise.all([came, left, touched])
  } finally {
    stop.abort()
    await touched
  }
}

/** Connects as soon as the socket is there, and hangs up when QEMU has noticed. */
async function touch (path: string, noticed: Promise<unknown>, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const socket = await openSocket(path)
    if (socket !== undefined) {
      await noticed.catch(() => {}) // Told by whoever waits for it.
      socket.destroy()
      return
    }
    await pause(SOCKET_POLL_MS)
  }
}
