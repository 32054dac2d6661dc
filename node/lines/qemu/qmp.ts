/** QEMU's monitor (QMP, docs/interop/qmp-spec.rst): one command, one answer, and events in between. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { PlantError } from '../../../protocols/kit/index.ts'
import { shortPath } from '../../drivers/socket-path.ts'
import { MONITOR_WITHIN_MS, QMP_ANSWER_MS, QMP_LINE_BYTES_MAX, SOCKET_POLL_MS } from './limits.ts'

const DATA = z.record(z.string(), z.unknown())
const MESSAGE = z.union([
  z.object({ QMP: z.unknown() }),
  z.object({ event: z.string(), data: DATA.optional() }),
  z.object({ id: z.number(), return: z.unknown() }),
  z.object({ id: z.number().optional(), error: z.object({ class: z.string(), desc: z.string() }) })
])

export interface QmpEvent { name: string, data: Record<string, unknown> }

export interface Qmp {
  /** Throws VM_STATE when QEMU refuses (details.problem is its text) or does not answer in time, VM_DIED when the monitor is gone, or the signal's reason. */
  execute (command: string, args?: Record<string, unknown>, options?: { signal?: AbortSignal | undefined, timeoutMs?: number }): Promise<unknown>
  /** Resolves with the first event of this name from now on that `which` takes. Rejects as `execute` does. */
  event (name: string, which: (data: Record<string, unknown>) => boolean, options: { signal?: AbortSignal | undefined, timeoutMs: number }): Promise<QmpEvent>
  /** Called with each event; must not throw. */
  onEvent (fn: (event: QmpEvent) => void): void
  /** Resolves when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>
  /** Lets go of the monitor; the machine goes on. */
  close (): void
}

/**
 * Connects to a monitor, waiting for its socket to appear. `alive` is asked between attempts; when it says no, VM_START_FAILED.
 * One connection at a time: a second one waits until the first has gone.
 */
export async function connectQmp (path: string, options: { alive: () => boolean, signal?: AbortSignal | undefined, timeoutMs?: number }): Promise<Qmp> {
  const startedAtMs = performance.now()
  const deadlineMs = startedAtMs + (options.timeoutMs ?? MONITOR_WITHIN_MS)
  for (;;) {
    options.signal?.throwIfAborted()
    const socket = await openSocket(shortPath(path))
    if (socket !== undefined) {
      return await qmpOn(socket, { signal: options.signal, timeoutMs: Math.max(1, deadlineMs - performance.now()) })
    }
    if (!options.alive()) throw new PlantError('VM_START_FAILED', { problem: 'QEMU ended before its monitor answered' })
    if (performance.now() > deadlineMs) throw new PlantError('VM_START_FAILED', { problem: 'QEMU\'s monitor does not answer' })
    // Looked for often while it may appear at any moment, ever less often the longer it does not.
    await pause(SOCKET_POLL_MS + (performance.now() - startedAtMs) / 10, undefined, { signal: options.signal }).catch(() => {}) // Called off: thrown above.
  }
}

/** Speaks to a monitor on a socket that is connected already, and ends with it. Throws as `execute` does; the socket is then closed. */
export async function qmpOn (socket: Socket, options: { signal?: AbortSignal | undefined, timeoutMs: number }): Promise<Qmp> {
  const qmp = new SocketQmp(socket)
  try {
    await qmp.execute('qmp_capabilities', {}, options)
    return qmp
  } catch (error) {
    qmp.close()
    throw error
  }
}

/** A connected socket, or undefined when nobody listens there (yet, or any more). */
export async function openSocket (path: string): Promise<Socket | undefined> {
  const socket = connect({ path })
  return await new Promise((resolve) => {
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socket)
    })
    socket.once('error', () => { resolve(undefined) })
  })
}

type Waiting = PromiseWithResolvers<unknown> & { command: string }
interface Watch { name: string, which: (data: Record<string, unknown>) => boolean, found: PromiseWithResolvers<QmpEvent> }

