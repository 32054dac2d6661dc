/**
 * One end of a virtio-serial port: gets in step with the agent in the guest, sends requests and hands back what comes of them. Everything
 * that comes from the guest is bounded (`constants.ts`); what does not keep to the protocol ends the link with an error.
 *
 *   greeting --(answer and INFO)--> ready --(the agent started anew)--> greeting --(broken or closed)--> over (final)
 */
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { PlantError } from '../../../../protocols/kit/index.ts'
import type { ScriptResult, ScriptRun } from '../../line.ts'
import { HELLO_AGAIN_MS, KILLED_WITHIN_MS, MESSAGE, NONCE_BYTES, NO_SESSION_TOKEN, REPLY_BYTES_MAX, REPLY_WITHIN_MS, RUNS_MAX, TOKEN_BYTES, TO_GUEST_PAYLOAD_BYTES_MAX } from './constants.ts'
import { encodeFrame, encodeHello, FrameReader } from './frames.ts'
import type { Found, Frame } from './frames.ts'
import { RunRecord } from './run-record.ts'

export interface LinkOptions {
  signal?: AbortSignal | undefined
  /** How long the agent may take to answer the hello; a booting guest answers once its agent is up. */
  timeoutMs: number
}

/** How a request is brought to the guest once the link has a number for it; what it returns is called when the guest has taken it or has not. */
export type BringRequest = (id: number, token: Uint8Array) => Promise<(() => Promise<void>) | undefined>

type Reply = PromiseWithResolvers<Record<string, string>>

/** One end of a virtio-serial port; see the head of this file for its states. */
export class GuestLink {
  readonly #socket: Socket
  readonly #reader = new FrameReader()
  readonly #runs = new Map<number, RunRecord>()
  readonly #replies = new Map<number, Reply>()
  #token: Uint8Array = NO_SESSION_TOKEN
  #ready = Promise.withResolvers<void>()
  #isReady = false
  #over: Error | undefined
  #helloTimer: NodeJS.Timeout | undefined
  #nextId = 1
  #holds = 0
  #bootId = ''
  #version = 0

  /** Connects to QEMU's socket of the port and waits until the agent answers. Throws AGENT_SILENT, VM_DIED or the signal's reason. */
  static async connect (path: string, { signal, timeoutMs }: LinkOptions): Promise<GuestLink> {
    signal?.throwIfAborted()
    const socket = connect({ path })
    const link = new GuestLink(socket)
    try {
      await link.ready(timeoutMs, signal)
      return link
    } catch (error) {
      link.close()
      throw error
    }
  }

