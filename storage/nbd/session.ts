/**
 * One NBD connection as the server sees it (fixed newstyle, read-only, simple replies). Bytes go in, effects come out; it never waits.
 *
 *     flags --client's flags--> options --EXPORT_NAME, GO--> commands --DISC, garbage--> over
 *       '---------garbage, ABORT---------'------------------------------------------------^
 *
 * What comes is taken as far as the bounds on open reads allow; the rest waits (`full`), and its sender with it.
 */
import { COMMAND, ERROR, FLAG_FIXED_NEWSTYLE, FLAG_NO_ZEROES, OPTION, OPTIONS_MAX, OPTION_BYTES_MAX, READS_BYTES_MAX, READS_MAX, READ_BYTES_MAX, REPLY } from './constants.ts'
import { CLIENT_FLAGS_BYTES, OPTION_HEAD_BYTES, REQUEST_BYTES, exportAnswer, exportInfo, greeting, infoRequest, listedExport, optionHead, optionReply, request, simpleReply, type OptionHead, type Request } from './wire.ts'

/** A read that is to be answered by `onRead` or `onReadFailed`, and then released. */
export interface NbdRead { readonly cookie: bigint, readonly offset: number, readonly length: number }

/** `end`: what was sent goes out, then the connection is closed; `why` says what the client did wrong. */
export type NbdEffect = { type: 'send', bytes: Uint8Array } | { type: 'read', read: NbdRead } | { type: 'end', why?: string }

type State = 'flags' | 'options' | 'commands' | 'over'

/** A connection's state; its owner carries out the effects in order. A client that breaks the protocol ends it by an effect, never by a throw. */
export class NbdSession {
  readonly #exportBytes: number
  #state: State = 'flags'
  #noZeroes = false
  #options = 0
  /** Of what came and is not taken yet. */
  #begun: Uint8Array = new Uint8Array()
  /** Data of a refused write that is still to come, and is dropped. */
  #skipBytes = 0
  readonly #open = new Set<NbdRead>()
  #openBytes = 0

