/**
 * Serves a BlockSource over NBD on a unix socket, for QEMU's own client: many connections, read-only. What a client does wrong ends its own
 * connection and no other. A client that goes calls off its reads; one that waits for a server that was killed finds the next one at the same path.
 */
import { chmod, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import type { Log } from '../../protocols/kit/index.ts'
import type { BlockSource } from '../nbd/block-source.ts'
import { CONNECTIONS_MAX, GOODBYE_WITHIN_MS, HANDSHAKE_WITHIN_MS, READS_BYTES_MAX } from '../nbd/constants.ts'
import { NbdSession, type NbdEffect, type NbdRead } from '../nbd/session.ts'

export interface NbdServerInit {
  /** Where it listens; short enough for unix(7), in a directory that is its owner's alone. What an earlier run left there is removed. */
  socketPath: string
  source: BlockSource
  log: Log
}

export interface NbdServer {
  readonly connections: number
  /** Closes all connections and calls off their reads; resolves when all have ended. Clients wait for the next server, as long as they were told to. */
  stop (): Promise<void>
}

/** Resolves when it listens. Throws what listen(2) says. */
export async function nbdServer ({ socketPath, source, log }: NbdServerInit): Promise<NbdServer> {
  await rm(socketPath, { force: true })
  const connections = new Set<Connection>()
  const server = createServer((socket) => {
    const connection = new Connection(socket, source, log)
    connections.add(connection)
    void connection.over.then(() => connections.delete(connection))
  })
  server.maxConnections = CONNECTIONS_MAX
  await listening(server, socketPath)
  await chmod(socketPath, 0o600)
  return {
    get connections () { return connections.size },
    stop: async () => {
      const closed = new Promise((resolve) => { server.close(resolve) })
      for (const connection of connections) connection.close()
      await Promise.all([closed, ...[...connections].map(async ({ over }) => { await over })])
    }
  }
}

async function listening (server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}

class Connection {
  readonly #socket: Socket
  readonly #source: BlockSource
  readonly #log: Log
  readonly #session: NbdSession
  readonly #gone = new AbortController()
  readonly #reads = new Set<Promise<void>>()
  /** Its socket is closed and its reads have ended. */
  readonly over: Promise<void>

  constructor (socket: Socket, source: BlockSource, log: Log) {
    this.#socket = socket
    this.#source = source
    this.#log = log
    this.#session = new NbdSession(source.bytes)
    const shaking = setTimeout(() => { if (!this.#session.chosen) this.#end('no command in time') }, HANDSHAKE_WITHIN_MS)
    // The close event follows, and it is all that counts.
    socket.on('error', () => {})
    this.over = new Promise<void>((resolve) => {
      socket.on('close', () => {
        clearTimeout(shaking)
        this.#session.onGone()
        this.#gone.abort(new Error('the client has gone'))
        void Promise.all(this.#reads).then(() => { resolve() })
      })
    })
    socket.on('data', (bytes: Buffer) => {
      this.#do(this.#session.onData(bytes))
      this.#heed()
    })
    socket.on('drain', () => { this.#heed() })
    this.#do(this.#session.onOpen())
  }

  close (): void { this.#socket.destroy() }

  /** Takes no more from a client that does not read its answers, or has as much open as it may. */
  #heed (): void {
    if (this.#session.full || this.#socket.writableLength > READS_BYTES_MAX) this.#socket.pause()
    else this.#socket.resume()
  }

  /** `sent` is called when all has left this process, or never will. */
  #do (effects: NbdEffect[], sent?: () => void): void {
    this.#socket.cork()
    for (const effect of effects) {
      switch (effect.type) {
        case 'send': this.#socket.write(effect.bytes); break
        case 'read': this.#begin(effect.read); break
        case 'end': this.#end(effect.why); break
        default: throw new Error(`no such effect: ${String(effect satisfies never)}`)
      }
    }
    if (sent !== undefined) this.#socket.write(new Uint8Array(), () => { sent() })
    this.#socket.uncork()
  }

  #begin (read: NbdRead): void {
    const reading = this.#read(read)
    this.#reads.add(reading)
    void reading.then(() => this.#reads.delete(reading))
  }

  async #read (read: NbdRead): Promise<void> {
    const effects = await this.#source.read(read.offset, read.length, this.#gone.signal).then((bytes) => {
      if (bytes.length !== read.length) throw new RangeError(`${bytes.length} bytes were read where ${read.length} were asked for`)
      return this.#session.onRead(read, bytes)
    }).catch((error: unknown) => {
      if (!this.#gone.signal.aborted) this.#log.error({ offset: read.offset, length: read.length, error: String(error) }, 'a part of a disk that is served cannot be read; its reader was told so')
      return this.#session.onReadFailed(read)
    })
    // What the client does not read stays open, and keeps its room.
    await new Promise<void>((resolve) => { this.#do(effects, resolve) })
    this.#do(this.#session.onReleased(read))
    this.#heed()
  }

  #end (why?: string): void {
    if (why !== undefined) this.#log.warn({ why }, 'a client of a served disk broke the protocol; its connection was closed')
    this.#socket.end(() => { this.#socket.destroy() })
    // A client that neither reads nor goes is not waited for.
    const lingering = setTimeout(() => { this.#socket.destroy() }, GOODBYE_WITHIN_MS)
    this.#socket.once('close', () => { clearTimeout(lingering) })
  }
}
