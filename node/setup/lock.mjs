// A lock between processes that no crash can leave behind.
import { createHash } from 'node:crypto'
import { connect, createServer } from 'node:net'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * Runs `work` while no other process of this machine runs work under the same name. The lock is an abstract Unix socket: the kernel lets
 * go of it with the process, so there is nothing stale to recognise, and who waits is woken when the holder's connection ends.
 * Elsewhere than on Linux there are no such sockets and the work runs unguarded.
 * @template T
 * @param {string} name anything; processes that name the same thing exclude each other
 * @param {() => Promise<T>} work
 * @param {{ onWait?: () => void, signal?: AbortSignal }} [options] `onWait` is called once when another process holds the lock
 * @returns {Promise<T>}
 */
export async function withLock (name, work, options = {}) {
  if (process.platform !== 'linux') return await work()
  const address = `\0plantmesh-${createHash('sha256').update(name).digest('hex').slice(0, 40)}`
  let waited = false
  for (;;) {
    options.signal?.throwIfAborted()
    const server = await hold(address)
    if (server !== undefined) {
      try {
        return await work()
      } finally {
        server.close()
      }
    }
    if (!waited) options.onWait?.()
    waited = true
    await freed(address, options.signal)
  }
}

function hold (address) {
  return new Promise((resolve, reject) => {
    const waiting = new Set()
    const server = createServer((socket) => {
      waiting.add(socket)
      socket.on('close', () => waiting.delete(socket)).on('error', () => { /* A waiter that went away needs no answer. */ })
      socket.resume()
      socket.unref()
    })
    server.once('error', (error) => error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error))
    server.listen(address, () => {
      server.unref()
      resolve({
        close () {
          server.close()
          for (const socket of waiting) socket.destroy()
        }
      })
    })
  })
}

/** Waits until the holder's socket closes; also when it had just gone. */
async function freed (address, signal) {
  signal?.throwIfAborted()
  await new Promise((resolve) => {
    const socket = connect(address)
    const stop = () => socket.destroy()
    signal?.addEventListener('abort', stop, { once: true })
    socket.on('error', () => { /* 'close' follows: try for the lock again. */ })
    socket.on('close', () => {
      signal?.removeEventListener('abort', stop)
      resolve(undefined)
    })
    socket.resume()
  })
  // The socket's name is free a moment after its connections end: without a pause the loop would spin until then.
  await pause(20)
}
