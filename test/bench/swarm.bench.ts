/**
 * The swarm against others in one run: uncapped on loopback against plain HTTP, capped links in network namespaces against libtorrent, aria2 and
 * plain HTTP; and what whole plants say when nobody wants anything. `--fast`: fewer rounds. `--hosts=N`, `--mib=N`, `--only=uncapped|capped|idle`.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { PIECE_BYTES } from '../../storage/swarm/constants.ts'
import { aria2Round, hasAria2 } from './aria2.ts'
import { idleRound } from './idle.ts'
import { hasLibtorrent, libtorrentRound } from './libtorrent.ts'
import { capHosts, makePack, startHosts } from './swarm-hosts.ts'
import type { Host, Place } from './swarm-hosts.ts'

const MIB = 2 ** 20
const option = (name: string, other: string): string => process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? other
const at = (values: number[], share: number): number => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN
const say = (text: string): void => { process.stdout.write(`${text}\n`) }

interface Round { tookMs: number[], wallMs: number, seedBytes: number, seedCpuS: number, leechCpuS: number, wasted: number }

/** All but the first fetch at once; their packs are compared with the first one's. */
async function round (hosts: Host[], content: Buffer): Promise<Round> {
  const [seed, ...others] = hosts
  if (seed === undefined) throw new Error('no hosts')
  seed.order({ do: 'figures' })
  const before = await seed.hear('cpuS')
  const fromMs = performance.now()
  for (const host of others) host.order({ do: 'fetch', from: host.peer.startsWith('http') ? [host.peer] : hosts.filter((one) => one !== host).map((one) => one.peer) })
  const told = await Promise.all(others.map(async (host) => host.hear('tookMs')))
  const wallMs = performance.now() - fromMs
  seed.order({ do: 'figures' })
  const after = await seed.hear('cpuS')
  for (const host of others) if (!readFileSync(join(host.dir, 'pack')).equals(content)) throw new Error('a pack came wrong')
  return {
    tookMs: told.map(({ tookMs }) => tookMs), wallMs, seedBytes: (after.uploadedBytes ?? 0) - (before.uploadedBytes ?? 0), seedCpuS: after.cpuS - before.cpuS,
    leechCpuS: told.reduce((sum, { cpuS }) => sum + (cpuS ?? 0), 0), wasted: told.reduce((sum, { wastedBytes }) => sum + (wastedBytes ?? 0), 0)
  }
}

/** One round of hosts that are started for it. */
async function once (kind: 'swarm' | 'http', names: string, content: Buffer, places: Place[]): Promise<Round> {
  const root = mkdtempSync(join(tmpdir(), 'pmbench-swarm-'))
  const hosts = await startHosts(root, kind, names, content, places)
  try {
    return await round(hosts, content)
  } finally {
    await Promise.all(hosts.map(async (host) => host.stop()))
    rmSync(root, { recursive: true, force: true })
  }
}

async function uncapped (root: string, mib: number, rounds: number): Promise<void> {
  const { names, content } = makePack(root, mib * MIB)
  for (const leechers of [1, 4]) {
    const places = Array.from({ length: leechers + 1 }, (): Place => ({ address: '127.0.0.1' }))
    const rate: Record<'swarm' | 'http', number[]> = { swarm: [], http: [] }
    for (let i = 0; i < rounds; i++) {
      for (const kind of ['http', 'swarm'] as const) {
        const one = await once(kind, names, content, places)
        rate[kind].push(mib * leechers / one.wallMs * 1_000)
        say(`  1-${leechers} ${kind}: ${rate[kind].at(-1)?.toFixed(0)} MiB/s in all; CPU s a GiB: sender ${(one.seedCpuS / mib * 1024).toFixed(2)}, receivers ${(one.leechCpuS / mib * 1024 / leechers).toFixed(2)} each; ` +
          `sent by the first ${kind === 'swarm' ? (one.seedBytes / content.length).toFixed(2) : leechers} copies; wasted ${(one.wasted / content.length / leechers * 100).toFixed(1)} %`)
      }
    }
    say(`uncapped loopback 1-${leechers}, ${mib} MiB, ${rounds} rounds, median: swarm ${at(rate.swarm, 0.5).toFixed(0)} MiB/s, plain HTTP ${at(rate.http, 0.5).toFixed(0)} MiB/s, ` +
      `ratio ${(at(rate.swarm, 0.5) / at(rate.http, 0.5)).toFixed(2)} (aim 0.75); ${availableParallelism()} processors`)
  }
}

