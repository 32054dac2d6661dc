import { Socket } from 'node:net'
import type { Connection } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { PULSE_EVERY_MS, PULSE_TIMEOUT_MS } from '../../node/drivers/mesh-limits.ts'
import { Pulse } from '../../node/drivers/mesh-pulse.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'

/** A connection that answers as the test says: at once, never, or with a failure. */
function fakeConnection (answer: 'at once' | 'never' | 'closed', heard: () => number = () => 0): { connection: Connection, asked: () => number, ended: () => unknown } {
  let asked = 0
  let ended: unknown
  const socket = Object.defineProperty(new Socket(), 'bytesRead', { get: heard })
  const ping = async ({ signal }: { signal: AbortSignal }): Promise<void> => {
    asked++
    if (answer === 'closed') throw new Error('the muxer is closed')
    if (answer === 'never') await new Promise((_, reject) => { signal.addEventListener('abort', () => { reject(signal.reason as Error) }) })
  }
  const connection = { remotePeer: 'peer', maConn: { socket }, muxer: { ping }, abort: (error: Error) => { ended = error.message } }
  return { connection: connection as unknown as Connection, asked: () => asked, ended: () => ended }
}

function beating (...connections: Connection[]): { clock: FakeClock, pulse: Pulse } {
  const clock = new FakeClock(0)
  const pulse = new Pulse({ node: { getConnections: () => connections }, clock, log: fakeLog() })
  pulse.start()
  return { clock, pulse }
}

test('a connection that answers is asked again and again, until the mesh stops', async () => {
  const { connection, asked, ended } = fakeConnection('at once')
  const { clock, pulse } = beating(connection)
  await clock.advance(PULSE_EVERY_MS * 5)
  expect([asked(), ended()]).toEqual([5, undefined])
  pulse.stop()
  await clock.advance(PULSE_EVERY_MS * 5)
  expect(asked()).toBe(5)
})

test('one that does not answer is ended in time, others are not', async () => {
  const [dead, alive] = [fakeConnection('never'), fakeConnection('at once')]
  const { clock } = beating(dead.connection, alive.connection)
  await clock.advance(PULSE_EVERY_MS + PULSE_TIMEOUT_MS - 1)
  expect(dead.ended()).toBeUndefined()
  await clock.advance(1)
  expect([dead.ended(), alive.ended()]).toEqual(['no answer in time', undefined])
})

test('one whose answer waits behind other bytes stays, and is ended once none come', async () => {
  let heard = 0
  const { connection, ended } = fakeConnection('never', () => heard)
  const { clock } = beating(connection)
  for (let i = 0; i < 10; i++) {
    await clock.advance(PULSE_EVERY_MS / 2)
    heard++
  }
  expect(ended()).toBeUndefined()
  await clock.advance(PULSE_EVERY_MS * 2 + PULSE_TIMEOUT_MS)
  expect(ended()).toBe('no answer in time')
})

test('one that is closed already is let go, and one without a muxer is left alone', async () => {
  const closed = fakeConnection('closed')
  const bare = { remotePeer: 'peer', abort: () => { throw new Error('not asked for') } } as unknown as Connection
  const { clock } = beating(closed.connection, bare)
  await clock.advance(PULSE_EVERY_MS)
  expect(closed.ended()).toBe('the muxer is closed')
})
