/** What whole plants say to each other when nobody wants anything: gossip, holdings, adverts, directory, keep-alives, with TCP and IP around them. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { cli, tinyWarehouse } from '../support/plants.ts'
import { PORT, sentBytes, type Place } from './swarm-hosts.ts'

const MAIN = join(import.meta.dirname, '../../node/main.ts')
/** What joining costs is over by then: views exchanged, the directory told. */
const SETTLE_MS = 30_000
const JOIN_MS = 120_000

interface Plant { child: ChildProcess, api: string }

async function startPlant (root: string, places: Place[], i: number): Promise<Plant> {
  const at = (place: Place | undefined): string => `/ip4/${place?.address}/tcp/${PORT}`
  const args = ['up', '--data', join(root, String(i)), '--listen', at(places[i]), '--no-mdns', '--with-parent', '--mesh', 'idle', '--log-level', 'error', '--import', await tinyWarehouse(), ...(i > 0 ? ['--bootstrap', at(places[0])] : [])]
  const child = spawn('ip', ['netns', 'exec', places[i]?.namespace ?? '', process.execPath, MAIN, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) if (line.startsWith('ready ')) return { child, api: (JSON.parse(line.slice(6)) as { api: string }).api }
  throw new Error(`plant ${i} did not start`)
}

/** kbit/s that each plant sends, and so receives, on average over this time. All hold one golden machine. */
export async function idleRound (places: Place[], measuredMs: number): Promise<number[]> {
  const root = mkdtempSync(join(tmpdir(), 'pmbench-idle-'))
  const plants: Plant[] = []
  const sleep = async (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })
  try {
    for (let i = 0; i < places.length; i++) plants.push(await startPlant(root, places, i))
    const untilMs = performance.now() + JOIN_MS
    for (const { api } of plants) {
      while (((await cli(['plants', '--json'], { api, key: join(root, 'key') })).json as unknown[] | undefined)?.length !== places.length) {
        if (performance.now() > untilMs) throw new Error('the plants do not see each other')
        await sleep(500)
      }
    }
    await sleep(SETTLE_MS)
    const [before, fromMs] = [sentBytes(places), performance.now()]
    await sleep(measuredMs)
    const [after, tookMs] = [sentBytes(places), performance.now() - fromMs]
    return after.map((bytes, i) => (bytes - (before[i] ?? 0)) * 8 / tookMs)
  } finally {
    await Promise.all(plants.map(async ({ child }) => {
      const gone = once(child, 'exit')
      child.stdin?.end()
      await gone
    }))
    rmSync(root, { recursive: true, force: true })
  }
}
