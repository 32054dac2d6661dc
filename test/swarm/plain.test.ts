/** BitTorrent clients of others fetch packs from the plain port, with nothing but a .torrent file. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { PlainBittorrent, torrentFile } from '../../node/drivers/plain-bittorrent.ts'
import { PIECE_BYTES } from '../../storage/swarm/constants.ts'
import { afterTest, quietLog, until } from '../support/mesh.ts'
import { MemoryPack, namesOf, pieceOf } from './packs.ts'

const run = promisify(execFile)
const aria2 = await run('aria2c', ['--version']).then(() => true, () => false)
const libtorrent = await run('/usr/bin/python3', ['-c', 'import libtorrent']).then(() => true, () => false)
const NOT_HERE = ' (not here: only the port is opened)'

const COUNT = 40
const names = namesOf(9, COUNT)
const content = Buffer.concat(Array.from({ length: COUNT }, (_, i) => pieceOf(9, i)))
const whole = (): MemoryPack => new MemoryPack(names, (i) => pieceOf(9, i))

async function plainPort (): Promise<PlainBittorrent> {
  const plain = await PlainBittorrent.start({ host: '127.0.0.1', port: 0, log: quietLog })
  afterTest(async () => plain.stop())
  return plain
}

async function dirWithTorrent (plain: PlainBittorrent): Promise<{ dir: string, torrent: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-plain-'))
  afterTest(async () => rm(dir, { recursive: true, force: true }))
  const torrent = join(dir, 'pack.torrent')
  await writeFile(torrent, torrentFile(names.info, plain.trackers))
  return { dir, torrent }
}

/** What is written when this has been heard. */
interface Step { heard: Buffer, write: Buffer }

/** All that the port answers to these bytes and to the steps after them, until it closes or has said nothing for a while. */
async function answerTo (plain: PlainBittorrent, bytes: Buffer | string, quietMs = 700, steps: Step[] = []): Promise<Buffer> {
  const socket = connect(plain.port, '127.0.0.1')
  const heard: Buffer[] = []
  const left = [...steps]
  socket.on('data', (data) => {
    heard.push(data)
    while (left[0] !== undefined && Buffer.concat(heard).includes(left[0].heard)) socket.write(left.shift()?.write ?? '')
  }).on('error', () => {})
  socket.write(bytes)
  await new Promise<void>((resolve) => {
    socket.setTimeout(quietMs, resolve)
    socket.once('close', () => { resolve() })
  })
  socket.destroy()
  return Buffer.concat(heard)
}

