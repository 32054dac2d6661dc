import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, ConnectionEncrypter, Libp2p, Stream } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import type { TLSComponents } from '@libp2p/tls'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { afterEach, expect, test, vi } from 'vitest'
import { socketTls } from '../../node/drivers/socket-tls.ts'
import { socketOf } from '../../node/net/socket-options.ts'

type Encrypter = (components: TLSComponents) => ConnectionEncrypter
const PROTOCOL = '/test/1.0.0'
const nodes: Libp2p[] = []
afterEach(async () => { for (const node of nodes.splice(0)) await node.stop() })

async function start (encrypter: Encrypter): Promise<Libp2p> {
  const node = await createLibp2p({ addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] }, transports: [tcp()], connectionEncrypters: [encrypter], streamMuxers: [yamux()], connectionManager: { inboundUpgradeTimeout: 2_000 } })
  nodes.push(node)
  return node
}

const portOf = (node: Libp2p): number => Number(/\/tcp\/(\d+)/.exec(node.getMultiaddrs()[0]?.toString() ?? '')?.[1])

/** Sends pieces of all sizes each way over one stream, and waits until both ends have all. */
async function talk (from: Libp2p, to: Libp2p): Promise<Connection> {
  const sizes = [1, 20, 16_384, 3, 200_000, 65_536, 7, 1_000_000]
  const total = sizes.reduce((sum, one) => sum + one, 0)
  const gather = (stream: Stream): { bytes: number, sum: number } => {
    const got = { bytes: 0, sum: 0 }
    stream.addEventListener('message', ({ data }) => {
      for (const piece of data instanceof Uint8Array ? [data] : data) for (const byte of piece) got.sum = (Math.imul(got.sum, 31) + byte) >>> 0
      got.bytes += data.byteLength
    })
    return got
  }
  const say = (stream: Stream): void => { for (const [i, size] of sizes.entries()) stream.send(new Uint8Array(size).fill(i + 1)) }
  const there = new Promise<{ bytes: number, sum: number }>((resolve) => {
    void to.handle(PROTOCOL, (stream) => {
      resolve(gather(stream))
      say(stream)
    })
  })
  const stream = await from.dialProtocol(to.getMultiaddrs(), PROTOCOL)
  const here = gather(stream)
  say(stream)
  const other = await there
  await vi.waitFor(() => { expect([here.bytes, other.bytes]).toEqual([total, total]) }, 20_000)
  expect(here.sum).toBe(other.sum)
  return from.getConnections(to.peerId)[0] as Connection
}

test.each([
  ['ours', 'ours', socketTls(), socketTls()],
  ['ours', 'libp2p\'s', socketTls(), tls()],
  ['libp2p\'s', 'ours', tls(), socketTls()]
])('%s dials %s: all bytes come, the muxer is chosen in the handshake, and the end is seen at both ends', async (_, __, dialler, listener) => {
  const [from, to] = [await start(dialler), await start(listener)]
  const connection = await talk(from, to)
  expect([connection.encryption, connection.multiplexer]).toEqual(['/tls/1.0.0', '/yamux/1.0.0'])
  expect(to.getConnections()[0]?.remotePeer.equals(from.peerId)).toBe(true)
  expect(socketOf(connection)?.remotePort).toBe(portOf(to))
  expect(socketOf(connection)?.bytesRead).toBeGreaterThan(1_000_000)
  await connection.close()
  await vi.waitFor(() => { expect([from.getConnections(), to.getConnections()]).toEqual([[], []]) })
})

test('an abort is seen at the other end', async () => {
  const [from, to] = [await start(socketTls()), await start(socketTls())]
  const connection = await talk(from, to)
  const socket = socketOf(connection)
  connection.abort(new Error('enough'))
  await vi.waitFor(() => { expect(to.getConnections()).toEqual([]) })
  expect(socket?.destroyed).toBe(true)
})

test('a connection that is cut is over at both ends', async () => {
  const [from, to] = [await start(socketTls()), await start(socketTls())]
  socketOf(await talk(from, to))?.destroy()
  await vi.waitFor(() => { expect([from.getConnections(), to.getConnections()]).toEqual([[], []]) })
})

test('a peer that is another than the one dialled is refused', async () => {
  const [from, to] = [await start(socketTls()), await start(socketTls())]
  const other = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
  await expect(from.dial(multiaddr(`/ip4/127.0.0.1/tcp/${portOf(to)}/p2p/${other.toString()}`))).rejects.toThrow()
  await vi.waitFor(() => { expect([from.getConnections(), to.getConnections()]).toEqual([[], []]) })
})

test.each([
  ['says nothing', (_: Socket) => {}],
  ['speaks no TLS', (socket: Socket) => { socket.write('\x13/multistream/1.0.0\n\x0b/tls/1.0.0\nno TLS at all, but some text that is long enough') }],
  ['leaves in the handshake', (socket: Socket) => { socket.end('\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n') }],
  ['sends too much before it', (socket: Socket) => { socket.write(Buffer.concat([Buffer.from('\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n'), Buffer.alloc(200_000)])) }]
])('a dialler that %s is let go, and others are still served', async (_, say) => {
  const to = await start(socketTls())
  const socket = connect(portOf(to), '127.0.0.1')
  socket.on('error', () => {}) // A reset is one way of being let go.
  const closed = new Promise((resolve) => { socket.once('close', resolve) })
  socket.resume()
  say(socket)
  await closed
  await talk(await start(socketTls()), to)
})

test('a listener that speaks no TLS is given up, in time', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {}) // The other end gives up by a reset.
    socket.write('\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n')
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const from = await start(socketTls())
  await expect(from.dial(multiaddr(`/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`), { signal: AbortSignal.timeout(1_000) })).rejects.toThrow()
  server.close()
})
