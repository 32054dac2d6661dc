/** The NBD server with real clients (qemu-img, qemu-io; nbdinfo where it is installed), and with those that mean no good. */
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nbdServer, type NbdServer } from '../../../storage/drivers/nbd-server.ts'
import type { BlockSource } from '../../../storage/nbd/block-source.ts'
import { READS_MAX } from '../../../storage/nbd/constants.ts'
import { fakeLog } from '../../support/fake-log.ts'
import { QEMU_IMG, until } from '../../lines/tiny-machine.ts'
import { CHOSEN, CMD_READ, command, randomSource } from './support.ts'

const run = promisify(execFile)
const MIB = 1024 * 1024

let dir: string
let socketPath: string
let server: NbdServer | undefined
const log = fakeLog()

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plantmesh-nbd-'))
  socketPath = join(dir, 'disk.sock')
})
afterEach(async () => {
  await server?.stop()
  server = undefined
  log.lines.length = 0
  await rm(dir, { recursive: true, force: true })
})

const serve = async (source: BlockSource): Promise<void> => { server = await nbdServer({ socketPath, source, log }) }
const uri = (): string => `nbd+unix:///?socket=${socketPath}`
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A connection that has chosen the export. */
async function client (): Promise<Socket> {
  const socket = connect(socketPath)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Bytes that come until there are as many. */
async function received (socket: Socket, bytes: number): Promise<Buffer> {
  let got = Buffer.alloc(0)
  while (got.length < bytes) {
    const piece = socket.read() as Buffer | null
    if (piece === null) await once(socket, 'readable')
    else got = Buffer.concat([got, piece])
  }
  return got
}

/** The greeting, and the answers to GO. */
const HANDSHAKE_BYTES = 18 + 32 + 34 + 20

test('qemu-img reads all of it, by several connections at once, and may not write', async () => {
  const { source, content } = randomSource(20 * MIB + 512)
  await serve(source)
  expect((await stat(socketPath)).mode & 0o777).toBe(0o600)
  const copies = ['a', 'b', 'c'].map((name) => join(dir, name))
  await Promise.all(copies.map(async (copy) => run(QEMU_IMG, ['convert', '-f', 'raw', '-O', 'raw', uri(), copy])))
  for (const copy of copies) expect(digest(await readFile(copy))).toBe(digest(content))
  await expect(run('qemu-io', ['-f', 'raw', '-c', 'write 0 512', uri()])).rejects.toThrow(/read-only|Permission|denied/i)
  expect((await run('qemu-io', ['-r', '-f', 'raw', '-c', 'read 0 1', '-c', 'read 1234567 7654321', '-c', 'read 20970000 500', uri()])).stdout).toMatch(/read 7654321\/7654321/)
  await until(async () => server?.connections === 0 || undefined)
})

test('nbdinfo, where it is installed, is told what there is', async () => {
  await serve(randomSource(3 * MIB).source)
  const said = await run('nbdinfo', ['--json', uri()]).then(({ stdout }) => JSON.parse(stdout) as unknown, (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (said !== undefined) expect(said).toMatchObject({ protocol: 'newstyle-fixed', exports: [{ 'export-size': 3 * MIB, 'is_read_only': true, 'can_multi_conn': true }] })
  const listed = await run('nbdinfo', ['--list', '--json', uri()]).then(({ stdout }) => JSON.parse(stdout) as unknown, () => undefined)
  if (said !== undefined) expect(listed).toMatchObject({ exports: [{ 'export-name': '' }] })
})

test('a read that fails is an error of that read, and a source that gives too little fails it', async () => {
  const content = randomBytes(MIB)
  await serve({
    bytes: MIB,
    read: async (offset, length) => {
      if (offset >= 512 * 1024 && offset < 600 * 1024) throw new Error('gone for good')
      return content.subarray(offset, offset >= 700 * 1024 && offset < 800 * 1024 ? offset + length - 1 : offset + length)
    }
  })
  const said = await run('qemu-io', ['-r', '-f', 'raw', '-c', 'read 524288 512', '-c', 'read 720896 512', '-c', 'read 0 512', uri()]).catch((error: { stdout: string, stderr: string }) => error)
  expect(`${said.stdout}${said.stderr}`.match(/Input\/output error/g)).toHaveLength(2)
  expect(said.stdout).toMatch(/read 512\/512 bytes at offset 0/)
  expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(2)
})

test('garbage ends the connection that it comes from, and no other', async () => {
  const { source, content } = randomSource(MIB)
  await serve(source)
  const good = await client()
  good.write(CHOSEN)
  await received(good, HANDSHAKE_BYTES)
  for (let i = 0; i < 200; i++) {
    const bad = await client()
    bad.resume()
    bad.write(i % 2 === 0 ? randomBytes(1 + i * 7) : Buffer.concat([CHOSEN, randomBytes(28 + i)]))
    bad.end()
    await once(bad, 'close')
  }
  good.write(command(CMD_READ, 1000, 100))
  expect((await received(good, 116)).subarray(16)).toEqual(content.subarray(1000, 1100))
  good.destroy()
  await until(async () => server?.connections === 0 || undefined)
})

test('a client that goes calls off its reads; one that does not read its answers is not read from, and holds up nobody', async () => {
  let open = 0
  let most = 0
  const { source, content } = randomSource(4 * MIB, async (offset, _length, signal) => {
    if (offset !== 1) return
    most = Math.max(most, ++open)
    await new Promise<void>((_resolve, reject) => { signal.addEventListener('abort', () => { open--; reject(signal.reason as Error) }) })
  })
  await serve(source)
  const goes = await client()
  goes.resume()
  goes.write(Buffer.concat([CHOSEN, ...Array.from({ length: READS_MAX - 1 }, () => command(CMD_READ, 1, 10))]))
  await until(async () => open === READS_MAX - 1 || undefined)
  goes.destroy()
  await until(async () => open === 0 || undefined)
  // One that asks for more than may be open is not read from, so that it is seen to be gone only when a read ends.
  const greedy = await client()
  greedy.resume()
  greedy.write(Buffer.concat([CHOSEN, ...Array.from({ length: 500 }, () => command(CMD_READ, 1, 10))]))
  await until(async () => open === READS_MAX || undefined)
  // Asks for 4 GiB and takes nothing of it.
  const lazy = await client()
  lazy.pause()
  lazy.write(CHOSEN)
  for (let i = 0; i < 1024; i++) lazy.write(command(CMD_READ, 0, 4 * MIB))
  const { stdout } = await run('qemu-io', ['-r', '-f', 'raw', '-c', 'read 0 4M', uri()])
  expect(stdout).toMatch(/read 4194304\/4194304/)
  expect(process.memoryUsage().arrayBuffers).toBeLessThan(200 * MIB)
  expect(digest(content)).toBe(digest((await source.read(0, 4 * MIB, new AbortController().signal))))
  lazy.destroy()
  await server?.stop()
  expect({ open, most }).toEqual({ open: 0, most: READS_MAX })
})

test('reads that wait for the next server get their bytes from it, without an error', async () => {
  let waiting = 0
  const { source, content } = randomSource(2 * MIB, async (_offset, _length, signal) => {
    waiting++
    await new Promise<void>((_resolve, reject) => { signal.addEventListener('abort', () => { reject(signal.reason as Error) }) })
  })
  await serve(source)
  const target = join(dir, 'copy')
  const disk = { 'driver': 'raw', 'file': { 'driver': 'nbd', 'server': { type: 'unix', path: socketPath }, 'reconnect-delay': 60 } }
  const converting = run(QEMU_IMG, ['convert', '-O', 'raw', `json:${JSON.stringify(disk)}`, target])
  await until(async () => waiting > 0 || undefined)
  await server?.stop()
  server = await nbdServer({ socketPath, source: { bytes: source.bytes, read: async (offset, length) => content.subarray(offset, offset + length) }, log })
  await converting
  expect(digest(await readFile(target))).toBe(digest(content))
})

test('what an earlier run left at the path is replaced, and what cannot be listened at is said', async () => {
  await writeFile(socketPath, '')
  await serve(randomSource(512).source)
  await run('qemu-io', ['-r', '-f', 'raw', '-c', 'read 0 512', uri()])
  await expect(nbdServer({ socketPath: join(dir, 'none', 'disk.sock'), source: randomSource(512).source, log })).rejects.toThrow(/ENOENT|EACCES/)
})
