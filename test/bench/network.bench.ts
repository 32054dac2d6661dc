/**
 * Tenant networks over real links: two hosts as namespaces, a TAP at each end, the tunnel of two plants between them. Compared in one run with the bare
 * link and, where they are installed, tinc, nebula and n2n. `--fast`: shorter. `--only=capped|uncapped|impaired|idle`, `--path=NAME`, `--profile=DIR`.
 */
import { availableParallelism, loadavg } from 'node:os'
import { Load, cpuWhile, hasIperf, sleep } from './net-measure.ts'
import { netPair, sentBytes } from './net-places.ts'
import type { LinkKind } from './net-places.ts'
import { PATHS, carriedBy, ourPath } from './net-paths.ts'
import type { Path, PathName } from './net-paths.ts'

const option = (name: string, other: string): string => process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? other
const at = (values: number[], share: number): number => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN
const say = (text: string): void => { process.stdout.write(`${text}\n`) }

const isFast = process.argv.includes('--fast')
const MEASURED_MS = isFast ? 3_000 : 6_000
/** Dialling, identifying and the directory's first look round. */
const SETTLED_MS = 30_000
const FLOWS = [1, 4, 16, 64]
/** The impairing link's flows are cubic, the worst case inside a tunnel; so are all others, that figures compare. */
const INNER = 'cubic'

interface Figures { mbitPerS: number, idle: number[], loaded: number[] }

/** One path over one link: round trips idle, then rates by the number of flows, the first with round trips beside it. */
async function measure (load: Load, path: Path, flows: number[], bare: Figures | undefined): Promise<Figures> {
  await carries(load, path)
  const idle = await load.trips(path.address, isFast ? 200 : 600, 5)
  const loaded: number[] = []
  let mbitPerS = 0
  for (const count of flows) {
    const measuring = load.rate(path.address, count, MEASURED_MS, INNER)
    const [trips, cpuShare] = await Promise.all([count === 1 ? load.trips(path.address, Math.floor(MEASURED_MS / 10), 10) : undefined, cpuWhile(path.pids, MEASURED_MS)])
    const rate = await measuring
    if (count === 1) mbitPerS = rate.mbitPerS
    if (trips !== undefined) loaded.push(...trips.rttMs)
    say(`  ${path.name}, ${count} ${count === 1 ? 'flow' : 'flows'}: ${rate.mbitPerS.toFixed(0)} Mbit/s` + (bare === undefined || count !== 1 ? '' : ` (${(rate.mbitPerS / bare.mbitPerS).toFixed(3)} of the bare link)`) +
      (path.pids.length === 0 ? '' : `; CPU ${(cpuShare * 8_000 / rate.mbitPerS).toFixed(1)} s a GB`) + (count === 1 ? '' : `; fastest ${(rate.fastest / rate.slowest).toFixed(2)} times the slowest`) +
      (trips === undefined || trips.lost === 0 ? '' : `; ${trips.lost} datagrams lost`))
  }
  const trip = (values: number[], less: number[] | undefined): string => `p50 ${at(values, 0.5).toFixed(2)} p99 ${at(values, 0.99).toFixed(2)} ms` +
    (less === undefined ? '' : ` (added ${(at(values, 0.5) - at(less, 0.5)).toFixed(2)}, ${(at(values, 0.99) - at(less, 0.99)).toFixed(2)})`)
  say(`  ${path.name}, round trips: idle ${trip(idle.rttMs, bare?.idle)}; with one flow ${trip(loaded, bare?.loaded)}`)
  return { mbitPerS, idle: idle.rttMs, loaded }
}

/** Waits until the path stands, and both ends have what they learn with the first packets. */
async function carries (load: Load, path: Path): Promise<void> {
  for (let i = 0; i < 15; i++) if ((await load.trips(path.address, 50, 5)).lost === 0) return
  throw new Error(`${path.name} does not carry`)
}

