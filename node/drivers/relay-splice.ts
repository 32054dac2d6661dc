/**
 * Two streams as one: what comes from either goes to the other, and no faster than that one takes it. (The library's own joint reads without
 * bound: a reader that stops would fill the gateway's memory.)
 */
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { RELAY_HELD_BYTES } from './mesh-limits.ts'

/** Joins the streams until both have ended; either's failure ends the other. */
export function splice (a: Stream, b: Stream): void {
  carry(a, b)
  carry(b, a)
}

function carry (from: Stream, to: Stream): void {
  let resuming = false
  const isFull = (): boolean => to.writeBufferLength > RELAY_HELD_BYTES
  const fail = (error: unknown): void => {
    const reason = error instanceof Error ? error : new Error('the other end of the relay is gone')
    from.abort(reason)
    to.abort(reason)
  }
  /** The sender has ended and all that it sent has been handed on. */
  const endIfDone = (): void => {
    if (from.remoteWriteStatus !== 'closed' || from.readBufferLength > 0 || to.writeStatus !== 'writable') return
    to.close().catch(fail)
  }
  const resumeIfRoom = (): void => {
    // A turn later: libp2p sends on in a microtask after `drain`, and only then is there room.
    queueMicrotask(() => {
      if (isFull() || from.readStatus !== 'paused' || resuming) return
      resuming = true
      from.resume() // Hands over at once what came meanwhile.
      resuming = false
      if (isFull()) from.pause()
      endIfDone()
    })
  }
  from.addEventListener('message', (event: StreamMessageEvent) => {
    try {
      to.send(event.data)
    } catch (error) {
      fail(error)
      return
    }
    if (!resuming && isFull() && from.readStatus === 'readable') from.pause()
    queueMicrotask(endIfDone)
  })
  to.addEventListener('drain', resumeIfRoom)
  to.addEventListener('idle', resumeIfRoom)
  from.addEventListener('remoteCloseWrite', endIfDone)
  from.addEventListener('close', (event: StreamCloseEvent) => {
    if (event.error === undefined) endIfDone()
    else fail(event.error)
  })
  endIfDone()
}
