/** A hostile peer: a plain libp2p node that speaks the mesh's handshake and writes what bytes it likes into streams. */
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Mesh } from '../../node/drivers/libp2p-mesh.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { afterTest } from './mesh.ts'

export interface RawPeer { node: Libp2p, peer: PeerId, connection: Connection }

/** Connected with the plant; `encrypter` says by what. */
export async function rawPeer (to: Mesh, mesh = 'test', encrypter: 'tls' | 'noise' = 'tls'): Promise<RawPeer> {
  const node = await createLibp2p({
    transports: [tcp()],
    streamMuxers: [yamux({ maxOutboundStreams: 5_000 })],
    connectionEncrypters: [encrypter === 'tls' ? tls() : noise()],
    services: { identify: identify({ protocolPrefix: `plantmesh/${mesh}` }) }
  })
  afterTest(async () => { await node.stop() })
  const address = to.addresses()[0]
  if (address === undefined) throw new Error('the plant has no address')
  const connection = await node.dial(multiaddr(address))
  return { node, connection, peer: node.peerId.toString() as PeerId }
}