const ask = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: here\r\n\r\n`
const hashText = [...Buffer.from(names.infoHash, 'hex')].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')

test(`aria2c fetches a pack with nothing but its .torrent file, byte for byte${aria2 ? '' : NOT_HERE}`, async () => {
  const plain = await plainPort()
  expect(plain.port).toBeGreaterThan(0)
  const cancel = await plain.share(whole(), names.info)
  if (!aria2) return
  const { dir, torrent } = await dirWithTorrent(plain)
  await run('aria2c', ['--seed-time=0', '--enable-dht=false', '--enable-dht6=false', '--bt-enable-lpd=false', '--no-conf', '--quiet', '--bt-stop-timeout=60', `--dir=${dir}`, torrent], { timeout: 90_000 })
  expect((await readFile(join(dir, '9.pack'))).equals(content)).toBe(true)
  cancel()
}, 100_000)

test(`libtorrent fetches it the same way${libtorrent ? '' : NOT_HERE}`, async () => {
  const plain = await plainPort()
  await plain.share(whole(), names.info)
  if (!libtorrent) return
  const { dir, torrent } = await dirWithTorrent(plain)
  await run('/usr/bin/python3', [join(import.meta.dirname, 'libtorrent-fetch.py'), torrent, dir], { timeout: 90_000 })
  expect((await readFile(join(dir, '9.pack'))).equals(content)).toBe(true)
}, 100_000)

test('the tracker tells of the plant to whoever asks for what is shared, and of nothing else', async () => {
  const plain = await plainPort()
  const cancel = await plain.share(whole(), names.info)
  const announce = `/announce?info_hash=${hashText}&peer_id=${'x'.repeat(20)}&port=7001&left=1&compact=1&event=started`
  const self = Buffer.from([127, 0, 0, 1, plain.port >> 8, plain.port & 0xff])
  expect((await answerTo(plain, ask(announce))).includes(self)).toBe(true)
  // The second client is told of the first.
  const second = await answerTo(plain, ask(announce.replace('7001', '7002').replaceAll('x', 'y')))
  expect(second.includes(Buffer.from([127, 0, 0, 1, 7001 >> 8, 7001 & 0xff]))).toBe(true)
  const other = `/announce?info_hash=${'%11'.repeat(20)}&peer_id=${'x'.repeat(20)}&port=7001&left=1&compact=1`
  expect((await answerTo(plain, ask(other))).toString('latin1')).toContain('failure reason')
  expect((await answerTo(plain, ask('/scrape'))).toString('latin1')).toContain('404')
  cancel()
  expect((await answerTo(plain, ask(announce))).toString('latin1')).toContain('failure reason')
})

test('rubbish, floods and requests beyond a piece cost the client its connection, and give it nothing', async () => {
  const plain = await plainPort()
  await plain.share(whole(), names.info)
  const shake = Buffer.concat([Buffer.from('\u0013BitTorrent protocol'), Buffer.alloc(8), Buffer.from(names.infoHash, 'hex'), Buffer.alloc(20, 0x2d)])
  const request = (piece: number, offset: number, length: number): Buffer => {
    const bytes = Buffer.alloc(17)
    bytes.writeUInt32BE(13)
    bytes[4] = 6
    for (const [i, value] of [piece, offset, length].entries()) bytes.writeUInt32BE(value, 5 + i * 4)
    return bytes
  }
  const BITFIELD = Buffer.from([0, 0, 0, 1 + Math.ceil(COUNT / 8), 5])
  const UNCHOKE = Buffer.from([0, 0, 0, 1, 1])
  const asking = async (piece: number, offset: number, length: number): Promise<Buffer> =>
    answerTo(plain, shake, 700, [{ heard: BITFIELD, write: Buffer.from([0, 0, 0, 1, 2]) }, { heard: UNCHOKE, write: request(piece, offset, length) }])
  expect((await asking(3, 16_384, 16_384)).includes(pieceOf(9, 3).subarray(16_384, 32_768))).toBe(true)
  for (const [piece, offset, length] of [[3, 60_000, 120_000], [3, 0, PIECE_BYTES + 1], [3, 0xffff_ff00, 16_384], [COUNT, 0, 16_384], [0xffff_ffff, 0, 16_384]] as const) {
    expect((await asking(piece, offset, length)).length).toBeLessThan(1_000)
  }
  for (const rubbish of [
    Buffer.alloc(4_096, 0xa5), Buffer.from(shake).fill(0xee, 28, 48), 'GET / HTTP/9.9\r\n\r\n', 'GET /announce?info_hash=%&peer_id=%ff HTTP/1.1\r\nhost: x\r\n\r\n', ask(`/announce?${'a=b&'.repeat(2_000)}`),
    ask(`/announce?info_hash=${hashText}&peer_id=${'x'.repeat(20)}&port=1&port=2&left=-1&numwant=-5&event=__proto__&compact=7`), ask(`/announce?info_hash=__proto__`), `GET ${'/a'.repeat(40_000)}`
  ]) expect((await answerTo(plain, rubbish, 300)).length).toBeLessThan(1_000)
  const flood: Socket[] = []
  afterTest(async () => { for (const socket of flood) socket.destroy() })
  let closed = 0
  for (let i = 0; i < 200; i++) flood.push(connect(plain.port, '127.0.0.1').on('error', () => {}).once('close', () => { closed++ }).resume())
  await until('all but a few of one address are closed', () => closed >= 200 - 16)
  for (const socket of flood) socket.destroy()
  await until('others are let in again', async () => (await answerTo(plain, ask('/x'), 300)).includes('404'))
})

test('a taken port and an address of others are told in one line', async () => {
  const taken = createServer()
  await new Promise<void>((resolve) => { taken.listen(0, '127.0.0.1', resolve) })
  afterTest(async () => { taken.close() })
  const { port } = taken.address() as AddressInfo
  await expect(PlainBittorrent.start({ host: '127.0.0.1', port, log: quietLog })).rejects.toMatchObject({ code: 'CONFIG_INVALID', details: { field: 'bittorrent', problem: 'the port is taken' } })
  await expect(PlainBittorrent.start({ host: '192.0.2.1', port: 0, log: quietLog })).rejects.toMatchObject({ code: 'CONFIG_INVALID', details: { problem: 'the address is not one of this host' } })
})

test('a pack that is not here whole is not shared', async () => {
  const plain = await plainPort()
  const few = namesOf(9, 4)
  await expect(plain.share(new MemoryPack(few), few.info)).rejects.toMatchObject({ code: 'LIMIT' })
})