  private constructor (socket: Socket) {
    this.#socket = socket
    this.#ready.promise.catch(() => {})
    socket.on('connect', () => { this.#greet(HELLO_AGAIN_MS) })
    socket.on('data', (piece) => { this.#onData(piece) })
    // The close event follows and ends the link; the cause is kept here.
    socket.on('error', (cause) => { this.#end(new PlantError('VM_DIED', { reason: 'the connection to the agent in the guest failed' }, { cause })) })
    socket.on('close', () => { this.#end(new PlantError('VM_DIED', { reason: 'the connection to the agent in the guest was closed' })) })
  }

  /** The kernel's boot id, as of the last hello. */
  get bootId (): string { return this.#bootId }
  get agentVersion (): number { return this.#version }
  get isOver (): boolean { return this.#over !== undefined }

  /** Resolves when the agent has answered the hello. */
  async ready (timeoutMs: number, signal?: AbortSignal): Promise<void> {
    await within(this.#ready.promise, timeoutMs, () => new PlantError('AGENT_SILENT', { waitedMs: timeoutMs }), signal)
  }

  /** Runs a request to its end; see `GuestChannel.run`. */
  async run (run: ScriptRun, bring: BringRequest, takenWithinMs: number, signal?: AbortSignal): Promise<ScriptResult> {
    await this.ready(takenWithinMs, signal)
    if (this.#runs.size >= RUNS_MAX) throw new PlantError('LIMIT', { bound: 'RUNS_MAX', max: RUNS_MAX })
    const id = this.#nextId++
    const record = new RunRecord(run.onOutput, (held) => { this.#hold(held) })
    this.#runs.set(id, record)
    try {
      const silent = (): Error => new PlantError('AGENT_SILENT', { waitedMs: takenWithinMs })
      const release = await bring(id, this.#token)
      try {
        await within(record.taken, takenWithinMs, silent, signal)
      } finally {
        await release?.()
      }
      const late = (): Error => new PlantError('ACTION_TIMEOUT', { timeoutMs: run.timeoutMs })
      return await within(record.ended, run.timeoutMs, late, signal)
    } catch (error) {
      record.close()
      if (this.#runs.has(id) && this.#over === undefined) await this.#kill(id, record)
      if (error instanceof PlantError && error.code === 'ACTION_TIMEOUT') throw new PlantError('ACTION_TIMEOUT', { ...error.details, outputTail: record.outputTail, outputBytes: record.outputBytes })
      throw error
    } finally {
      record.close()
      this.#runs.delete(id)
    }
  }

  /** Sends a request that is answered by name=value lines. */
  async call (type: number, payload: Uint8Array, options: { timeoutMs?: number, signal?: AbortSignal | undefined } = {}): Promise<Record<string, string>> {
    const timeoutMs = options.timeoutMs ?? REPLY_WITHIN_MS
    await this.ready(timeoutMs, options.signal)
    const id = this.#nextId++
    const reply: Reply = Promise.withResolvers()
    this.#replies.set(id, reply)
    try {
      await this.send(type, id, payload)
      return await within(reply.promise, timeoutMs, () => new PlantError('AGENT_SILENT', { waitedMs: timeoutMs }), options.signal)
    } finally {
      this.#replies.delete(id)
    }
  }

  /** Sends one message, or as many as its payload takes; resolves when the socket has room for more. Throws when the link is over. */
  async send (type: number, id: number, payload: Uint8Array): Promise<void> {
    let at = 0
    do {
      if (this.#over !== undefined) throw this.#over
      const piece = payload.subarray(at, at + TO_GUEST_PAYLOAD_BYTES_MAX)
      if (!this.#socket.write(encodeFrame(type, id, piece, this.#token))) await drained(this.#socket)
      at += TO_GUEST_PAYLOAD_BYTES_MAX
    } while (at < payload.length)
  }

  /** Lets go of the port; what is under way fails. The guest ends it when the next one says hello. Idempotent. */
  close (): void {
    this.#end(new PlantError('VM_DIED', { reason: 'the connection to the agent in the guest was let go' }))
  }

  /** Reads no more from the guest while any run's caller is behind. */
  #hold (held: boolean): void {
    this.#holds += held ? 1 : -1
    if (this.#holds > 0) this.#socket.pause()
    else this.#socket.resume()
  }

  #greet (againMs: number): void {
    clearTimeout(this.#helloTimer)
    if (this.#over !== undefined) return
    // A guest that says over and over that it has booted, and reads nothing, must not fill the send buffer.
    if (this.#socket.writableLength > STALLED_BYTES_MAX) return
    const nonce = randomBytes(NONCE_BYTES)
    // Zeros are what clears the guest's reader, so no token is all zeros.
    this.#token = randomBytes(TOKEN_BYTES).map((byte) => byte | 1)
    this.#reader.expectHello(nonce, this.#token)
    this.#socket.write(encodeHello(nonce, this.#token))
    this.#helloTimer = setTimeout(() => { this.#greet(againMs * 2) }, againMs)
    this.#helloTimer.unref()
  }

  #onData (piece: Uint8Array): void {
    for (const found of this.#reader.read(piece)) {
      if (this.#over !== undefined) return
      this.#onFound(found)
    }
  }

  #onFound (found: Found): void {
    if (found.kind === 'in-step') clearTimeout(this.#helloTimer)
    else if (found.kind === 'frame') this.#onFrame(found.frame)
    else if (found.kind === 'booted') this.#onBooted(linesOf(found.info)['boot'] ?? '')
    else this.#end(new PlantError('MESSAGE_INVALID', { path: 'guest', problem: found.problem }))
  }

  #onBooted (bootId: string): void {
    const rebooted = this.#bootId !== '' && bootId !== this.#bootId
    const error = rebooted
      ? new PlantError('VM_DIED', { reason: 'the guest rebooted' })
      : new PlantError('AGENT_SILENT', { reason: 'the agent in the guest ended and was started anew' })
    this.#failPending(error)
    if (this.#isReady) {
      this.#isReady = false
      this.#ready = Promise.withResolvers()
      this.#ready.promise.catch(() => {})
    }
    this.#greet(HELLO_AGAIN_MS)
  }

  #onFrame (frame: Frame): void {
    if (frame.type === MESSAGE.INFO) {
      const info = linesOf(frame.payload.toString('latin1', 0, REPLY_BYTES_MAX))
      this.#bootId = (info['boot'] ?? '').slice(0, 64)
      this.#version = Number(info['version'])
      this.#isReady = true
      this.#ready.resolve()
      return
    }
    const reply = this.#replies.get(frame.id)
    if (reply !== undefined) {
      if (frame.type === MESSAGE.REPLY) reply.resolve(linesOf(frame.payload.toString('utf8', 0, REPLY_BYTES_MAX)))
      else reply.reject(new PlantError('MESSAGE_INVALID', { path: 'guest', problem: `message ${frame.type} in place of a reply` }))
      return
    }
    // Late words of a run that is over mean nothing.
    if (this.#runs.get(frame.id)?.onFrame(frame) === true) this.#runs.delete(frame.id)
  }

  /** Has the guest end all processes of a run, and waits for that within bounds. */
  async #kill (id: number, record: RunRecord): Promise<void> {
    try {
      await this.send(MESSAGE.CANCEL, id, new Uint8Array())
      await within(record.ended, KILLED_WITHIN_MS, () => new PlantError('AGENT_SILENT', { waitedMs: KILLED_WITHIN_MS }))
    } catch {
      // The caller gets the error for which the run was to end; a guest that does not even end it is found silent by the next request.
    }
  }

  #failPending (error: Error): void {
    for (const run of this.#runs.values()) run.fail(error)
    for (const reply of this.#replies.values()) reply.reject(error)
    this.#runs.clear()
  }

  #end (error: Error): void {
    if (this.#over !== undefined) return
    this.#over = error
    clearTimeout(this.#helloTimer)
    this.#failPending(error)
    if (this.#isReady) this.#ready = Promise.withResolvers()
    this.#ready.promise.catch(() => {})
    this.#ready.reject(error)
    this.#socket.destroy()
  }
}

/** Of what waits to be read by the guest; hellos beyond it are not sent. */
const STALLED_BYTES_MAX = 64 * 1024

/** Waits for a promise, a time or a signal, whichever comes first. */
async function within<T> (promise: Promise<T>, ms: number, late: () => Error, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted()
  const { promise: stopped, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => { reject(signal?.reason) }
  const timer = setTimeout(() => { reject(late()) }, ms)
  signal?.addEventListener('abort', onAbort)
  try {
    return await Promise.race([promise, stopped])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

function drained (socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const done = (): void => {
    socket.off('drain', done).off('close', done)
    resolve()
  }
  socket.on('drain', done).on('close', done)
  return promise
}

function linesOf (text: string): Record<string, string> {
  return Object.fromEntries(text.split('\n').flatMap((line) => {
    const equals = line.indexOf('=')
    return equals < 1 ? [] : [[line.slice(0, equals), line.slice(equals + 1)]]
  }))
}
