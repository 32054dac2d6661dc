/** What is measured of a path between two hosts: rate and fairness of TCP flows, round trips idle and under load, processor time of what carries it. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { end, startIn } from './net-places.ts'
import type { NetPlace } from './net-places.ts'
import type { LoadOrder } from './net-load.ts'

const LOAD = join(import.meta.dirname, 'net-load.ts')
const IPERF_PORT = '5202'
/** Until flows have grown to their share. */
const WARM_MS = 1_500
/** `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that Node runs on. */
const TICKS_PER_S = 100

/** Of some flows at once. */
export interface Rate { mbitPerS: number, slowest: number, fastest: number }
/** Round trips; `lost` came not at all. */
export interface Trips { rttMs: number[], lost: number }

/** A process that makes load, or answers it. */
class Loader {
  readonly #child: ChildProcess
  readonly #told: Array<Record<string, unknown>> = []
  #wake: () => void = () => {}

  constructor (place: NetPlace, nice?: number) {
    this.#child = startIn(place, [process.execPath, LOAD], { ipc: true, ...(nice !== undefined && { nice }) })
    this.#child.on('message', (message) => {
      this.#told.push(message as Record<string, unknown>)
      this.#wake()
    })
    this.#child.on('exit', () => {
      this.#told.push({ failure: 'it has ended' })
      this.#wake()
    })
  }

  /** Gives an order and waits for the message that has this field. */
  async ask<T> (order: LoadOrder | undefined, field: string): Promise<T> {
    if (order !== undefined) this.#child.send(order)
    for (;;) {
      const message = this.#told.shift()
      if (message === undefined) await new Promise<void>((resolve) => { this.#wake = resolve })
      else if (message['failure'] !== undefined) throw new Error(`load: ${String(message['failure'])}`)
      else if (field in message) return message as T
    }
  }

  async stop (): Promise<void> { await end(this.#child) }
}

/** Whether iperf3 is here; without it the flows are our own program's. */
export function hasIperf (): boolean { return spawnSync('iperf3', ['--version']).status === 0 }

/** The loaders of two hosts. */
export class Load {
  readonly #places: readonly [NetPlace, NetPlace]
  readonly #from: Loader
  readonly #to: Loader
  /** Round trips are asked for by processes of their own, before all others, so that they see the path and not the queue for a processor. */
  readonly #asking: Loader
  readonly #answering: Loader

  private constructor (places: readonly [NetPlace, NetPlace]) {
    this.#places = places
    this.#from = new Loader(places[0])
    this.#to = new Loader(places[1])
    this.#asking = new Loader(places[0], -10)
    this.#answering = new Loader(places[1], -10)
  }

  static async start (places: readonly [NetPlace, NetPlace]): Promise<Load> {
    const load = new Load(places)
    await Promise.all(load.#all().map(async (one) => one.ask(undefined, 'ready')))
    await load.#to.ask({ do: 'serve', port: FLOWS_PORT }, 'serving')
    await load.#answering.ask({ do: 'serve', port: PING_PORT }, 'serving')
    return load
  }

  async rate (address: string, count: number, measuredMs: number, congestion: string): Promise<Rate> {
    return hasIperf() ? await this.#byIperf(address, count, measuredMs, congestion) : await this.#byOurs(address, count, measuredMs, congestion)
  }

  async trips (address: string, count: number, everyMs: number): Promise<Trips> {
    return await this.#asking.ask<Trips>({ do: 'ping', to: address, port: PING_PORT, count, everyMs }, 'rttMs')
  }

  async stop (): Promise<void> { await Promise.all(this.#all().map(async (one) => one.stop())) }

  #all (): Loader[] { return [this.#from, this.#to, this.#asking, this.#answering] }

  async #byOurs (address: string, count: number, measuredMs: number, congestion: string): Promise<Rate> {
    interface Figures { atMs: number, flowBytes: number[] }
    await this.#from.ask({ do: 'flows', to: address, port: FLOWS_PORT, count, congestion }, 'flowing')
    await sleep(WARM_MS)
    const before = await this.#to.ask<Figures>({ do: 'figures' }, 'flowBytes')
    await sleep(measuredMs)
    const after = await this.#to.ask<Figures>({ do: 'figures' }, 'flowBytes')
    await this.#from.ask({ do: 'quiet' }, 'quiet')
    const each = after.flowBytes.map((bytes, i) => bytes - (before.flowBytes[i] ?? 0))
    return rateOf(each, after.atMs - before.atMs)
  }

  async #byIperf (address: string, count: number, measuredMs: number, congestion: string): Promise<Rate> {
    const server = startIn(this.#places[1], ['iperf3', '-s', '-1', '-p', IPERF_PORT], { quiet: true })
    try {
      await listening(this.#places[1], IPERF_PORT)
      const args = ['-c', address, '-p', IPERF_PORT, '-P', String(count), '-t', String(Math.round(measuredMs / 1_000)), '-O', String(WARM_MS / 1_000), '-C', congestion, '-J']
      const text = await new Promise<string>((resolve, reject) => {
        const child = spawn('ip', ['netns', 'exec', this.#places[0].namespace, 'iperf3', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
        const out: string[] = []
        child.stdout.setEncoding('utf8').on('data', (piece: string) => { out.push(piece) })
        child.on('error', reject)
        child.on('close', () => { resolve(out.join('')) })
      })
      const report = JSON.parse(text) as { error?: string, end: { streams: Array<{ receiver: { bytes: number, seconds: number } }> } }
      if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`)
      const streams = report.end.streams.map(({ receiver }) => receiver)
      return rateOf(streams.map(({ bytes }) => bytes), (streams[0]?.seconds ?? NaN) * 1_000)
    } finally {
      await end(server)
    }
  }
}

const FLOWS_PORT = 5_201
const PING_PORT = 5_203

function rateOf (each: number[], ms: number): Rate {
  const mbit = (one: number): number => one * 8 / ms / 1_000
  return { mbitPerS: mbit(each.reduce((sum, one) => sum + one, 0)), slowest: mbit(Math.min(...each)), fastest: mbit(Math.max(...each)) }
}

async function listening (place: NetPlace, port: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (execFileSync('ip', ['netns', 'exec', place.namespace, 'cat', '/proc/net/tcp', '/proc/net/tcp6'], { encoding: 'utf8' }).includes(`:${Number(port).toString(16).toUpperCase()} `)) return
    await sleep(20)
  }
  throw new Error(`nobody listens on ${port}`)
}

/** Processors that these processes keep busy while flows are measured; asked from within that time. */
export async function cpuWhile (pids: readonly number[], measuredMs: number): Promise<number> {
  await sleep(WARM_MS + measuredMs / 10)
  const [fromS, fromMs] = [cpuSeconds(pids), performance.now()]
  await sleep(measuredMs * 8 / 10)
  return (cpuSeconds(pids) - fromS) * 1_000 / (performance.now() - fromMs)
}

/** Processor time that processes, with their threads, have had so far. */
function cpuSeconds (pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S
  }, 0)
}

/** Waits. */
export async function sleep (ms: number): Promise<void> { await new Promise((resolve) => { setTimeout(resolve, ms) }) }
