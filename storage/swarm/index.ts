/** The swarm: packs of pieces, served to other plants and fetched from them. See README.md. */
import { Swarm } from './swarm.ts'
import type { SwarmComponents, SwarmInit } from './swarm.ts'

export type { ByteEvents, ByteStream, ByteStreamLimits, ByteTransport } from './byte-stream.ts'
export type { Providers } from './dialler.ts'
export type { FetchProgress } from './download.ts'
export type { Pack } from '../warehouse/pack.ts'
export type { PeerWire, WireEvents, WireMaker } from './peer-wire.ts'
export type { Fetch, FetchInit, PeerFigures, Swarm, SwarmComponents, SwarmInit, WrongPiece } from './swarm.ts'

/** A plant's swarm; `start` it to be reached by others. */
export function swarm (init: SwarmInit = {}): (components: SwarmComponents) => Swarm {
  return (components) => new Swarm(components, init)
}
