/**
 * yamux that gives its peer new room when half of a stream's window is used, as yamux's specification suggests, instead of after every frame: each such
 * message is a TLS record, a packet and a turn of the other end's event loop of its own.
 */
import { yamux } from '@chainsafe/libp2p-yamux'
import type { YamuxMuxerInit } from '@chainsafe/libp2p-yamux'
import type { StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'

/** What is used of the library's streams and muxers beside their types; a test fails when it is not there any more. */
interface Windowed { state: number, recvWindow: number, recvWindowCapacity: number, sendWindowUpdate (): void }
interface Making { _newStream (...args: unknown[]): Windowed }

/** `StreamState.Established`: before, the message also opens or accepts the stream. */
const ESTABLISHED = 3

/** In the place of `yamux(init)`. */
export function sparingYamux (init: YamuxMuxerInit): () => StreamMuxerFactory {
  return () => {
    const factory = yamux(init)()
    return {
      protocol: factory.protocol,
      createStreamMuxer (connection): StreamMuxer {
        const muxer = factory.createStreamMuxer(connection)
        const making = muxer as unknown as Making
        const make = making._newStream.bind(muxer)
        making._newStream = (...args) => sparing(make(...args))
        return muxer
      }
    }
  }
}

function sparing (stream: Windowed): Windowed {
  const send = stream.sendWindowUpdate.bind(stream)
  stream.sendWindowUpdate = () => {
    if (stream.state === ESTABLISHED && stream.recvWindowCapacity > stream.recvWindow / 2) return
    send()
  }
  return stream
}
