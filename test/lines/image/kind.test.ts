import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { importDisk } from '../../../node/lines/qemu/image/import-image.ts'
import { checkQcow2, imageKind } from '../../../node/lines/qemu/image/image-kind.ts'
import { TEST_CACHE } from '../tiny-machine.ts'

let dir: string

beforeEach(async () => { dir = await mkdtemp(join(tmpdir(), 'plantmesh-kind-')) })
afterEach(async () => { await rm(dir, { recursive: true, force: true }) })

function qcow2 (name: string, ...args: string[]): string {
  const path = join(dir, name)
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...args, path, '64M'])
  return path
}

async function refused (file: string): Promise<unknown> {
  return await importDisk({ file, name: 'x', dir: join(dir, 'out'), diskMiB: 64, cacheDir: TEST_CACHE, qemu: { img: 'qemu-img', env: process.env }, onStep: () => {} }).then(() => 'taken', (error: unknown) => error)
}

test('an image is told by its first bytes', async () => {
  const whole = await readFile(qcow2('whole.qcow2'))
  expect(imageKind(whole, whole.length)).toBe('qcow2')
  expect(checkQcow2(whole, whole.length)).toBe(64 * 2 ** 20)
  const boots = Buffer.alloc(4096)
  boots.writeUInt16LE(0xaa55, 510)
  expect(imageKind(boots, 2 ** 20)).toBe('disk')
  const ext4 = Buffer.alloc(4096)
  ext4.writeUInt16LE(0xef53, 1080)
  expect(imageKind(ext4, 2 ** 20)).toBe('filesystem')
  expect(imageKind(Buffer.from('1f8b0800', 'hex'), 4)).toBe('tar.gz')
  expect(() => imageKind(Buffer.from('KDMV....'), 8)).toThrow('cannot be taken in')
  expect(() => imageKind(boots, 2 ** 50)).toThrow('cannot be taken in')
})

test('a qcow2 image that names another file is refused before anything opens it', async () => {
  qcow2('base.qcow2')
  const backed = join(dir, 'backed.qcow2')
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', join(dir, 'base.qcow2'), '-F', 'qcow2', backed])
  const external = qcow2('external.qcow2', '-o', `data_file=${join(dir, 'data.raw')}`)
  for (const file of [backed, external]) expect(await refused(file)).toMatchObject({ code: 'IMAGE_INVALID', details: { problem: expect.stringContaining('flatten') as string } })
})

test('what is not an image, is cut off, absurd, missing or a directory is refused, and nothing is left', async () => {
  const cut = qcow2('cut.qcow2')
  await truncate(cut, 70_000)
  const absurd = qcow2('absurd.qcow2')
  const head = await readFile(absurd)
  head.writeBigUInt64BE(2n ** 60n, 24)
  await writeFile(absurd, head)
  const text = join(dir, 'text')
  await writeFile(text, 'not an image')
  const empty = join(dir, 'empty')
  await writeFile(empty, '')
  for (const file of [cut, absurd, text, empty, join(dir, 'missing'), dir, '/dev/zero']) expect(await refused(file), file).toMatchObject({ code: 'IMAGE_INVALID' })
})

test('a header of any bytes is refused or has a size within bounds', async () => {
  const whole = (await readFile(qcow2('whole.qcow2'))).subarray(0, 1024)
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(127), fc.nat(255)), { minLength: 1, maxLength: 8 }), (changes) => {
    const head = Buffer.from(whole)
    for (const [at, byte] of changes) head[at] = byte
    try {
      expect(checkQcow2(head, 262_144)).toBeLessThanOrEqual(2 ** 41)
    } catch (error) {
      expect(error).toMatchObject({ code: 'IMAGE_INVALID' })
    }
  }), { numRuns: 1000 })
})
