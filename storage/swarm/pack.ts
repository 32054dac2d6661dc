/** The port that swarm, NBD and plain BitTorrent work on: the pieces of one pack. Storage implements it. */
import type { Cancel } from '../../protocols/kit/index.ts'

export interface Pack {
  /** SHA-1 of the pack's bencoded info dictionary, 40 lower-case hex digits. */
  readonly infoHash: string
  /** Pieces in the pack, each PIECE_BYTES long. */
  readonly count: number
  has (index: number): boolean
  /** BitTorrent's bitfield: highest bit first. */
  bitfield (): Uint8Array
  read (index: number, signal?: AbortSignal): Promise<Uint8Array>
  /** Checks SHA-256 and keeps it, durable enough that kill -9 loses at most the last second; false: not the piece. Throws DISK_FULL. */
  write (index: number, bytes: Uint8Array): Promise<boolean>
  onHave (fn: (index: number) => void): Cancel
}
