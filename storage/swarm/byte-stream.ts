/** The ports below the wires: streams of bytes to peers of the mesh, without messages. `node/drivers` has them over libp2p. */
import type { Cancel, PeerId } from '../../protocols/kit/index.ts'

export interface ByteEvents {
  /** Some bytes have come; the caller gives them away. */
  bytes (piece: Uint8Array): void
  /** Less is queued than before. */
  drained (): void
  /** The stream is gone, for whatever reason. Nothing comes after this. */
  gone (reason: Error | undefined): void
}

/** Bytes to and from one peer. Nothing is read before `listen`. */
export interface ByteStream {
  readonly peer: PeerId
  /** Bytes handed over and not yet with the network. */
  readonly queuedBytes: number
  listen (events: ByteEvents): void
  send (bytes: Uint8Array): void
  /** Stops reading until `resume`: the peer has to wait. */
  pause (): void
  resume (): void
  /** Ends both directions at once. */
  abort (reason: Error): void
}

export interface ByteStreamLimits {
  /** Streams of the protocol open from all peers, and from one. Above: reset. */
  inboundMax: number
  inboundPerPeerMax: number
}

export interface ByteTransport {
  readonly self: PeerId
  /** Throws PEER_UNREACHABLE when the peer cannot be reached or does not speak the protocol. */
  openBytes (peer: PeerId, protocol: string, signal: AbortSignal): Promise<ByteStream>
  handleBytes (protocol: string, limits: ByteStreamLimits, handler: (stream: ByteStream) => void): Promise<Cancel>
}
