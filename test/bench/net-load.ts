/**
 * Load for the network benchmark, in a namespace of its own: takes TCP flows and counts each, makes flows that send all they can, asks and answers
 * datagrams for round trips. Told what to do by messages, tells what it measured.
 */
import { createSocket } from 'node:dgram'
import { Socket, createServer } from 'node:net'
import { libc } from '../../node/net/libc.ts'

export type LoadOrder =
  | { do: 'serve', port: number }
  | { do: 'flows', to: string, port: number, count: number, congestion: string }
  | { do: 'ping', to: string, port: number, count: number, everyMs: number }
  | { do: 'figures' }
  | { do: 'quiet' }

const tell = (message: Record<string, unknown>): void => { process.send?.(message) }
const IPPROTO_TCP = 6
const TCP_CONGESTION = 13
const PIECE = Buffer.alloc(256 * 1024, 'plantmesh')
const LATE_MS = 2_000

const received: Array<{ bytes: number, open: boolean }> = []
const sending: Socket[] = []

function serve (port: number): void {
  const server = createServer((accepted) => {
    const flow = { bytes: 0, open: true }
    received.push(flow)
    accepted.on('data', (piece: Buffer) => { flow.bytes += piece.length })
    accepted.on('close', () => { flow.open = false })
    accepted.on('error', () => {}) // `close` follows.
  })
  server.listen(port)
  const echo = createSocket('udp4')
  echo.on('message', (bytes, from) => { echo.send(bytes, from.port, from.address) })
  echo.bind(port, () => { tell({ serving: true }) })
}

/** Flows that send until they are ended, with the algorithm that is asked for. */
async function flows (to: string, port: number, count: number, congestion: string): Promise<void> {
  const c = libc()
  if ('problem' in c) throw new Error(c.problem)
  await Promise.all(Array.from({ length: count }, async () => new Promise<void>((resolve, reject) => {
    const socket = new Socket()
    sending.push(socket)
    socket.on('error', reject)
    socket.connect(port, to, resolve)
  })))
  for (const socket of sending) {
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
    if (c.libc.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, Buffer.from(congestion), congestion.length) !== 0) throw new Error(`no ${congestion}`)
    const more = (): void => { while (!socket.destroyed && socket.write(PIECE)) { /* Until it is full. */ } }
    socket.on('drain', more)
    more()
  }
  tell({ flowing: count })
}

async function ping (to: string, port: number, count: number, everyMs: number): Promise<void> {
  const socket = createSocket('udp4')
  const sentMs = new Map<number, number>()
  const rttMs: number[] = []
  socket.on('message', (bytes) => {
    const at = sentMs.get(bytes.readUInt32BE())
    if (at === undefined) return
    sentMs.delete(bytes.readUInt32BE())
    rttMs.push(performance.now() - at)
  })
  for (let i = 0; i < count; i++) {
    const bytes = Buffer.alloc(64)
    bytes.writeUInt32BE(i)
    sentMs.set(i, performance.now())
    socket.send(bytes, port, to)
    await new Promise((resolve) => { setTimeout(resolve, everyMs) })
  }
  const fromMs = performance.now()
  while (sentMs.size > 0 && performance.now() - fromMs < LATE_MS) await new Promise((resolve) => { setTimeout(resolve, 10) })
  socket.close()
  tell({ rttMs, lost: sentMs.size })
}

async function act (order: LoadOrder): Promise<void> {
  if (order.do === 'serve') serve(order.port)
  else if (order.do === 'flows') await flows(order.to, order.port, order.count, order.congestion)
  else if (order.do === 'ping') await ping(order.to, order.port, order.count, order.everyMs)
  else if (order.do === 'figures') tell({ atMs: performance.now(), flowBytes: received.filter(({ open }) => open).map(({ bytes }) => bytes) })
  else {
    for (const socket of sending.splice(0)) socket.destroy()
    tell({ quiet: true })
  }
}

process.on('message', (order: LoadOrder) => { act(order).catch((error: unknown) => { tell({ failure: String(error) }) }) })
process.on('disconnect', () => { process.exit(0) })
tell({ ready: true })
