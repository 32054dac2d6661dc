/** A client of QEMU's machine protocol (QMP, docs/interop/qmp-spec): commands, events, nothing held without a bound. */
import { connect, type Socket } from 'node:net'
import { PlantError } from '../../../protocols/kit/index.ts'
import { shortPath } from '../../drivers/socket-path.ts'

/** A line of QMP is some kilobytes at most (query-qmp-schema, the longest, is not asked). */
const LINE_BYTES_MAX = 1024 * 1024
const COMMAND_TIMEOUT_MS = 30_000

export interface QmpEvent { event: string, data: Record<string, unknown> }

interface Waiting { resolve: (value: Record<string, unknown>) => void, reject: (error: Error) => void }

export class Qmp {
  readonly #socket: Socket
  readonly #waiting = new Map<number, Waiting>()
  readonly #listeners = new Set<(event: QmpEvent) => void>()
  #next = 1
  #buffer = ''
  #greeted = Promise.withResolvers<void>()
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>

  private constructor (socket: Socket) {
    this.#socket = socket
    this.#greeted.promise.catch(() => undefined) // Told to whoever connects.
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        const error = new PlantError('VM_DIED', { reason: 'the machine monitor closed its control socket' })
        this.#greeted.reject(error)
        for (const { reject } of this.#waiting.values()) reject(error)
        this.#waiting.clear()
        resolve()
      })
    })
    socket.setEncoding('utf8').on('error', () => {}).on('data', (text: string) => { this.#onData(text) })
  }

  /** Connects and agrees on capabilities. Throws the socket's error (ENOENT, ECONNREFUSED) or VM_DIED. */
  static async connect (path: string): Promise<Qmp> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const opening = connect(shortPath(path))
      opening.once('connect', () => {
        opening.off('error', reject)
        resolve(opening)
      }).once('error', reject)
    })
    const qmp = new Qmp(socket)
    await qmp.#greeted.promise
    await qmp.run('qmp_capabilities')
    return qmp
  }

  /** Runs a command; throws VM_STATE with QEMU's own description when it refuses, VM_DIED when it is gone. */
  async run (execute: string, args?: Record<string, unknown>, timeoutMs = COMMAND_TIMEOUT_MS): Promise<Record<string, unknown>> {
    if (this.#socket.destroyed) throw new PlantError('VM_DIED', { reason: 'the machine monitor is gone' })
    const id = this.#next++
    const answer = Promise.withResolvers<Record<string, unknown>>()
    this.#waiting.set(id, answer)
    const timer = setTimeout(() => {
      this.#waiting.delete(id)
      answer.reject(new PlantError('VM_STATE', { problem: 'the machine monitor does not answer', command: execute, timeoutMs }))
    }, timeoutMs)
    this.#socket.write(JSON.stringify({ execute, ...(args !== undefined && { arguments: args }), id }) + '\n')
    try {
      return await answer.promise
    } catch (cause) {
      if (!(cause instanceof QmpRefusal)) throw cause
      throw new PlantError('VM_STATE', { command: execute, problem: cause.message }, { cause })
    } finally {
      clearTimeout(timer)
    }
  }

  onEvent (listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  /** The next event of that name that passes the test. Rejects when the connection ends or the time is up. */
  async event (name: string, test: (data: Record<string, unknown>) => boolean, timeoutMs: number): Promise<Record<string, unknown>> {
    const found = Promise.withResolvers<Record<string, unknown>>()
    const stop = this.onEvent(({ event, data }) => { if (event === name && test(data)) found.resolve(data) })
    const timer = setTimeout(() => { found.reject(new PlantError('VM_STATE', { problem: 'an event did not come', event: name, timeoutMs })) }, timeoutMs)
    void this.closed.then(() => { found.reject(new PlantError('VM_DIED', { reason: 'the machine monitor is gone' })) })
    try {
      return await found.promise
    } finally {
      clearTimeout(timer)
      stop()
    }
  }

  close (): void { this.#socket.destroy() }

  #onData (text: string): void {
    this.#buffer += text
    for (let end = this.#buffer.indexOf('\n'); end >= 0; end = this.#buffer.indexOf('\n')) {
      const line = this.#buffer.slice(0, end)
      this.#buffer = this.#buffer.slice(end + 1)
      this.#onLine(line)
    }
    if (this.#buffer.length > LINE_BYTES_MAX) this.#socket.destroy()
  }

  #onLine (line: string): void {
    let message: Record<string, unknown>
    try {
      message = JSON.parse(line) as Record<string, unknown>
    } catch {
      this.#socket.destroy() // Not QMP: nothing that follows could be understood.
      return
    }
    if ('QMP' in message) this.#greeted.resolve()
    else if (typeof message['event'] === 'string') {
      const event = { event: message['event'], data: (message['data'] ?? {}) as Record<string, unknown> }
      for (const listener of this.#listeners) listener(event)
    } else {
      const id = Number(message['id'])
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if ('error' in message) waiting?.reject(new QmpRefusal(String((message['error'] as { desc?: unknown }).desc)))
      else waiting?.resolve((message['return'] ?? {}) as Record<string, unknown>)
    }
  }
}

/** QEMU's own word that it does not do a thing. */
class QmpRefusal extends Error {}
