/**
 * One host of the swarm benchmark, in a process (and network namespace) of its own: a plant's swarm, or plain HTTP. Told what to do by
 * messages from swarm.bench.ts, tells what it did.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { join } from 'node:path'
import { loadOrMakeKey } from '../../node/drivers/key-file.ts'
import { startMesh } from '../../node/drivers/libp2p-mesh.ts'
import { BittorrentWire } from '../../node/drivers/swarm-wire.ts'
import { keepNurserySmall } from '../../node/drivers/small-nursery.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { SystemRandom } from '../../node/drivers/system-random.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { swarm } from '../../storage/swarm/index.ts'
import { filePack } from '../swarm/packs.ts'
import type { PackNames } from '../swarm/packs.ts'

/** What a worker is started with, as JSON in its first argument. */
export interface WorkerInit {
  kind: 'swarm' | 'http'
  /** Where its key and its pack are, or come to. */
  dir: string
  /** The file with the names of the pack. */
  names: string
  listen: string
  bootstrap: string[]
  uploadBytesPerS?: number
}

export type Order = { do: 'fetch', from: string[] } | { do: 'figures' } | { do: 'stop' }

const quiet = { debug () {}, info () {}, warn () {}, error () {} }
const init = JSON.parse(process.argv[2] ?? '') as WorkerInit
const tell = (message: Record<string, unknown>): void => { process.send?.(message) }
const cpuS = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Names from the file that the benchmark wrote. */
async function readNames (): Promise<PackNames> {
  const { infoHash, info, hashes } = JSON.parse(await readFile(init.names, 'utf8')) as { infoHash: string, info: string, hashes: string }
  const all = Buffer.from(hashes, 'base64')
  return { infoHash, info: Buffer.from(info, 'base64'), count: all.length / 32, hashes: Array.from({ length: all.length / 32 }, (_, i) => all.subarray(i * 32, i * 32 + 32)) }
}

async function swarmWorker (): Promise<(order: Order) => Promise<void>> {
  const clock = new SystemClock()
  const mesh = await startMesh({ key: loadOrMakeKey(join(init.dir, 'key')), listen: [init.listen], bootstrap: init.bootstrap, mesh: 'bench', mdns: false, clock, log: quiet })
  const one = swarm(init.uploadBytesPerS === undefined ? {} : { uploadBytesPerS: init.uploadBytesPerS })({
    transport: mesh.transport, wire: (stream) => new BittorrentWire(stream, mesh.transport.self), clock, random: new SystemRandom(), log: quiet
  })
  await one.start()
  const pack = await filePack(init.dir, await readNames())
  one.serve(pack)
  const joined = setInterval(() => { tell({ neighbours: mesh.transport.connected().length }) }, 200)
  return async (order) => {
    if (order.do === 'fetch') {
      clearInterval(joined)
      const [fromCpuS, fromMs] = [cpuS(), performance.now()]
      const fetch = one.fetch(pack, { providers: async function * () { yield * order.from as PeerId[] } })
      await fetch.done
      tell({ tookMs: performance.now() - fromMs, cpuS: cpuS() - fromCpuS, ...fetch.progress })
    } else if (order.do === 'figures') {
      tell({ figures: one.figures(), cpuS: cpuS(), uploadedBytes: one.uploadedBytes })
    } else {
      await one.stop()
      await pack.close()
      await mesh.stop()
      process.exit(0)
    }
  }
}

async function httpWorker (): Promise<(order: Order) => Promise<void>> {
  const { hostname, port } = new URL(init.listen)
  const server = createServer((_request, response) => { createReadStream(join(init.dir, 'pack')).pipe(response) })
  if (port !== '') await new Promise<void>((resolve) => { server.listen(Number(port), hostname, resolve) })
  tell({ neighbours: 0 })
  return async (order) => {
    if (order.do === 'stop') process.exit(0)
    if (order.do === 'figures') tell({ cpuS: cpuS() })
    if (order.do !== 'fetch') return
    const [fromCpuS, fromMs] = [cpuS(), performance.now()]
    const response = await new Promise<IncomingMessage>((resolve, reject) => { get(order.from[0] ?? '', resolve).on('error', reject) })
    await pipeline(response, createWriteStream(join(init.dir, 'pack')))
    tell({ tookMs: performance.now() - fromMs, cpuS: cpuS() - fromCpuS })
  }
}

if (init.kind === 'swarm') keepNurserySmall()
const act = await (init.kind === 'swarm' ? swarmWorker() : httpWorker())
process.on('message', (order: Order) => { act(order).catch((error: unknown) => { tell({ failure: String(error) }) }) })
process.on('disconnect', () => { process.exit(1) })