async function capped (root: string, hosts: number, mib: number, mbitPerS: number): Promise<void> {
  const { names, content, info } = makePack(root, mib * MIB)
  const fileMs = content.length * 8 / (mbitPerS * 1e6) * 1_000
  const pieces = content.length / PIECE_BYTES
  const boundMs = (1 + Math.floor(Math.log2(hosts)) / pieces) * fileMs
  const { places, undo } = capHosts(hosts + 1, mbitPerS)
  try {
    const others = { libtorrent: hasLibtorrent() ? libtorrentRound : undefined, aria2: hasAria2() ? aria2Round : undefined }
    for (const [name, fetchRound] of Object.entries(others)) {
      if (fetchRound === undefined) {
        say(`${name} absent`)
        continue
      }
      const { tookMs, seedBytes } = await fetchRound(places, info, content)
      say(`capped ${mbitPerS} Mbit/s, ${hosts} hosts, ${mib} MiB, ${name}: p50 ${(at(tookMs, 0.5) / boundMs).toFixed(2)}, p99 ${(at(tookMs, 0.99) / boundMs).toFixed(2)} of the bound; the first sent ${(seedBytes / content.length).toFixed(2)} copies`)
    }
    for (const kind of ['swarm', 'http'] as const) {
      const one = await once(kind, names, content, places)
      say(`capped ${mbitPerS} Mbit/s, ${hosts} hosts, ${mib} MiB, ${kind}: p50 ${(at(one.tookMs, 0.5) / boundMs).toFixed(2)}, p99 ${(at(one.tookMs, 0.99) / boundMs).toFixed(2)} of the bound (aims 1.3, 1.5); ` +
        (kind === 'swarm' ? `the first sent ${(one.seedBytes / content.length).toFixed(2)} copies (aim 1.5); wasted ${(one.wasted / content.length / hosts * 100).toFixed(1)} %` : 'one sends all'))
    }
  } finally {
    undo()
  }
}

async function idle (count: number, measuredMs: number): Promise<void> {
  const { places, undo } = capHosts(count, 100)
  try {
    const kbitPerS = await idleRound(places, measuredMs)
    say(`idle, ${count} plants that hold one golden machine, ${measuredMs / 1_000} s: each sends ${at(kbitPerS, 0.5).toFixed(1)} kbit/s (median; most ${Math.max(...kbitPerS).toFixed(1)}; aim 5)`)
  } finally {
    undo()
  }
}

const root = mkdtempSync(join(tmpdir(), 'pmbench-swarm-pack-'))
try {
  const only = option('only', '')
  const isFast = process.argv.includes('--fast')
  say(`load when it began: ${loadavg().map((load) => load.toFixed(1)).join(' ')}`)
  if (only === '' || only === 'uncapped') await uncapped(root, Number(option('mib', '256')), isFast ? 1 : 3)
  if (only !== 'uncapped' && process.getuid?.() !== 0) say('capped links and idle plants: skipped, as they need root (ip netns, tc)')
  else {
    if (only === '' || only === 'capped') await capped(root, Number(option('hosts', '8')), Number(option('mib', '16')), 10)
    if (only === '' || only === 'idle') await idle(Number(option('hosts', '10')), isFast ? 20_000 : 60_000)
  }
  say(`load when it ended: ${loadavg().map((load) => load.toFixed(1)).join(' ')}`)
} finally {
  rmSync(root, { recursive: true, force: true })
}
