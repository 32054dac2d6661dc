/**
 * Packs for BitTorrent clients outside the mesh, by webtorrent on a TCP port of its own: off unless a plant is told to open one. Only what the
 * plant holds whole is shared, nothing is fetched, and nothing is announced by itself: no DHT, no tracker, no local discovery, no UPnP.
 */
import type { Server } from 'node:net'
import { callbackify } from 'node:util'
import WebTorrent from 'webtorrent'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Cancel, Log } from '../../protocols/kit/index.ts'
import type { Pack } from '../../storage/warehouse/pack.ts'

export interface PlainBittorrentInit {
  /** Address and port to listen at; port 0 takes any that is free. */
  host: string
  port: number
  uploadBytesPerS?: number
  log: Log
}

/** Clients connected at once. */
const CONNECTIONS_MAX = 55

/** The bytes of a `.torrent` file for a pack, from its bencoded info dictionary. */
export function torrentFile (info: Uint8Array, announce?: string): Uint8Array {
  const tracker = announce === undefined ? '' : `8:announce${Buffer.byteLength(announce)}:${announce}`
  return Buffer.concat([Buffer.from(`d${tracker}4:info`), info, Buffer.from('e')])
}

/** What we use of webtorrent; its types are of an older version. */
interface Client {
  add (torrent: Uint8Array, options: Record<string, unknown>, ready: (torrent: { infoHash: string }) => void): void
  remove (infoHash: string, options: Record<string, unknown>, done: (error?: Error) => void): void
  destroy (done: () => void): void
  on (event: 'error' | 'listening', fn: (error: Error) => void): void
  _connPool: { tcpServer: Server }
}

/** One port, any number of packs. */
export class PlainBittorrent {
  readonly port: number
  readonly #client: Client

  private constructor (client: Client, port: number) {
    this.#client = client
    this.port = port
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
        reject(new PlantError('CONFIG_INVALID', { field: 'bittorrent', found: `${init.host}:${init.port}`, problem: cause.message }, { cause }))
      })
    })
    const address = client._connPool.tcpServer.address()
    return new PlainBittorrent(client, address !== null && typeof address === 'object' ? address.port : init.port)
  }

  /** Shares a pack that is here whole until cancelled; `info` is its bencoded info dictionary. */
  async share (pack: Pack, info: Uint8Array): Promise<Cancel> {
    for (let piece = 0; piece < pack.count; piece++) if (!pack.has(piece)) throw new PlantError('LIMIT', { bound: 'packs that are here whole', infoHash: pack.infoHash, missing: piece })
    const options = { store: storeOver(pack), storeCacheSlots: 0, skipVerify: true, deselect: true }
    const added = await new Promise<string>((resolve) => { this.#client.add(torrentFile(info), options, ({ infoHash }) => { resolve(infoHash) }) })
    return () => { this.#client.remove(added, { destroyStore: false }, () => {}) }
  }

  async stop (): Promise<void> { await new Promise<void>((resolve) => { this.#client.destroy(resolve) }) }
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
        const bytes = await pack.read(index)
        return Buffer.from(bytes.buffer, bytes.byteOffset + offset, length)
      })(done)
    }

    put (_index: number, _bytes: Uint8Array, done: Answer): void { done(new Error('a shared pack is not written')) }
    close (done: Answer = () => {}): void { done(null) }
    destroy (done: Answer = () => {}): void { done(null) }
  }
}
