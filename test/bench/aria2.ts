/** The same fetch by aria2c, for comparison. It is told of its peers by a tracker, as it takes them in no other way. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { torrentFile } from '../../node/drivers/plain-bittorrent.ts'
import { BRIDGE_ADDRESS, sentBytes, type Place } from './swarm-hosts.ts'

const PEER_PORT = 6881
const LOOK_MS = 10
/** A host that does not end by then never will. */
const ROUND_MS = 300_000

/** Whether aria2c is installed. */
export function hasAria2 (): boolean {
  try {
    execFileSync('aria2c', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false // It is not: the benchmark says so.
  }
}

/** A tracker that tells everyone of all places. */
async function trackerOf (places: Place[]): Promise<{ url: string, stop: () => void }> {
  const peers = Buffer.concat(places.map(({ address }) => Buffer.from([...address.split('.').map(Number), PEER_PORT >> 8, PEER_PORT & 0xff])))
  const server = createServer((_request, response) => { response.end(Buffer.concat([Buffer.from(`d8:intervali60e5:peers${peers.length}:`), peers, Buffer.from('e')])) })
  server.listen(0, BRIDGE_ADDRESS)
  await once(server, 'listening')
  const address = server.address()
  return { url: `http://${BRIDGE_ADDRESS}:${address !== null && typeof address === 'object' ? address.port : 0}/announce`, stop: () => { server.close() } }
}

/** All places but the first fetch from the first and from each other. What the first sent is counted on its link, headers and all. */
export async function aria2Round (places: Place[], info: Uint8Array, content: Buffer): Promise<{ tookMs: number[], seedBytes: number }> {
  const root = mkdtempSync(join(tmpdir(), 'pmbench-aria2-'))
  const tracker = await trackerOf(places)
  const torrent = join(root, 'pack.torrent')
  writeFileSync(torrent, torrentFile(info, [tracker.url]))
  const children: Array<ReturnType<typeof spawn>> = []
  const start = (place: Place, i: number): string => {
    const dir = join(root, String(i))
    const [hook, done] = [join(root, `done-${i}.sh`), join(root, `done-${i}`)]
    mkdirSync(dir)
    writeFileSync(hook, `#!/bin/sh\ntouch ${done}\n`, { mode: 0o755 })
    if (i === 0) writeFileSync(join(dir, 'bench.pack'), content)
    children.push(spawn('ip', ['netns', 'exec', place.namespace ?? '', 'aria2c', '--no-conf', '--quiet', '--enable-dht=false', '--enable-dht6=false', '--bt-enable-lpd=false', '--seed-ratio=0.0', '--file-allocation=none',
      `--listen-port=${PEER_PORT}`, `--dir=${dir}`, `--on-bt-download-complete=${hook}`, ...(i === 0 ? ['--check-integrity=true'] : []), torrent], { stdio: 'ignore' }))
    return done
  }
  try {
    const [seed, ...others] = places
    if (seed === undefined) throw new Error('no places')
    start(seed, 0)
    await new Promise((resolve) => { setTimeout(resolve, 2_000) })
    const [before = 0] = sentBytes([seed])
    const fromMs = performance.now()
    const waiting = new Set(others.map((place, i) => start(place, i + 1)))
    const tookMs: number[] = []
    while (waiting.size > 0) {
      if (performance.now() - fromMs > ROUND_MS) throw new Error('aria2c does not end')
      await new Promise((resolve) => { setTimeout(resolve, LOOK_MS) })
      for (const done of waiting) {
        if (!existsSync(done)) continue
        waiting.delete(done)
        tookMs.push(performance.now() - fromMs)
      }
    }
    const [after = 0] = sentBytes([seed])
    for (const i of others.keys()) if (!readFileSync(join(root, String(i + 1), 'bench.pack')).equals(content)) throw new Error('aria2c brought something else')
    return { tookMs, seedBytes: after - before }
  } finally {
    tracker.stop()
    await Promise.all(children.map(async (child) => {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await gone
    }))
    rmSync(root, { recursive: true, force: true })
  }
}