class SocketQmp implements Qmp {
  readonly #socket: Socket
  readonly #waiting = new Map<number, Waiting>()
  readonly #watches = new Set<Watch>()
  readonly #listeners: Array<(event: QmpEvent) => void> = []
  readonly #closed = Promise.withResolvers<void>()
  #line = ''
  #nextId = 1
  #over = false

  constructor (socket: Socket) {
    this.#socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (piece: string) => { this.#onData(piece) })
    // The close event follows, and it is all that counts.
    socket.on('error', () => {})
    socket.on('close', () => { this.#end() })
  }

  get closed (): Promise<void> { return this.#closed.promise }
  onEvent (fn: (event: QmpEvent) => void): void { this.#listeners.push(fn) }
  close (): void { this.#socket.destroy(); this.#end() }

  async execute (command: string, args: Record<string, unknown> = {}, options: { signal?: AbortSignal | undefined, timeoutMs?: number } = {}): Promise<unknown> {
    if (this.#over) throw gone()
    options.signal?.throwIfAborted()
    const id = this.#nextId++
    const waiting = { ...Promise.withResolvers<unknown>(), command }
    this.#waiting.set(id, waiting)
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    try {
      return await bounded(waiting.promise, options.timeoutMs ?? QMP_ANSWER_MS, options.signal, command)
    } finally {
      this.#waiting.delete(id)
    }
  }

  async event (name: string, which: (data: Record<string, unknown>) => boolean, options: { signal?: AbortSignal | undefined, timeoutMs: number }): Promise<QmpEvent> {
    if (this.#over) throw gone()
    const watch: Watch = { name, which, found: Promise.withResolvers<QmpEvent>() }
    this.#watches.add(watch)
    try {
      return await bounded(watch.found.promise, options.timeoutMs, options.signal, name)
    } finally {
      this.#watches.delete(watch)
    }
  }

  #onData (piece: string): void {
    this.#line += piece
    for (let end = this.#line.indexOf('\n'); end >= 0; end = this.#line.indexOf('\n')) {
      const line = this.#line.slice(0, end)
      this.#line = this.#line.slice(end + 1)
      this.#onLine(line)
    }
    if (this.#line.length > QMP_LINE_BYTES_MAX) this.close()
  }

  #onLine (line: string): void {
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      this.close() // Not a monitor, or one that has lost its mind: nothing it says can be trusted.
      return
    }
    const parsed = MESSAGE.safeParse(value)
    if (!parsed.success) return
    const message = parsed.data
    if ('event' in message) {
      const event = { name: message.event, data: message.data ?? {} }
      for (const listener of this.#listeners) listener(event)
      for (const watch of this.#watches) if (watch.name === event.name && watch.which(event.data)) watch.found.resolve(event)
    } else if ('error' in message) {
      const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id)
      waiting?.reject(new PlantError('VM_STATE', { command: waiting.command, problem: message.error.desc }))
    } else if ('return' in message) {
      this.#waiting.get(message.id)?.resolve(message.return)
    }
  }

  #end (): void {
    if (this.#over) return
    this.#over = true
    for (const waiting of this.#waiting.values()) waiting.reject(gone())
    for (const watch of this.#watches) watch.found.reject(gone())
    this.#closed.resolve()
  }
}

function gone (): PlantError {
  return new PlantError('VM_DIED', { reason: 'QEMU\'s monitor is gone' })
}

async function bounded<T> (promise: Promise<T>, timeoutMs: number, signal: AbortSignal | undefined, what: string): Promise<T> {
  const stop = Promise.withResolvers<never>()
  const timer = setTimeout(() => { stop.reject(new PlantError('VM_STATE', { problem: 'QEMU does not answer', what, waitedMs: timeoutMs })) }, timeoutMs)
  const abort = (): void => { stop.reject(signal?.reason) }
  signal?.addEventListener('abort', abort)
  try {
    return await Promise.race([promise, stop.promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}
