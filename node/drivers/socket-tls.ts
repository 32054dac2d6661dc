/**
 * libp2p's TLS 1.3 (`/tls/1.0.0`: the same certificates, checks and bytes on the wire as @libp2p/tls, whose functions do them) on the TCP socket itself. @libp2p/tls
 * puts Node's TLS on a stream made of JavaScript, so that each record crosses it twice and each piece of a message is a record of its own; here the
 * kernel's socket is read and written by Node's TLS, and what is sent in one go is one write. Streams without a socket (relays) get @libp2p/tls.
 */
import { Socket } from 'node:net'
import { TLSSocket, connect } from 'node:tls'
import type { ConnectionEncrypter, MessageStream, PeerId, SecureConnectionOptions, SecuredConnection, StreamMessageEvent, StreamMuxerFactory } from '@libp2p/interface'
import { PROTOCOL, tls } from '@libp2p/tls'
import type { TLSComponents } from '@libp2p/tls'
import { generateCertificate, toMessageStream, verifyPeerCertificate } from '@libp2p/tls/utils'

/** What a peer may have sent before our certificate is made: its first flight, a few hundred bytes. */
const EARLY_BYTES_MAX = 64 * 1024
/** By ALPN: a muxer that both speak, or this for none. */
const NO_MUXER = 'libp2p'

/** In the place of `tls()`. */
export function socketTls (): (components: TLSComponents) => ConnectionEncrypter {
  return (components) => new SocketTls(components)
}

class SocketTls implements ConnectionEncrypter {
  readonly protocol = PROTOCOL
  readonly #c: TLSComponents
  readonly #onStreams: ConnectionEncrypter

  constructor (components: TLSComponents) {
    this.#c = components
    this.#onStreams = tls()(components)
  }

  async secureInbound (connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    const socket = socketOf(connection)
    return socket === undefined ? this.#onStreams.secureInbound(connection, options) : this.#secure(connection, socket, true, options)
  }

  async secureOutbound (connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    const socket = socketOf(connection)
    return socket === undefined ? this.#onStreams.secureOutbound(connection, options) : this.#secure(connection, socket, false, options)
  }

  async #secure (connection: MessageStream, socket: Socket, isServer: boolean, options: SecureConnectionOptions = {}): Promise<SecuredConnection> {
    const muxers = options.skipStreamMuxerNegotiation === true ? new Map<string, StreamMuxerFactory>() : this.#c.upgrader.getStreamMuxers()
    const early = keepEarly(connection)
    const certificate = await generateCertificate(this.#c.privateKey, options)
    options.signal?.throwIfAborted()
    const secure = {
      ...certificate,
      minVersion: 'TLSv1.3' as const,
      maxVersion: 'TLSv1.3' as const,
      // The certificate is the peer's own; who it is stands in an extension of it, which is checked below.
      rejectUnauthorized: false
    }
    const choose = ({ protocols }: { protocols: string[] }): string | undefined => protocols.find((one) => muxers.has(one)) ?? protocols.find((one) => one === NO_MUXER)
    takeOver(socket, early())
    const encrypted = isServer
      ? new TLSSocket(socket, { ...secure, isServer, requestCert: true, ALPNCallback: choose })
      : connect({ socket, ...secure, ALPNProtocols: [...muxers.keys(), NO_MUXER] })
    const remotePeer = await handshake(encrypted, connection, options)
    const muxer = muxers.get(encrypted.alpnProtocol || NO_MUXER)
    return { remotePeer, connection: inOneWrite(toMessageStream(connection, encrypted), encrypted), ...(muxer !== undefined && { streamMuxer: muxer }) }
  }
}

/** The TCP socket under a connection that is not encrypted yet; libp2p's TCP transport keeps it under this name, which is not in its types. */
function socketOf (connection: MessageStream): Socket | undefined {
  const { socket } = connection as { socket?: unknown }
  return socket instanceof Socket && !socket.destroyed ? socket : undefined
}

/** Keeps what comes on the connection from now on; what is returned ends that, and gives it. */
function keepEarly (connection: MessageStream): () => Uint8Array[] {
  const pieces: Uint8Array[] = []
  let bytes = 0
  const keep = ({ data }: StreamMessageEvent): void => {
    bytes += data.byteLength
    if (bytes > EARLY_BYTES_MAX) connection.abort(new Error('too much before the handshake'))
    else pieces.push(data instanceof Uint8Array ? data : data.subarray())
  }
  connection.addEventListener('message', keep)
  return () => {
    connection.removeEventListener('message', keep)
    return pieces
  }
}

/** From here on the socket's bytes are TLS's: the connection hears no more of them, and those that it had are put back. */
function takeOver (socket: Socket, early: Uint8Array[]): void {
  socket.pause()
  socket.removeAllListeners('data')
  for (const piece of early.toReversed()) socket.unshift(piece)
}

/** Resolves with the peer's id once its certificate holds; ends the connection otherwise. */
async function handshake (encrypted: TLSSocket, connection: MessageStream, { signal, remotePeer }: SecureConnectionOptions): Promise<PeerId> {
  const onAbort = (): void => { encrypted.destroy(new Error('the TLS handshake took too long')) }
  try {
    return await new Promise<PeerId>((resolve, reject) => {
      // Also for errors after the handshake: the connection ends then, and says why.
      encrypted.on('error', (error) => {
        connection.abort(error)
        reject(error)
      })
      encrypted.once('close', () => { reject(new Error('closed in the TLS handshake')) })
      encrypted.once('secure', () => {
        const { raw } = encrypted.getPeerCertificate() as { raw?: Buffer }
        if (raw === undefined) reject(new Error('the peer sent no certificate'))
        else verifyPeerCertificate(raw, remotePeer).then(resolve, reject)
      })
      signal?.addEventListener('abort', onAbort, { once: true })
      if (signal?.aborted === true) onAbort()
    })
  } catch (error) {
    encrypted.destroy()
    connection.abort(error instanceof Error ? error : new Error(String(error)))
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

/** A list of pieces becomes one write: one record and one segment for a small message, instead of one for each piece. */
function inOneWrite (stream: MessageStream, encrypted: TLSSocket): MessageStream {
  const inside = stream as MessageStream & { sendData: (data: unknown) => unknown }
  const sendData = inside.sendData.bind(inside)
  inside.sendData = (data) => {
    encrypted.cork()
    try {
      return sendData(data)
    } finally {
      encrypted.uncork()
    }
  }
  return stream
}
