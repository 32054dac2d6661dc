/** What we use of bittorrent-tracker's server; the package has no types of its own. */
import type { IncomingMessage, ServerResponse } from 'node:http'

/** A client, as it is told of to others. */
export interface TrackedPeer { ip: string, port: number, peerId: string }

/** One announce, checked by the package. */
export interface Announce { addr: string, ip: string, port: number, peer_id: string, left: number, event: string, numwant: number, httpReq: IncomingMessage }

/** The clients of one torrent; one of ours takes the place of the package's own. */
export interface TrackedSwarm {
  announce (announce: Announce, done: (error: Error | null, answer: { complete: number, incomplete: number, peers: TrackedPeer[] }) => void): void
}

/** The package's server, without a socket of its own: requests are handed to it. */
export class TrackerServer {
  constructor (options: { http: false, udp: false, ws: false, stats: false, interval: number, filter: (infoHash: string, announce: Announce, done: (refused: Error | null) => void) => void })

  /** By info hash in hex. */
  readonly torrents: Record<string, TrackedSwarm>
  onHttpRequest (request: IncomingMessage, response: ServerResponse): void
  close (): void
}
