/**
 * The tracker of the plain BitTorrent port, by bittorrent-tracker: tells clients of the packs that are shared there of this plant and of each other.
 * It answers on the same port, so that one address is all that a `.torrent` file has to say.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { TrackerServer } from './tracker-library.mjs'
import type { Announce, TrackedPeer, TrackedSwarm } from './tracker-library.mjs'

/** Clients ask again after so long, and are forgotten when they have not for three times that. */
const ANNOUNCE_EVERY_MS = 60_000
const FORGOTTEN_MS = 3 * ANNOUNCE_EVERY_MS
/** Clients remembered of one pack, the longest silent go first; of one address; and told of in one answer. */
const CLIENTS_MAX = 200
const CLIENTS_PER_ADDRESS_MAX = 8
const CLIENTS_TOLD_MAX = 30
/** A question and its answer are over by then, whoever asks. */
const REQUEST_MS = 10_000

/** Where this plant is, as the tracker tells it; the port is known once it listens. */
export interface TrackerSelf { peerId: string, port: () => number }

/** Answers announces for what was added, and no others. */
export class PlainTracker {
  readonly #self: TrackerSelf
  readonly #tracker: TrackerServer
  readonly #http = createServer({ keepAlive: false }, (request, response) => { this.#answer(request, response) })

  constructor (self: TrackerSelf) {
    this.#self = self
    this.#tracker = new TrackerServer({
      http: false, udp: false, ws: false, stats: false, interval: ANNOUNCE_EVERY_MS,
      filter: (infoHash, _announce, done) => { done(Object.hasOwn(this.#tracker.torrents, infoHash) ? null : new Error('this plant does not share that torrent')) }
    })
    this.#http.on('clientError', (_error, socket) => { socket.destroy() })
  }

  /** A connection that speaks HTTP. */
  take (socket: Socket): void {
    const late = setTimeout(() => { socket.destroy() }, REQUEST_MS)
    socket.once('close', () => { clearTimeout(late) })
    this.#http.emit('connection', socket)
  }

  add (infoHash: string): void { this.#tracker.torrents[infoHash] = new PackClients(this.#self) }

  remove (infoHash: string): void { delete this.#tracker.torrents[infoHash] }

  close (): void { this.#tracker.close() }

  #answer (request: IncomingMessage, response: ServerResponse): void {
    response.setHeader('connection', 'close')
    const isAnnounce = request.method === 'GET' && request.url?.startsWith('/announce?') === true
    // A link-local address means nothing to others, and its zone is more than the library can take.
    const isLinkLocal = [request.socket.remoteAddress, request.socket.localAddress].some((address) => address === undefined || address.includes('%'))
    if (isAnnounce && !isLinkLocal) this.#tracker.onHttpRequest(request, response)
    else response.writeHead(isAnnounce ? 403 : 404).end()
  }
}

/** The clients of one pack. */
class PackClients implements TrackedSwarm {
  readonly #self: TrackerSelf
  /** In the order in which they last asked. */
  readonly #clients = new Map<string, TrackedPeer & { isWhole: boolean, askedAtMs: number }>()

  constructor (self: TrackerSelf) { this.#self = self }

  announce ({ addr, ip, port, peer_id: peerId, left, event, httpReq }: Announce, done: Parameters<TrackedSwarm['announce']>[1]): void {
    const nowMs = performance.now()
    this.#clients.delete(addr)
    for (const [key, { askedAtMs }] of this.#clients) {
      if (this.#clients.size < CLIENTS_MAX && nowMs - askedAtMs < FORGOTTEN_MS) break
      this.#clients.delete(key)
    }
    const others = [...this.#clients.values()]
    if (event !== 'stopped' && others.filter((one) => one.ip === ip).length < CLIENTS_PER_ADDRESS_MAX) this.#clients.set(addr, { ip, port, peerId, isWhole: left === 0, askedAtMs: nowMs })
    // The plant is where the client has reached it, by whichever of its addresses; first, since some clients keep one peer of an address.
    const plant = { ip: (httpReq.socket.localAddress ?? '').replace(/^::ffff:/, ''), port: this.#self.port(), peerId: this.#self.peerId }
    const whole = others.filter(({ isWhole }) => isWhole).length
    done(null, { complete: 1 + whole, incomplete: others.length - whole, peers: [plant, ...others.slice(-CLIENTS_TOLD_MAX)] })
  }
}
