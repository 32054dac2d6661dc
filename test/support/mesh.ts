/** Real meshes on loopback for tests: nodes are stopped after each test, whatever it did. */
import { createServer } from 'node:net'
import { afterEach } from 'vitest'
import { makeKey } from '../../node/drivers/key-file.ts'
import { startMesh } from '../../node/drivers/libp2p-mesh.ts'
import type { Mesh, MeshInit } from '../../node/drivers/libp2p-mesh.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { SystemRandom } from '../../node/drivers/system-random.ts'
import { capacity } from '../../protocols/capacity/index.ts'
import type { Capacity, PlantAd } from '../../protocols/capacity/index.ts'
import type { Log } from '../../protocols/kit/index.ts'
import { adOf } from './capacity.ts'

export const quietLog: Log = { debug () {}, info () {}, warn () {}, error () {} }

/** Says all that is logged on stderr; for finding out, not for tests that stay. */
export const loudLog: Log = {
  debug (fields, message) { console.error('debug', message, fields) },
  info (fields, message) { console.error('info', message, fields) },
  warn (fields, message) { console.error('warn', message, fields) },
  error (fields, message) { console.error('error', message, fields) }
}

const toStop = new Set<() => Promise<void>>()

afterEach(async () => {
  const stops = [...toStop]
  toStop.clear()
  for (const stop of stops.toReversed()) await stop()
})

/** Undone after the test. */
export function afterTest (stop: () => Promise<void>): void { toStop.add(stop) }

/** A mesh node on loopback without mDNS, unless told otherwise. */
export async function meshNode (init: Partial<MeshInit> = {}): Promise<Mesh> {
  const mesh = await startMesh({
    key: makeKey(), listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [], mesh: 'test', mdns: false, clock: new SystemClock(), log: quietLog, ...init
  })
  afterTest(mesh.stop)
  return mesh
}

/** So many nodes, each bootstrapped with the first. */
export async function meshOf (count: number, init: Partial<MeshInit> = {}): Promise<Mesh[]> {
  const first = await meshNode(init)
  const others = await Promise.all(Array.from({ length: count - 1 }, async () => meshNode({ ...init, bootstrap: first.addresses() })))
  return [first, ...others]
}

/**
 * An address on loopback that is free and stays so: below the ports that the kernel gives to outgoing connections (32768 and up), one of
 * which may otherwise take a port between two uses of it.
 */
export async function fixedAddress (): Promise<string> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => { resolve(false) })
      server.listen(port, '127.0.0.1', () => { server.close(() => { resolve(true) }) })
    })
    if (free) return `/ip4/127.0.0.1/tcp/${port}`
  }
}

/** Waits until the condition holds; fails with its description after `withinMs`. Returns how long it took. */
export async function until (what: string, condition: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<number> {
  const startMs = performance.now()
  while (!await condition()) {
    if (performance.now() - startMs > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => { setTimeout(resolve, 10) })
  }
  return performance.now() - startMs
}

/** A mesh node with the capacity protocol on it. */
export async function plantNode (init: Partial<MeshInit> = {}, ad: Partial<PlantAd> = {}): Promise<Mesh & { view: Capacity }> {
  const key = makeKey()
  const clock = new SystemClock()
  const mesh = await meshNode({ key, clock, ...init })
  const view = capacity()({ clock, random: new SystemRandom(), pubsub: mesh.pubsub, transport: mesh.transport, signer: init.key ?? key, crypto: new NodeCrypto(), log: quietLog })
  afterTest(async () => view.stop())
  await view.start()
  view.setOwn(adOf(ad))
  return { ...mesh, view }
}
