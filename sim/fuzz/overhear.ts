/** What each shop asks of registrars and plants, and what it is told, overheard at its transport. */
import type { MessageStream, PeerId, Transport } from '../../protocols/kit/index.ts'
import type { PlantNodeComponents } from '../../node/composition/plant-node.ts'
import type { Compose } from '../world/plant.ts'

/** One thing that was said on a stream that a process opened; `opening` also where no stream comes of it. */
export interface Said { by: PeerId, to: PeerId, protocol: string, what: 'opening' | 'ask' | 'answer', bytes?: Uint8Array, stream?: object }

/** The same composition, with all streams that plants open told of. */
export function overheard (compose: Compose, protocols: readonly string[], onSaid: (said: Said) => void): Compose {
  return async (init, c, signal) => compose(init, { ...c, transport: listening(c.transport, protocols, onSaid) } satisfies PlantNodeComponents, signal)
}

function listening (transport: Transport, protocols: readonly string[], onSaid: (said: Said) => void): Transport {
  const by = transport.self
  return {
    self: by,
    handle: async (...args) => transport.handle(...args),
    connected: () => transport.connected(),
    onNeighbour: (fn) => transport.onNeighbour(fn),
    async open (to, protocol, limits, signal) {
      if (!protocols.includes(protocol)) return transport.open(to, protocol, limits, signal)
      onSaid({ by, to, protocol, what: 'opening' })
      const stream = await transport.open(to, protocol, limits, signal)
      const heard: MessageStream = {
        peer: stream.peer,
        protocol: stream.protocol,
        signal: stream.signal,
        close: async () => stream.close(),
        abort: (reason) => { stream.abort(reason) },
        async send (bytes) {
          onSaid({ by, to, protocol, what: 'ask', bytes, stream: heard })
          return stream.send(bytes)
        },
        async receive (options) {
          const bytes = await stream.receive(options)
          if (bytes !== undefined) onSaid({ by, to, protocol, what: 'answer', bytes, stream: heard })
          return bytes
        }
      }
      return heard
    }
  }
}
