import type { Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@chainsafe/libp2p-yamux'
import { createLibp2p } from 'libp2p'
import type { Libp2p, Libp2pOptions } from 'libp2p'
import { afterEach, expect, test, vi } from 'vitest'
import { sparingYamux } from '../../node/drivers/mesh-muxer.ts'
import { socketTls } from '../../node/drivers/socket-tls.ts'
import { socketOf } from '../../node/net/socket-options.ts'

type Muxer = NonNullable<Libp2pOptions['streamMuxers']>[number]
const PROTOCOL = '/test/1.0.0'
const FRAME_BYTES = 1_000
const FRAMES = 4_000
const nodes: Libp2p[] = []
afterEach(async () => { for (const node of nodes.splice(0)) await node.stop() })

async function start (muxer: Muxer): Promise<Libp2p> {
  const node = await createLibp2p({ addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] }, transports: [tcp()], connectionEncrypters: [socketTls()], streamMuxers: [muxer], connectionMonitor: { enabled: false } })
  nodes.push(node)
  return node
}

/** Sends many frames one by one to a reader that stops now and then; what the reader's side said meanwhile. */
async function saidWhileReading (from: Libp2p, to: Libp2p): Promise<number> {
  let got = 0
  await to.handle(PROTOCOL, (stream) => {
    stream.addEventListener('message', ({ data }) => {
      got += data.byteLength
      if (Math.floor(got / 300_000) === Math.floor((got - data.byteLength) / 300_000)) return
      stream.pause()
      setTimeout(() => { stream.resume() }, 5)
    })
  })
  const stream: Stream = await from.dialProtocol(to.getMultiaddrs(), PROTOCOL)
  const socket = socketOf(from.getConnections(to.peerId)[0] ?? {})
  const before = socket?.bytesRead ?? 0
  for (let i = 1; i <= FRAMES; i++) {
    stream.send(new Uint8Array(FRAME_BYTES))
    // So that they go as frames of their own; the sender keeps far ahead of the window all the same.
    if (i % 10 === 0) await new Promise((resolve) => { setImmediate(resolve) })
  }
  await vi.waitFor(() => { expect(got).toBe(FRAMES * FRAME_BYTES) }, 30_000)
  return (socket?.bytesRead ?? 0) - before
}

test('a reader that gives room by halves says far less, and everything comes all the same', async () => {
  const often = await saidWhileReading(await start(yamux()), await start(yamux()))
  const sparing = await saidWhileReading(await start(sparingYamux({})), await start(sparingYamux({})))
  expect(sparing).toBeLessThan(often / 4)
})

test.each([['a sparing one', sparingYamux({}), yamux()], ['another', yamux(), sparingYamux({})]])('%s sends to one of the other kind', async (_, from, to) => {
  expect(await saidWhileReading(await start(from), await start(to))).toBeGreaterThan(0)
})
