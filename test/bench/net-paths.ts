/** What carries frames between the two hosts of the network benchmark: our tunnel, and others that do the same. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadOrMakeKey } from '../../node/drivers/key-file.ts'
import { otherPath } from './net-others.ts'
import { end, startIn } from './net-places.ts'
import type { NetPlace } from './net-places.ts'
import type { NetWorkerInit } from './net-worker.ts'

export const PATHS = ['plantmesh', 'tinc', 'nebula', 'n2n'] as const
export type PathName = typeof PATHS[number]

/** A path that stands: the address to send to at its far end, and the processes that carry it. */
export interface Path { name: string, address: string, pids: number[], stop: () => Promise<void> }

const WORKER = join(import.meta.dirname, 'net-worker.ts')
const PORT = 21_000
/** In a network's own subnet. */
const ADDRESSES = ['10.192.1.1', '10.192.1.2'] as const

/** Sets a path up and waits until it carries; undefined when what it needs is not installed. */
export async function carriedBy (name: PathName, places: readonly [NetPlace, NetPlace]): Promise<Path | undefined> {
  return name === 'plantmesh' ? await ourPath(places, true) : await otherPath(name, places)
}

/** Two plants that see each other, with or without a network between them. */
export async function ourPath (places: readonly [NetPlace, NetPlace], tunnel: boolean): Promise<Path> {
  const root = mkdtempSync(join(tmpdir(), 'pmbench-network-'))
  const profile = process.argv.find((arg) => arg.startsWith('--profile='))?.slice('--profile='.length)
  loadOrMakeKey(join(root, 'owner'))
  const dirs = places.map((_, i) => join(root, String(i)))
  const peers = dirs.map((dir) => {
    mkdirSync(dir)
    return loadOrMakeKey(join(dir, 'key')).peerId
  })
  const multiaddr = (i: number): string => `/ip4/${places[i]?.address}/tcp/${PORT}`
  const children = places.map((place, i) => {
    const init: NetWorkerInit = {
      dir: dirs[i] ?? '', ownerKey: join(root, 'owner'), listen: multiaddr(i), bootstrap: [`${multiaddr(1 - i)}/p2p/${peers[1 - i]}`], other: peers[1 - i] ?? '', tunnel, tap: 'plantmesh0', address: ADDRESSES[i] ?? ''
    }
    const flags = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
    return startIn(place, [process.execPath, ...flags, WORKER, JSON.stringify(init)], { ipc: true })
  })
  await Promise.all(children.map(async (child) => new Promise<void>((resolve, reject) => {
    child.once('message', () => { resolve() })
    child.once('exit', (status) => { reject(new Error(`a worker ended with ${status}`)) })
  })))
  return {
    name: 'plantmesh', address: ADDRESSES[1], pids: children.map(({ pid }) => pid ?? 0),
    stop: async () => {
      await Promise.all(children.map(async (child) => end(child, profile === undefined ? 'SIGKILL' : 'SIGTERM')))
      rmSync(root, { recursive: true, force: true })
    }
  }
}