/** All paths over one link, the bare one first. */
async function compare (title: string, link: LinkKind, flows: number[], names: readonly PathName[]): Promise<void> {
  say(`${title}:`)
  const pair = await netPair(link)
  const load = await Load.start(pair.places)
  const undo = [async () => load.stop(), pair.undo]
  const stopUndoing = undoWhenKilled(undo)
  try {
    const bare = await measure(load, { name: 'bare', address: pair.places[1].address, pids: [], stop: async () => {} }, flows, undefined)
    const ratios: string[] = []
    for (const name of names) {
      const path = await carriedBy(name, pair.places)
      if (path === undefined) {
        say(`  ${name} absent`)
        continue
      }
      undo.unshift(path.stop)
      try {
        const figures = await measure(load, path, flows, bare)
        ratios.push(`${name} ${figures.mbitPerS.toFixed(0)} Mbit/s, ratio ${(figures.mbitPerS / bare.mbitPerS).toFixed(2)}`)
      } catch (error) {
        say(`  ${name} failed: ${error instanceof Error ? error.message : String(error)}`)
        process.exitCode = 1
      } finally {
        undo.shift()
        await path.stop()
      }
    }
    say(`${title}, one flow of ${INNER}: bare ${bare.mbitPerS.toFixed(0)} Mbit/s; ${ratios.join('; ')}`)
  } finally {
    stopUndoing()
    for (const one of undo) await one()
  }
}

/** Namespaces and processes go also when the benchmark is ended from outside. */
function undoWhenKilled (undo: ReadonlyArray<() => Promise<void>>): () => void {
  const onSignal = (): void => { void Promise.allSettled(undo.map(async (one) => one())).then(() => { process.exit(1) }) }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal)
  return () => { for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal) }
}

/** What two plants say that nobody asks anything, without a network between them and with one. */
async function idle (measuredMs: number): Promise<void> {
  const kbitPerS: number[] = []
  for (const tunnel of [false, true]) {
    const pair = await netPair({ kind: 'uncapped' })
    try {
      const path = await ourPath(pair.places, tunnel)
      await sleep(SETTLED_MS)
      const from = pair.places.map(sentBytes)
      await sleep(measuredMs)
      kbitPerS.push(Math.max(...pair.places.map((place, i) => (sentBytes(place) - (from[i] ?? 0)) * 8 / measuredMs)))
      await path.stop()
    } finally {
      await pair.undo()
    }
  }
  const [without = NaN, having = NaN] = kbitPerS
  say(`idle for ${measuredMs / 1_000} s: the one that says more sends ${having.toFixed(2)} kbit/s, without the tunnel ${without.toFixed(2)}: the tunnel ${(having - without).toFixed(2)} (aim 2)`)
}

async function main (): Promise<void> {
  say(`load when it began: ${loadavg().map((load) => load.toFixed(1)).join(' ')}; ${availableParallelism()} processors; flows by ${hasIperf() ? 'iperf3' : 'a program of ours (iperf3 absent)'}`)
  if (process.getuid?.() !== 0) {
    say('skipped, as it needs root (ip netns, TAPs)')
    return
  }
  const only = option('only', '')
  const wanted = option('path', '')
  const names = PATHS.filter((name) => wanted === '' || wanted.split(',').includes(name))
  if (only === '' || only === 'capped') await compare('capped at 1 Gbit/s (aims: 0.95 of the bare link and ahead of the others, added round trip 0.4 ms idle and 5 ms under load, fair within 2)', { kind: 'capped', mbitPerS: 1_000 }, FLOWS, names)
  if (only === '' || only === 'uncapped') await compare('uncapped (aim: 2,000 Mbit/s)', { kind: 'uncapped' }, [1, 4], names)
  if (only === '' || only === 'impaired') await compare('impaired (2 ms delay, 2 ms jitter, 0.25 % loss, 0.5 % reordered, each way; aim with bbr: 8 times the bare link)', { kind: 'impaired' }, [1, 4], names)
  if (only === '' || only === 'idle') await idle(isFast ? 30_000 : 120_000)
  say(`load when it ended: ${loadavg().map((load) => load.toFixed(1)).join(' ')}`)
}

await main()
