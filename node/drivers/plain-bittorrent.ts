/**
 * Packs for BitTorrent clients outside the mesh, by webtorrent on a TCP port of its own: off unless a plant is told to open one. Only what the
 * plant holds whole is shared, nothing is fetched, and nothing is announced by itself: no DHT, no local discovery, no UPnP. Clients find the
 * plant, and each other, by the tracker that answers on the same port (`plain-tracker.ts`).
 */
import type { Server, Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { callbackify } from 'node:util'
import WebTorrent from 'webtorrent'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Cancel, Log } from '../../protocols/kit/index.ts'
import type { Pack } from '../../storage/warehouse/pack.ts'
import { PlainTracker } from './plain-tracker.ts'

export interface PlainBittorrentInit {
  /** Address and port to listen at; port 0 takes any that is free. */
  host: string
  port: number
  uploadBytesPerS?: number
  log: Log
}

/** Connections at once, of all clients together, and of one address: a client has one, and another for the tracker now and then. */
const CONNECTIONS_MAX = 128
const CONNECTIONS_PER_ADDRESS_MAX = 16
/** A connection that has said nothing by then is closed. */
const FIRST_BYTE_MS = 10_000
/** "G": HTTP's GET. BitTorrent begins with 19; its obfuscated form with random bytes, one in 2^32 of which would be taken for "GET ". */
const HTTP_FIRST = 'GET '

/** The bytes of a `.torrent` file for a pack, from its bencoded info dictionary; trackers are tried in the order in which they are given. */
export function torrentFile (info: Uint8Array, trackers: readonly string[] = []): Uint8Array {
  const text = (one: string): string => `${Buffer.byteLength(one)}:${one}`
  const [first] = trackers
  const head = first === undefined ? '' : `8:announce${text(first)}13:announce-listl${trackers.map((one) => `l${text(one)}e`).join('')}e`
  return Buffer.concat([Buffer.from(`d${head}4:info`), info, Buffer.from('e')])
}

/** What we use of webtorrent; its types are of an older version. */
interface Client {
  peerId: string
  add (torrent: Uint8Array, options: Record<string, unknown>, ready: (torrent: { infoHash: string }) => void): { on (event: 'error', fn: (error: Error) => void): void }
  remove (infoHash: string, options: Record<string, unknown>, done: (error?: Error) => void): void
  destroy (done: () => void): void
  on (event: 'error' | 'listening', fn: (error: Error) => void): void
  _connPool: { tcpServer: Server }
}

/** One port, any number of packs. */
export class PlainBittorrent {
  readonly port: number
  readonly #init: PlainBittorrentInit
  readonly #client: Client
  readonly #tracker: PlainTracker
  readonly #sockets = new Set<Socket>()

