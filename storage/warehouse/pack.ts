/** The port of one pack: what the swarm fetches and serves, what lazy reads and plain BitTorrent work on. Implemented in `storage/drivers/`. */
import type { Cancel } from '../../protocols/kit/index.ts'

export interface Pack {
  /** 40 hex digits: its torrent. */
  readonly infoHash: string
  /** Pieces that it has when whole. */
  readonly count: number
  /** Whether the piece is here and was found right. */
  has (index: number): boolean
  /** BitTorrent's bitfield: highest bit first. A copy. */
  bitfield (): Uint8Array
  /** A piece that is here, checked. Throws IMAGE_INCOMPLETE when it is not, GOLDEN_CORRUPT (and forgets it) when it is not what it was. */
  read (index: number, signal?: AbortSignal): Promise<Uint8Array>
  /** Checks SHA-256 and keeps it, durable enough that kill -9 loses at most the last second; false: not the piece. Throws DISK_FULL. */
  write (index: number, bytes: Uint8Array): Promise<boolean>
  /** Called after each piece that came. */
  onHave (fn: (index: number) => void): Cancel
}
