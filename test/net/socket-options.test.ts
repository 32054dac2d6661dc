import { connect, createServer, Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { congestionCheck, tapCheck } from '../../node/cli/doctor-network.ts'
import { socketOf, tryTuning, tuneSocket } from '../../node/net/socket-options.ts'

test('a socket is tuned as far as the kernel goes, which is what a try says', async () => {
  const server = createServer((socket) => { socket.resume() })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await new Promise((resolve) => { socket.once('connect', resolve) })
  const tuned = tuneSocket(socket)
  expect(tuned).toEqual({ congestion: expect.stringMatching(/^[a-z0-9_]+$/), notSentBytes: 128 * 1024 })
  expect(tuned).toEqual(tryTuning())
  socket.destroy()
  expect(tuneSocket(socket)).toEqual({ problem: 'the socket has no descriptor' })
  server.close()
})

test('only a connection over TCP has a socket', () => {
  const socket = new Socket()
  expect(socketOf({ maConn: { socket } })).toBe(socket)
  for (const other of [{}, { maConn: undefined }, { maConn: { socket: 7 } }]) expect(socketOf(other)).toBeUndefined()
  socket.destroy()
})

test('the doctor names the line that mends what a host lacks for networks', async () => {
  expect(congestionCheck({ congestion: 'cubic', notSentBytes: 1 })).toMatchObject({ state: 'warn', found: expect.stringContaining('cubic'), mend: expect.stringContaining('modprobe tcp_bbr') })
  expect(congestionCheck({ problem: 'the package koffi is not there' })).toMatchObject({ state: 'warn', mend: 'npm ci --include=optional' })
  expect(congestionCheck({ congestion: 'bbr', notSentBytes: 1 })).toEqual({ name: 'congestion', state: 'ok', found: 'tunnels run with bbr' })
  const { state, found, mend } = await tapCheck()
  expect(state === 'ok' ? found : mend).toMatch(/^[^\n]+$/)
})
