/** A BitTorrent client of others fetches a pack from the plain port. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { PlainBittorrent, torrentFile } from '../../node/drivers/plain-bittorrent.ts'
import { afterTest, quietLog } from '../support/mesh.ts'
import { MemoryPack, namesOf, pieceOf } from './packs.ts'

const run = promisify(execFile)
const aria2 = await run('aria2c', ['--version']).then(() => true, () => false)

/** A tracker that knows of one peer. */
async function tracker (port: number): Promise<string> {
  const server = createServer((_request, response) => {
    response.end(Buffer.concat([Buffer.from('d8:intervali60e5:peers6:'), Buffer.from([127, 0, 0, 1, port >> 8, port & 0xff]), Buffer.from('e')]))
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  afterTest(async () => { server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/announce`
}

test(`aria2c fetches a pack from the plain port, byte for byte${aria2 ? '' : ' (no aria2c here: only the port is opened)'}`, async () => {
  const names = namesOf(9, 40)
  const plain = await PlainBittorrent.start({ host: '127.0.0.1', port: 0, log: quietLog })
  afterTest(async () => plain.stop())
  expect(plain.port).toBeGreaterThan(0)
  const cancel = await plain.share(new MemoryPack(names, (i) => pieceOf(9, i)), names.info)
  if (!aria2) return
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-aria2-'))
  afterTest(async () => rm(dir, { recursive: true, force: true }))
  await writeFile(join(dir, 'pack.torrent'), torrentFile(names.info, await tracker(plain.port)))
  await run('aria2c', [
    '--seed-time=0', '--enable-dht=false', '--enable-dht6=false', '--bt-enable-lpd=false', '--enable-peer-exchange=false', '--no-conf', '--quiet', '--bt-stop-timeout=60', `--dir=${dir}`, join(dir, 'pack.torrent')
  ], { timeout: 90_000 })
  const got = await readFile(join(dir, '9.pack'))
  expect(got.equals(Buffer.concat(Array.from({ length: 40 }, (_, i) => pieceOf(9, i))))).toBe(true)
  cancel()
})

test('a pack that is not here whole is not shared', async () => {
  const plain = await PlainBittorrent.start({ host: '127.0.0.1', port: 0, log: quietLog })
  afterTest(async () => plain.stop())
  const names = namesOf(9, 4)
  await expect(plain.share(new MemoryPack(names), names.info)).rejects.toMatchObject({ code: 'LIMIT' })
})
