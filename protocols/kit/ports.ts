/**
 * The ports: the only ways in which decisions reach the world. The daemon gives them real drivers (`node/drivers`), tests and the
 * simulator give them virtual ones. See ARCHITECTURE.md, "One program, two worlds".
 */
import type { PeerId } from './ids.ts'

/** Stops what was scheduled; calling it twice, or late, does nothing. */
export type Cancel = () => void

/** Time. Deadlines count in monotonic time, so that a wall clock that jumps neither expires nor prolongs anything. */
export interface Clock {
  /** Wall-clock time in milliseconds since 1970: for records, signatures and people. May jump. */
  nowMs (): number
  /** Time in milliseconds that never goes backwards and never jumps: for deadlines, leases and durations. */
  monotonicMs (): number
  /** Calls `fn` once, `ms` from now. */
  after (ms: number, fn: () => void): Cancel
}

/** Chance. Every use that must replay takes it from here. */
export interface Random {
  /** `count` random bytes. */
  bytes (count: number): Uint8Array
  /** An integer in `[0, below)`. */
  int (below: number): number
}

/** Digests and signatures (Ed25519, RFC 8032). Synchronous, so that cores may use it. */
export interface Crypto {
  sha256 (bytes: Uint8Array): Uint8Array
  /** True when `signature` is that of `publicKey` (32 raw bytes) over `bytes`; false for anything malformed. */
  verify (publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean
}

/** A private key that signs: a client's, a domain's or a plant's. */
export interface Signer {
  /** 32 raw bytes, Ed25519. */
  readonly publicKey: Uint8Array
  sign (bytes: Uint8Array): Uint8Array
}

/**
 * One conversation with a peer: whole messages in order, bounded and with back-pressure. Bytes are a length-prefixed frame on the wire
 * (`framing.ts`); a frame over the limit, a truncated frame or silence beyond the stream's deadline ends in a PlantError and resets it.
 */
export interface MessageStream {
  readonly peer: PeerId
  readonly protocol: string
  /** Resolves once the message is handed to the network and the send buffer is below its mark. */
  send (message: Uint8Array): Promise<void>
  /** As `send`, of one message in pieces; streams that have it spare putting them together. Use `sendPieces`. */
  sendPieces? (pieces: readonly Uint8Array[]): Promise<void>
  /** Its bytes pass through another peer, which may end it; a direct way may be found later. */
  readonly relayed?: boolean
  /** The next message, or undefined once the peer has closed its end. Throws PlantError `STREAM_*` on misbehaviour or time-out. */
  receive (options?: { timeoutMs?: number }): Promise<Uint8Array | undefined>
  /** Says that nothing more will be sent, and lets what was sent arrive. */
  close (): Promise<void>
  /** Ends both directions at once. */
  abort (reason: Error): void
  /** Aborted when the stream is gone, for whatever reason. */
  readonly signal: AbortSignal
}

export interface StreamLimits {
  /** A frame that announces more is refused before anything is allocated. */
  messageBytesMax: number
  /** How long `receive` waits for a message unless told otherwise. */
  idleTimeoutMs: number
  /** How many streams of this protocol may be open from all peers, and from one. Above: reset. */
  inboundMax: number
  inboundPerPeerMax: number
  /**
   * Streams of this protocol go over a connection of their own for each peer, which carries none of the others': those cannot hold them up. Transports
   * whose streams never hold each other up pass over it.
   */
  ownConnection?: true
  /** Bytes unsent above which `send` waits, where the stream's usual mark is too much. */
  sendMarkBytes?: number
}

/** How a stream is to be opened; a transport that knows only one way passes over it. */
export interface OpenHow {
  /** Where the peer is, as a multiaddr, when nobody else may know. */
  address?: string
  /** Not through a relay; PEER_UNREACHABLE when there is no other way. */
  direct?: true
}

export type StreamHandler = (stream: MessageStream) => Promise<void>

/** Streams to peers. */
export interface Transport {
  readonly self: PeerId
  /** Opens a stream; throws PlantError `PEER_UNREACHABLE` when the peer cannot be reached or does not speak the protocol. */
  open (peer: PeerId, protocol: string, limits: StreamLimits, signal?: AbortSignal, how?: OpenHow): Promise<MessageStream>
  /** Serves a protocol. The handler's errors reset the stream and are logged; they never end the process. */
  handle (protocol: string, limits: StreamLimits, handler: StreamHandler): Promise<Cancel>
  /** Peers with an open connection now. */
  connected (): PeerId[]
  /** Called on each new neighbour (connected) and each one lost. */
  onNeighbour (fn: (peer: PeerId, change: 'joined' | 'left') => void): Cancel
}

/** Gossip. Messages are signed by their author on the wire; `from` is the verified author, not the last hop. */
export interface PubSub {
  publish (topic: string, message: Uint8Array): Promise<void>
  /** The handler says whether the message is sound: `reject` scores the author down, `ignore` stops its spread. It must not throw. */
  subscribe (topic: string, handler: (from: PeerId, message: Uint8Array) => 'accept' | 'ignore' | 'reject'): Promise<Cancel>
}

/** The distributed hash table: who holds what. Keys are free-form short strings, namespaced by the caller (`vm/<vmid>`). */
export interface Directory {
  /** Says that this peer holds `key`; repeated by the driver while held. Resolves when stored at at least one other peer, or alone. */
  provide (key: string, signal?: AbortSignal): Promise<void>
  /** Stops repeating. */
  withdraw (key: string): void
  /** Peers that said so, nearest first as found; at most `max`. Empty when none. */
  find (key: string, max: number, signal?: AbortSignal): Promise<PeerId[]>
  /** Keeps a small self-certifying record (checked by the validator registered for its key's first segment). */
  put (key: string, value: Uint8Array, signal?: AbortSignal): Promise<void>
  get (key: string, signal?: AbortSignal): Promise<Uint8Array | undefined>
}

/** Structured log. Text that came from a peer goes into fields, never into the message. */
export interface Log {
  debug (fields: Record<string, unknown>, message: string): void
  info (fields: Record<string, unknown>, message: string): void
  warn (fields: Record<string, unknown>, message: string): void
  error (fields: Record<string, unknown>, message: string): void
}
