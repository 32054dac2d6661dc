/** SOCKS 5 on real sockets, into a network that is a server of the test's. */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { readSome } from '../../node/net/read-some.ts'
import type { RelayServer } from '../../node/net/relay-server.ts'
import { socksServer } from '../../node/net/socks.ts'
import { PlantError } from '../../protocols/kit/index.ts'

const limit = (): AbortSignal => AbortSignal.timeout(10_000)

/** Answers what it is told in capitals, and ends when its caller does. */
async function loudServer (): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (bytes: Buffer) => { socket.write(bytes.toString().toUpperCase()) })
    socket.on('end', () => { socket.end('BYE') })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => { server.close() })
  return server
}

async function proxy (failures: unknown[] = []): Promise<RelayServer> {
  const loud = await loudServer()
  const { port } = loud.address() as { port: number }
  const socks = await socksServer({ host: '127.0.0.1', port: 0 }, async (machine, wanted) => {
    if (machine === 'away') throw new PlantError('VM_UNREACHABLE', { problem: 'no answer within 10 s' })
    if (machine === '10.0.0.1') throw new PlantError('VM_UNREACHABLE', { problem: 'outside of 10.192.0.0/10' })
    if (machine !== 'web' && machine !== '10.192.0.7') throw new PlantError('NAME_UNKNOWN', { name: machine })
    if (wanted !== 80) throw new PlantError('VM_UNREACHABLE', { problem: 'refused: nothing listens there' })
    const there = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    await once(there, 'connect')
    return there
  }, (error) => { failures.push(error) })
  onTestFinished(() => { socks.stop() })
  return socks
}

async function caller ({ port }: RelayServer): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.on('error', () => {})
  onTestFinished(() => { socket.destroy() })
  await once(socket, 'connect')
  return socket
}

const toName = (name: string, port: number, command = 1): Buffer => Buffer.concat([Buffer.of(5, command, 0, 3, name.length), Buffer.from(name), Buffer.of(port >> 8, port & 0xff)])
const toAddress = (address: number[], port: number): Buffer => Buffer.of(5, 1, 0, 1, ...address, port >> 8, port & 0xff)

async function asked (socket: Socket, request: Buffer): Promise<number | undefined> {
  socket.write(Buffer.of(5, 2, 1, 0))
  expect(await readSome(socket, 2, limit())).toEqual(Buffer.of(5, 0))
  socket.write(request)
  return (await readSome(socket, 10, limit()))[1]
}

test('SOCKS connects by name and by address, and passes ends of either side on', async () => {
  const socks = await proxy()
  for (const request of [toName('web', 80), toAddress([10, 192, 0, 7], 80)]) {
    const socket = await caller(socks)
    expect(await asked(socket, request)).toBe(0)
    socket.write('hello')
    expect((await readSome(socket, 5, limit())).toString()).toBe('HELLO')
    socket.end()
    expect((await readSome(socket, 3, limit())).toString()).toBe('BYE')
  }
})

test('SOCKS says why it does not connect', async () => {
  const failures: unknown[] = []
  const socks = await proxy(failures)
  const replies = []
  for (const request of [toName('web', 81), toName('nobody', 80), toName('away', 80), toAddress([10, 0, 0, 1], 80), toName('web', 80, 2), Buffer.of(5, 1, 0, 4)]) replies.push(await asked(await caller(socks), request))
  expect(replies).toEqual([5, 4, 4, 3, 7, 8])
  expect(failures).toHaveLength(6)
})

test('SOCKS hangs up on what is not SOCKS, and bears with what comes in pieces', async () => {
  const socks = await proxy()
  const web = await caller(socks)
  web.write('GET / HTTP/1.1\r\n\r\n')
  await once(web.resume(), 'end')
  const insists = await caller(socks)
  insists.write(Buffer.of(5, 1, 2))
  expect(await readSome(insists, 2, limit())).toEqual(Buffer.of(5, 0xff))
  const slow = await caller(socks)
  for (const byte of [5, 1, 0, ...toName('web', 80)]) {
    slow.write(Buffer.of(byte))
    await new Promise((resolve) => { setImmediate(resolve) })
  }
  expect((await readSome(slow, 12, limit())).subarray(2, 4)).toEqual(Buffer.of(5, 0))
})
