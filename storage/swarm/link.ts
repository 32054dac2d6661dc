/** One wire with one peer about one pack, once both have shaken hands. */
import type { PeerId } from '../../protocols/kit/index.ts'
import { BLOCKS_PER_PIECE, BLOCK_BYTES, PIECE_BYTES } from './constants.ts'
import type { PeerWire } from './peer-wire.ts'
import type { PickerPeer } from './picker-peer.ts'
import type { UploadPeer } from './uploader.ts'

/** Blocks of a piece, as they come. */
export class Assembly {
  readonly bytes: Uint8Array
  #got = 0

  constructor (bytes: Uint8Array) { this.bytes = bytes }

  /** False when it is no block of ours, or has come before. */
  put (offset: number, block: Uint8Array): boolean {
    const bit = 1 << (offset / BLOCK_BYTES)
    if (block.length !== BLOCK_BYTES || offset % BLOCK_BYTES !== 0 || offset + BLOCK_BYTES > PIECE_BYTES || (this.#got & bit) !== 0) return false
    this.bytes.set(block, offset)
    this.#got |= bit
    return true
  }

  get whole (): boolean { return this.#got === (1 << BLOCKS_PER_PIECE) - 1 }
}

export interface LinkStats {
  /** Bytes of pieces that came and were kept, that were sent, and that came twice, late or wrong. */
  downBytes: number
  upBytes: number
  wastedBytes: number
}

/** What is known of a peer about a pack while their wire stands. Holds no decision. */
export class Link {
  readonly peer: PeerId
  readonly wire: PeerWire
  /** We opened it. */
  readonly dialled: boolean
  readonly picked: PickerPeer
  readonly upload: UploadPeer
  readonly assemblies = new Map<number, Assembly>()
  readonly stats: LinkStats = { downBytes: 0, upBytes: 0, wastedBytes: 0 }
  /** It sent a wrong piece once: it is served, but asked nothing. */
  readonly neverAsk: boolean
  weWant = false
  theyWant = false
  gone = false
  /** Blocks in a row that we had not asked for; cancelled ones may be under way. */
  unasked = 0
  /** Being read from the pack for it. */
  readingBytes = 0
  heardAtMs: number
  /** Since when neither side wants anything; undefined while one does. */
  idleSinceMs: number | undefined

  constructor (init: { wire: PeerWire, dialled: boolean, picked: PickerPeer, upload: UploadPeer, neverAsk: boolean, nowMs: number }) {
    this.wire = init.wire
    this.peer = init.wire.peer
    this.dialled = init.dialled
    this.picked = init.picked
    this.upload = init.upload
    this.neverAsk = init.neverAsk
    this.heardAtMs = init.nowMs
    this.idleSinceMs = init.nowMs
  }

  get isComplete (): boolean { return this.picked.has.size === this.picked.has.count }

  /** Notes what each side wants, for `idleSinceMs`. */
  wants (change: { weWant?: boolean, theyWant?: boolean }, nowMs: number): void {
    this.weWant = change.weWant ?? this.weWant
    this.theyWant = change.theyWant ?? this.theyWant
    this.idleSinceMs = this.weWant || this.theyWant ? undefined : this.idleSinceMs ?? nowMs
  }
}
