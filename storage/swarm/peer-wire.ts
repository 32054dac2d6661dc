/** The port of BitTorrent's peer wire protocol (BEP 3, 6, 10) with one peer. `node/drivers` has it by bittorrent-protocol's Wire. */
import type { PeerId } from '../../protocols/kit/index.ts'
import type { ByteStream } from './byte-stream.ts'
import type { BlockRequest } from './uploader.ts'

export interface WireEvents {
  handshake (infoHash: string): void
  bitfield (bits: Uint8Array | 'all'): void
  have (piece: number): void
  choked (choked: boolean): void
  interested (interested: boolean): void
  request (piece: number, request: BlockRequest): void
  cancel (piece: number, offset: number): void
  /** The bytes are the receiver's only until it returns. */
  block (piece: number, offset: number, bytes: Uint8Array): void
  refused (piece: number): void
  drained (): void
  /** Nothing comes after this. */
  gone (reason: Error | undefined): void
}

export interface PeerWire {
  readonly peer: PeerId
  /** Bytes on their way to the network. */
  readonly queuedBytes: number
  /** Begins to read. */
  listen (events: WireEvents): void
  handshake (infoHash: string): void
  bitfield (bits: Uint8Array): void
  have (piece: number): void
  choke (choke: boolean): void
  interested (interested: boolean): void
  request (piece: number, offset: number, length: number): void
  cancel (piece: number, offset: number, length: number): void
  abort (reason: Error): void
}

export type WireMaker = (stream: ByteStream) => PeerWire
