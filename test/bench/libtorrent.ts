/** The same fetch by libtorrent (python3-libtorrent), for comparison. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { torrentFile } from '../../node/drivers/plain-bittorrent.ts'
import type { Place } from './swarm-hosts.ts'

/** The system's own Python, for which Debian packages libtorrent. */
const PYTHON = '/usr/bin/python3'

/** Whether libtorrent is installed. */
export function hasLibtorrent (): boolean {
  try {
    execFileSync(PYTHON, ['-c', 'import libtorrent'], { stdio: 'ignore' })
    return true
  } catch {
    return false // It is not: the benchmark says so.
  }
}

/** All places but the first fetch from the first and from each other. */
export async function libtorrentRound (places: Place[], info: Uint8Array, content: Buffer): Promise<{ tookMs: number[], seedBytes: number }> {
  const root = mkdtempSync(join(tmpdir(), 'pmbench-lt-'))
  const torrent = join(root, 'pack.torrent')
  writeFileSync(torrent, torrentFile(info))
  const hosts = places.map((place, i) => {
    const dir = join(root, String(i))
    mkdirSync(dir)
    if (i === 0) writeFileSync(join(dir, 'bench.pack'), content)
    const peers = i === 0 ? [] : places.filter((other) => other !== place).map(({ address }) => address)
    const args = ['netns', 'exec', place.namespace ?? '', PYTHON, join(import.meta.dirname, 'libtorrent-host.py'), dir, torrent, place.address, ...peers]
    const child = spawn('ip', args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const hear = async (): Promise<number> => Number(String((await lines.next()).value).split(' ')[1])
    return { child, hear }
  })
  try {
    for (const { hear } of hosts) await hear()
    for (const { child } of hosts) child.stdin.write('\n')
    const [, ...tookMs] = await Promise.all(hosts.map(async ({ hear }) => hear()))
    for (const { child } of hosts) child.stdin.write('\n')
    return { tookMs, seedBytes: await hosts[0]?.hear() ?? NaN }
  } finally {
    for (const { child } of hosts) child.kill('SIGKILL')
    rmSync(root, { recursive: true, force: true })
  }
}