  private constructor (client: Client, init: PlainBittorrentInit) {
    this.#client = client
    this.#init = init
    const server = client._connPool.tcpServer
    const address = server.address()
    this.port = address !== null && typeof address === 'object' ? address.port : init.port
    this.#tracker = new PlainTracker({ peerId: client.peerId, port: () => this.port })
    const [toClient] = server.listeners('connection')
    server.removeAllListeners('connection')
    server.maxConnections = CONNECTIONS_MAX
    server.on('connection', (socket) => { this.#onConnection(socket, (one) => { toClient?.call(server, one) }) })
  }

  /** Resolves when it listens; throws CONFIG_INVALID when it cannot. */
  static async start (init: PlainBittorrentInit): Promise<PlainBittorrent> {
    const Client = WebTorrent as unknown as new (options: Record<string, unknown>) => Client
    const client = new Client({
      torrentPort: { host: init.host, port: init.port }, maxConns: CONNECTIONS_MAX, uploadLimit: init.uploadBytesPerS ?? -1, seedOutgoingConnections: false,
      dht: false, tracker: false, lsd: false, natUpnp: false, natPmp: false, utp: false, utPex: false, webSeeds: false
    })
    await new Promise<void>((resolve, reject) => {
      client.on('listening', () => { resolve() })
      client.on('error', (cause) => {
        init.log.warn({ error: cause }, 'the plain BitTorrent port failed')
        reject(new PlantError('CONFIG_INVALID', { field: 'bittorrent', found: `${init.host}:${init.port}`, problem: problemOf(cause) }, { cause }))
      })
    })
    return new PlainBittorrent(client, init)
  }

  /** Where clients may ask for others, nearest first. */
  get trackers (): string[] {
    const { host } = this.#init
    const hosts = host === '0.0.0.0' || host === '::' ? ownAddresses(host === '::') : [host]
    return hosts.map((one) => `http://${one.includes(':') ? `[${one}]` : one}:${this.port}/announce`)
  }

  /** Shares a pack that is here whole until cancelled; `info` is its bencoded info dictionary. */
  async share (pack: Pack, info: Uint8Array): Promise<Cancel> {
    for (let piece = 0; piece < pack.count; piece++) if (!pack.has(piece)) throw new PlantError('LIMIT', { bound: 'packs that are here whole', infoHash: pack.infoHash, missing: piece })
    const options = { store: storeOver(pack), storeCacheSlots: 0, skipVerify: true, deselect: true }
    const added = await new Promise<string>((resolve, reject) => {
      const torrent = this.#client.add(torrentFile(info), options, ({ infoHash }) => { resolve(infoHash) })
      torrent.on('error', (error) => {
        this.#init.log.warn({ infoHash: pack.infoHash, error }, 'a pack is not shared by plain BitTorrent any more')
        reject(error)
      })
    })
    this.#tracker.add(added)
    return () => {
      this.#tracker.remove(added)
      this.#client.remove(added, { destroyStore: false }, () => {})
    }
  }

  async stop (): Promise<void> {
    this.#tracker.close()
    const stopped = new Promise<void>((resolve) => { this.#client.destroy(resolve) })
    for (const socket of this.#sockets) socket.destroy()
    await stopped
  }

  /** Tells BitTorrent from HTTP by the first bytes. */
  #onConnection (socket: Socket, toClient: (socket: Socket) => void): void {
    const of = [...this.#sockets].filter(({ remoteAddress }) => remoteAddress === socket.remoteAddress).length
    if (socket.remoteAddress === undefined || of >= CONNECTIONS_PER_ADDRESS_MAX) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    const late = setTimeout(() => { socket.destroy() }, FIRST_BYTE_MS)
    socket.on('error', () => {}) // It closes, and that is all there is to do.
    socket.once('close', () => {
      clearTimeout(late)
      this.#sockets.delete(socket)
    })
    socket.once('data', (first) => {
      clearTimeout(late)
      socket.pause()
      socket.unshift(first)
      if (Buffer.from(first).toString('latin1', 0, HTTP_FIRST.length) === HTTP_FIRST) this.#tracker.take(socket)
      else toClient(socket)
      process.nextTick(() => { socket.resume() })
    })
  }
}

/** In words where the system's are none. */
function problemOf (cause: Error & { code?: string }): string {
  const words: Record<string, string> = { EADDRINUSE: 'the port is taken', EADDRNOTAVAIL: 'the address is not one of this host', ENOTFOUND: 'the host name is not known', EACCES: 'the port may not be opened by this user' }
  return words[cause.code ?? ''] ?? cause.message
}

/** Addresses of this host that others on its networks can reach it at; itself where there are none. */
function ownAddresses (withV6: boolean): string[] {
  const all = Object.values(networkInterfaces()).flatMap((one) => one ?? []).filter(({ internal, address }) => !internal && !address.startsWith('fe80'))
  const found = [...all.filter(({ family }) => family === 'IPv4'), ...all.filter(({ family }) => withV6 && family === 'IPv6')].map(({ address }) => address)
  return found.length > 0 ? found : ['127.0.0.1']
}

type Answer = (error: Error | null, bytes?: Uint8Array) => void

/** A pack as webtorrent's chunk store: read only. */
function storeOver (pack: Pack): new (length: number) => unknown {
  return class PackStore {
    readonly chunkLength: number
    constructor (length: number) { this.chunkLength = length }

    get (index: number, range: { offset?: number, length?: number } | Answer | undefined, answer: Answer = () => {}): void {
      const done = typeof range === 'function' ? range : answer
      const { offset = 0, length = this.chunkLength - offset } = typeof range === 'object' ? range : {}
      callbackify(async () => {
        const bytes = pack.has(index) ? await pack.read(index) : new Uint8Array()
        // The library lets clients ask for what lies beyond the piece: there may be other memory behind it.
        if (!(offset >= 0 && length > 0 && offset + length <= bytes.length)) throw new Error('a request for what is not in the piece')
        return Buffer.from(bytes.buffer, bytes.byteOffset + offset, length)
      })(done)
    }

    put (_index: number, _bytes: Uint8Array, done: Answer): void { done(new Error('a shared pack is not written')) }
    close (done: Answer = () => {}): void { done(null) }
    destroy (done: Answer = () => {}): void { done(null) }
  }
}
