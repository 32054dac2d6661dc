/** A golden machine's packs for BitTorrent clients outside the mesh: from a real plant, by a real aria2c and libtorrent. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { TestHost, cli } from '../support/plants.ts'

const run = promisify(execFile)
const has = async (program: string, args: string[]): Promise<boolean> => run(program, args).then(() => true, () => false)
const clients: Record<string, ((torrent: string, dir: string) => string[]) | undefined> = {
  aria2c: await has('aria2c', ['--version']) ? (torrent, dir) => ['aria2c', '--seed-time=0', '--enable-dht=false', '--enable-dht6=false', '--bt-enable-lpd=false', '--no-conf', '--quiet', '--bt-stop-timeout=60', `--dir=${dir}`, torrent] : undefined,
  libtorrent: await has('/usr/bin/python3', ['-c', 'import libtorrent']) ? (torrent, dir) => ['/usr/bin/python3', join(import.meta.dirname, '../swarm/libtorrent-fetch.py'), torrent, dir] : undefined
}

let host = new TestHost()
afterEach(async () => {
  await host.cleanUp()
  host = new TestHost()
})

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

test(`${Object.entries(clients).map(([name, args]) => args === undefined ? `${name} (not here)` : name).join(' and ')} fetch the packs of a golden machine with nothing but its .torrent file`, async () => {
  const plant = await host.plant({ args: ['--bittorrent', '127.0.0.1:0', '--upload-max', '400'] })
  const out = join(host.dir, 'torrents')
  const [made] = (await plant.cli(['golden', 'torrent', 'tiny', '-o', out, '--json'])).json as Array<{ path: string, file: string, infoHash: string, bytes: number }>
  expect(readdirSync(out)).toEqual([`${made?.file}.torrent`])
  const kept = join(plant.dataDir, 'warehouse', 'packs', made?.infoHash ?? '', 'pack')
  expect(existsSync(kept)).toBe(true)
  for (const [name, args] of Object.entries(clients)) {
    if (args === undefined) continue
    const dir = join(host.dir, name)
    mkdirSync(dir)
    const [program = '', ...rest] = args(made?.path ?? '', dir)
    await run(program, rest, { timeout: 120_000 })
    expect(sha256(join(dir, made?.file ?? ''))).toBe(sha256(kept))
  }
  expect((await plant.cli(['golden', 'torrent', 'nothing', '--json'])).json.error.code).toBe('GOLDEN_UNKNOWN')
  writeFileSync(join(host.dir, 'file'), '')
  expect((await plant.cli(['golden', 'torrent', 'tiny', '-o', join(host.dir, 'file'), '--json'])).json.error.code).toBe('USAGE')
}, 300_000)

test('what a domain has published is not shared, and without the option nothing is', async () => {
  const plant = await host.plant({ args: ['--bittorrent', '127.0.0.1:0'] })
  const order = join(host.dir, 'order.json')
  writeFileSync(order, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name: 'mine' }, software: { os: 'tiny', actions: [] } }))
  const { vmid } = (await plant.cli(['create', '-f', order, '--id', 'mine', '--json'])).json
  expect((await plant.cli(['golden', 'publish', vmid, '--name', 'secret', '--json'])).status).toBe(0)
  expect((await plant.cli(['golden', 'torrent', 'secret', '--json'])).json.error).toMatchObject({ code: 'USAGE', details: { problem: expect.stringContaining('published by a domain') } })
  const without = await host.plant()
  expect((await without.cli(['golden', 'torrent', 'tiny', '--json'])).json.error).toMatchObject({ code: 'USAGE', details: { problem: expect.stringContaining('--bittorrent') } })
}, 300_000)

test('a port that is taken, or no port at all, is told in one line', async () => {
  const taken = createServer()
  await new Promise<void>((resolve) => { taken.listen(0, '127.0.0.1', resolve) })
  const { port } = taken.address() as AddressInfo
  const up = async (where: string): Promise<{ status: number, stderr: string }> => cli(['up', '--data', join(host.dir, 'p'), '--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns', '--log-level', 'error', '--bittorrent', where])
  const busy = await up(`127.0.0.1:${port}`)
  expect(busy.stderr).toMatch(/^.*CONFIG_INVALID.*\n?[^]*the port is taken/)
  for (const wrong of ['6881', 'host:', ':6881', '127.0.0.1:65536', '::1:6881', 'a b:1', '127.0.0.1:-1']) {
    const { status, stderr } = await up(wrong)
    expect({ wrong, status }).toEqual({ wrong, status: 2 })
    expect(stderr).toContain('HOST:PORT')
  }
  taken.close()
}, 120_000)
