/** Hosts for the swarm benchmark: worker processes on loopback, or each in a network namespace with a capped link. */
import { execFileSync, fork, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadOrMakeKey } from '../../node/drivers/key-file.ts'
import { PIECE_BYTES } from '../../storage/swarm/constants.ts'
import { namesOfBytes } from '../swarm/packs.ts'
import type { Order, WorkerInit } from './swarm-worker.ts'

const WORKER = join(import.meta.dirname, 'swarm-worker.ts')
/** Ports for workers: below those that the kernel gives out. */
export const PORT = 21_000

export interface Told { tookMs: number, cpuS: number, uploadedBytes: number, wastedBytes: number, neighbours: number }

/** A worker process. */
export class Host {
  readonly peer: string
  readonly dir: string
  readonly #child: ChildProcess
  readonly #told: Array<Partial<Told>> = []
  #wake: () => void = () => {}

  constructor (child: ChildProcess, dir: string, peer: string) {
    this.#child = child
    this.dir = dir
    this.peer = peer
    child.on('message', (message: Partial<Told> & { failure?: string }) => {
      if (message.failure !== undefined) process.stderr.write(`${message.failure}\n`)
      this.#told.push(message)
      this.#wake()
    })
  }

  get pid (): number { return this.#child.pid ?? 0 }

  order (order: Order): void { this.#child.send(order) }

  /** The next message that has this field. */
  async hear<K extends keyof Told> (field: K): Promise<Partial<Told> & { [key in K]: number }> {
    for (;;) {
      const message = this.#told.shift()
      if (message === undefined) await new Promise<void>((resolve) => { this.#wake = resolve })
      else if (message[field] !== undefined) return message as Partial<Told> & { [key in K]: number }
    }
  }

  async stop (): Promise<void> {
    const gone = new Promise((resolve) => { this.#child.once('exit', resolve) })
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL')
    if (this.#child.exitCode === null && this.#child.signalCode === null) await gone
  }
}

/** A pack of random bytes in `dir`, its names beside it. */
export function makePack (dir: string, bytes: number): { names: string, content: Buffer, info: Buffer } {
  const content = randomBytes(bytes)
  const { infoHash, info, hashes } = namesOfBytes(content, 'bench.pack')
  const names = join(dir, 'names.json')
  writeFileSync(names, JSON.stringify({ infoHash, info: info.toString('base64'), hashes: Buffer.concat(hashes).toString('base64') }))
  return { names, content, info }
}

/** Where a host lives: its address, the namespace that it is put in, and the near end of its link. */
export interface Place { address: string, namespace?: string, device?: string }

/** Hosts, the first with the whole pack. */
export async function startHosts (root: string, kind: WorkerInit['kind'], names: string, content: Buffer, places: Place[]): Promise<Host[]> {
  const address = (i: number): string => kind === 'http' ? `http://${places[i]?.address}:${PORT}` : `/ip4/${places[i]?.address}/tcp/${PORT + (places[i]?.namespace === undefined ? i : 0)}`
  const hosts = places.map((place, i) => {
    const dir = join(root, `${kind}-${i}`)
    mkdirSync(dir, { recursive: true })
    if (i === 0) {
      writeFileSync(join(dir, 'pack'), content)
      writeFileSync(join(dir, 'have'), Buffer.alloc(Math.ceil(content.length / PIECE_BYTES / 8), 0xff))
    }
    const init: WorkerInit = { kind, dir, names, listen: kind === 'http' && i > 0 ? 'http://127.0.0.1' : address(i), bootstrap: places.map((_, j) => address(j)).filter((_, j) => j !== i) }
    const args = [WORKER, JSON.stringify(init)]
    const child = place.namespace === undefined
      ? fork(WORKER, args.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
      : spawn('ip', ['netns', 'exec', place.namespace, process.execPath, ...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    return new Host(child, dir, kind === 'http' ? address(0) : loadOrMakeKey(join(dir, 'key')).peerId)
  })
  await Promise.all(hosts.map(async (host) => {
    for (;;) if ((await host.hear('neighbours')).neighbours >= (kind === 'http' ? 0 : places.length - 1)) return
  }))
  return hosts
}

/** Where the host that runs the benchmark is, on the bridge between namespaces. */
export const BRIDGE_ADDRESS = '10.231.0.254'

/** Bytes that have left each place so far, as its link counts them. */
export function sentBytes (places: Place[]): number[] {
  return places.map(({ device }) => Number(readFileSync(`/sys/class/net/${device}/statistics/rx_bytes`, 'utf8')))
}

/** Namespaces on one bridge, each with so much of bandwidth up and down; undone by what is returned. */
export function capHosts (count: number, mbitPerS: number): { places: Place[], undo: () => void } {
  const prefix = `pms${process.pid % 10_000}`
  const run = (line: string): void => { execFileSync('ip', line.split(' '), { stdio: 'pipe' }) }
  const shape = (namespace: string | undefined, device: string): void => {
    const tc = `tc qdisc add dev ${device} root tbf rate ${mbitPerS}mbit burst 16kb latency 100ms`.split(' ')
    if (namespace === undefined) execFileSync(tc[0] ?? '', tc.slice(1))
    else execFileSync('ip', ['netns', 'exec', namespace, ...tc])
  }
  const undo = (): void => {
    for (let i = 0; i < count; i++) {
      try { run(`netns del ${prefix}-${i}`) } catch { /* It was not made. */ }
    }
    try { run(`link del ${prefix}b`) } catch { /* Nor this. */ }
  }
  try {
    run(`link add ${prefix}b type bridge`)
    run(`addr add ${BRIDGE_ADDRESS}/24 dev ${prefix}b`)
    run(`link set ${prefix}b up`)
    const places = Array.from({ length: count }, (_, i): Place => {
      const namespace = `${prefix}-${i}`
      run(`netns add ${namespace}`)
      run(`link add ${prefix}v${i} type veth peer name eth0 netns ${namespace}`)
      run(`link set ${prefix}v${i} master ${prefix}b up`)
      run(`-n ${namespace} addr add 10.231.0.${i + 1}/24 dev eth0`)
      run(`-n ${namespace} link set eth0 up`)
      run(`-n ${namespace} link set lo up`)
      shape(namespace, 'eth0')
      shape(undefined, `${prefix}v${i}`)
      return { address: `10.231.0.${i + 1}`, namespace, device: `${prefix}v${i}` }
    })
    return { places, undo }
  } catch (error) {
    undo()
    throw error
  }
}