  constructor (exportBytes: number) { this.#exportBytes = exportBytes }

  /** What is sent first. */
  onOpen (): NbdEffect[] { return [{ type: 'send', bytes: greeting() }] }

  /** The client may send commands: it has chosen the export. */
  get chosen (): boolean { return this.#state === 'commands' }

  /** Nothing more is to be taken from the client until reads have been released. */
  get full (): boolean { return this.#open.size >= READS_MAX || this.#openBytes >= READS_BYTES_MAX }

  /** The client has gone: nothing more comes of it. */
  onGone (): void {
    this.#state = 'over'
    this.#begun = new Uint8Array()
  }

  /** Takes what has come, as far as may be. */
  onData (bytes: Uint8Array): NbdEffect[] {
    if (this.#state === 'over') return []
    this.#begun = this.#begun.length === 0 ? bytes : joined(this.#begun, bytes)
    return this.#go()
  }

  /** The bytes of a read are there. Its room is held until it is released. */
  onRead (read: NbdRead, bytes: Uint8Array): NbdEffect[] {
    return this.#state === 'over' ? [] : [{ type: 'send', bytes: simpleReply(read.cookie, ERROR.none) }, { type: 'send', bytes }]
  }

  /** They will never be. */
  onReadFailed (read: NbdRead): NbdEffect[] { return this.#state === 'over' ? [] : [refusal(read.cookie, ERROR.io)] }

  /** The answer has gone out: there is room for others. */
  onReleased (read: NbdRead): NbdEffect[] {
    if (!this.#open.delete(read)) return []
    this.#openBytes -= read.length
    return this.#go()
  }

  #go (): NbdEffect[] {
    const effects: NbdEffect[] = []
    for (;;) {
      const more = this.#next()
      if (more === undefined) return effects
      effects.push(...more)
    }
  }

  /** What follows from the next whole message, or undefined when there is none to be taken now. */
  #next (): NbdEffect[] | undefined {
    switch (this.#state) {
      case 'flags': return this.#onFlags(this.#take(CLIENT_FLAGS_BYTES))
      case 'options': return this.#nextOption()
      case 'commands': return this.#nextCommand()
      case 'over': return undefined
      default: throw new Error(`no such state: ${String(this.#state satisfies never)}`)
    }
  }

  #onFlags (bytes: Uint8Array | undefined): NbdEffect[] | undefined {
    if (bytes === undefined) return undefined
    const flags = numberOf(bytes)
    if ((flags & ~(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)) !== 0) return this.#end('unknown flags')
    this.#noZeroes = (flags & FLAG_NO_ZEROES) !== 0
    this.#state = 'options'
    return []
  }

  #nextOption (): NbdEffect[] | undefined {
    if (this.#begun.length < OPTION_HEAD_BYTES) return undefined
    const head = optionHead(this.#begun)
    if (head === undefined) return this.#end('not an option')
    if (head.length > OPTION_BYTES_MAX) return this.#end('an option that is too long')
    const whole = this.#take(OPTION_HEAD_BYTES + head.length)
    if (whole === undefined) return undefined
    if (++this.#options > OPTIONS_MAX) return this.#end('too many options')
    return this.#onOption(head, whole.subarray(OPTION_HEAD_BYTES))
  }

  #onOption ({ option }: OptionHead, data: Uint8Array): NbdEffect[] {
    switch (option) {
      case OPTION.exportName:
        if (data.length > 0) return this.#end('an unknown export') // The specification has no other answer.
        this.#state = 'commands'
        return [{ type: 'send', bytes: exportAnswer(this.#exportBytes, this.#noZeroes) }]
      case OPTION.abort:
        this.#state = 'over'
        return [answer(option, REPLY.ack), { type: 'end' }]
      case OPTION.list:
        return data.length > 0 ? [answer(option, REPLY.errInvalid)] : [{ type: 'send', bytes: listedExport(option) }, answer(option, REPLY.ack)]
      case OPTION.info:
      case OPTION.go:
        return this.#onInfo(option, data)
      default:
        return [answer(option, REPLY.errUnsup)]
    }
  }

  #onInfo (option: number, data: Uint8Array): NbdEffect[] {
    const asked = infoRequest(data)
    if (asked === undefined) return [answer(option, REPLY.errInvalid)]
    if (asked.name.length > 0) return [answer(option, REPLY.errUnknown)]
    if (option === OPTION.go) this.#state = 'commands'
    return [...exportInfo(option, this.#exportBytes, asked.wanted).map((bytes): NbdEffect => ({ type: 'send', bytes })), answer(option, REPLY.ack)]
  }

  #nextCommand (): NbdEffect[] | undefined {
    if (this.#skipBytes > 0) {
      const dropped = Math.min(this.#skipBytes, this.#begun.length)
      this.#begun = this.#begun.subarray(dropped)
      this.#skipBytes -= dropped
    }
    if (this.#skipBytes > 0 || this.full) return undefined
    const bytes = this.#take(REQUEST_BYTES)
    if (bytes === undefined) return undefined
    const asked = request(bytes)
    return asked === undefined ? this.#end('not a request') : this.#onRequest(asked)
  }

  #onRequest ({ command, cookie, offset, length }: Request): NbdEffect[] {
    switch (command) {
      case COMMAND.read: {
        if (offset + BigInt(length) > BigInt(this.#exportBytes)) return [refusal(cookie, ERROR.inval)]
        if (length > READ_BYTES_MAX) return [refusal(cookie, ERROR.overflow)]
        const read = { cookie, offset: Number(offset), length }
        this.#open.add(read)
        this.#openBytes += length
        return [{ type: 'read', read }]
      }
      case COMMAND.disconnect:
        this.#state = 'over'
        return [{ type: 'end' }]
      case COMMAND.write:
        if (length > READ_BYTES_MAX) return this.#end('a write that is too long')
        this.#skipBytes = length
        return [refusal(cookie, ERROR.perm)]
      case COMMAND.trim:
      case COMMAND.writeZeroes:
      case COMMAND.resize:
        return [refusal(cookie, ERROR.perm)]
      default:
        return [refusal(cookie, ERROR.inval)]
    }
  }

  #end (why: string): NbdEffect[] {
    this.onGone()
    return [{ type: 'end', why }]
  }

  #take (length: number): Uint8Array | undefined {
    if (this.#begun.length < length) return undefined
    const taken = this.#begun.subarray(0, length)
    this.#begun = this.#begun.subarray(length)
    return taken
  }
}

function answer (option: number, kind: number): NbdEffect { return { type: 'send', bytes: optionReply(option, kind) } }

function refusal (cookie: bigint, error: number): NbdEffect { return { type: 'send', bytes: simpleReply(cookie, error) } }

function numberOf (bytes: Uint8Array): number { return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) }

function joined (a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}
