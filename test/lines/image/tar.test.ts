import { execFileSync } from 'node:child_process'
import { mkdtemp, mkdir, readFile, readdir, readlink, rm, symlink, writeFile, chmod, link } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RootTree } from '../../../node/lines/qemu/image/root-tree.ts'
import { readTar, isTar } from '../../../node/lines/qemu/image/tar-read.ts'
import type { TarEntry } from '../../../node/lines/qemu/image/tar-read.ts'
import { tarArchive } from '../../../node/lines/qemu/image/tar-write.ts'

const LIMIT_BYTES = 1_000_000
let dir: string

beforeEach(async () => { dir = await mkdtemp(join(tmpdir(), 'plantmesh-tar-')) })
afterEach(async () => { await rm(dir, { recursive: true, force: true }) })

async function treeOf (archive: Uint8Array, pieceBytes = 777): Promise<RootTree> {
  const root = join(dir, 'root')
  await mkdir(root)
  const tree = new RootTree(root, LIMIT_BYTES)
  await readTar(inPieces(archive, pieceBytes), async (entry, content) => { await tree.take(entry, content) })
  return tree
}

async function * inPieces (bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

/** Entries as a hostile archive may have them; none of `content`. */
async function treeOfEntries (...entries: Array<Partial<TarEntry>>): Promise<RootTree> {
  const root = join(dir, 'root')
  await mkdir(root)
  const tree = new RootTree(root, LIMIT_BYTES)
  for (const entry of entries) {
    const data = Buffer.from('mine')
    await tree.take({ name: '', kind: 'file', mode: 0o644, uid: 0, gid: 0, mtimeS: 0, bytes: data.length, link: '', ...entry }, inPieces(data, 1))
  }
  return tree
}

test.each(['ustar', 'pax', 'gnu'])('an archive in format %s becomes the tree that was packed', async (format) => {
  const from = join(dir, 'from')
  const long = `${'d'.repeat(90)}/${'e'.repeat(60)}`
  await mkdir(join(from, 'usr/bin'), { recursive: true })
  await mkdir(join(from, long), { recursive: true })
  await writeFile(join(from, 'usr/bin/tool'), 'x'.repeat(300_000))
  await chmod(join(from, 'usr/bin/tool'), 0o4755)
  await link(join(from, 'usr/bin/tool'), join(from, 'usr/bin/same'))
  await symlink('usr/bin', join(from, 'bin'))
  await writeFile(join(from, long, 'f'), 'deep')
  execFileSync('tar', ['--format', format, '--owner=:1234', '--group=:99', '--mtime=@1000000000', '-C', from, '-cf', join(dir, 'a.tar'), '.'])
  const archive = await readFile(join(dir, 'a.tar'))
  expect(isTar(archive)).toBe(true)
  const tree = await treeOf(archive)
  expect(tree.find('bin/tool')).toMatchObject({ path: 'usr/bin/tool', node: { kind: 'file', mode: 0o4755, uid: 1234, gid: 99, mtimeS: 1_000_000_000 } })
  expect((await readFile(join(tree.dir, 'usr/bin/same'))).equals(Buffer.from('x'.repeat(300_000)))).toBe(true)
  expect(await tree.text(`${long}/f`)).toBe('deep')
  expect(await readlink(join(tree.dir, 'bin'))).toBe('usr/bin')
})

test('names that lead upward, are absolute, or go through links stay in the tree', async () => {
  const tree = await treeOfEntries(
    { name: '../../escaped' }, { name: '/etc/passwd' }, { name: 'out', kind: 'symlink', link: '/etc' }, { name: 'out/shadow' },
    { name: 'up', kind: 'symlink', link: '../../../..' }, { name: 'up/top' }, { name: 'hard', kind: 'hardlink', link: '../../etc/passwd' }
  )
  expect(tree.find('escaped')?.node.kind).toBe('file')
  expect(await tree.text('etc/shadow')).toBe('mine')
  expect(await tree.text('top')).toBe('mine')
  expect(await tree.text('hard')).toBe('mine')
  expect((await readdir(dir)).sort()).toEqual(['root'])
  expect((await readdir(tree.dir)).sort()).toEqual(['escaped', 'etc', 'hard', 'out', 'top', 'up'])
})

test.each<[string, Array<Partial<TarEntry>>]>([
  ['a link to itself is gone through', [{ name: 'a', kind: 'symlink', link: 'a' }, { name: 'a/b' }]],
  ['a file is used as a directory', [{ name: 'a' }, { name: 'a/b' }]],
  ['a file replaces a directory', [{ name: 'a/b' }, { name: 'a' }]],
  ['a hard link names nothing', [{ name: 'a', kind: 'hardlink', link: 'nowhere' }]],
  ['a link that leads nowhere is gone through', [{ name: 'a', kind: 'symlink', link: 'nowhere' }, { name: 'a/b' }]],
  ['a name has a line break', [{ name: 'a\nquit' }]],
  ['a name is longer than a disk takes', [{ name: 'n'.repeat(256) }]],
  ['a name ends in ..', [{ name: 'a/..' }]],
  ['the files are larger than the disk', [{ name: 'a', bytes: LIMIT_BYTES + 1 }]]
])('a tree refuses entries when %s', async (_, entries) => {
  await expect(treeOfEntries(...entries)).rejects.toMatchObject({ code: 'IMAGE_INVALID' })
})

test('an archive that is cut off anywhere or damaged in its headers is refused, and nothing hangs', async () => {
  const archive = tarArchive([{ name: 'a', data: Buffer.alloc(1000, 1), mode: 0o644 }, { name: 'b', data: Buffer.alloc(10, 2), mode: 0o600 }])
  const names = async (bytes: Uint8Array): Promise<string[]> => {
    const found: string[] = []
    await readTar(inPieces(bytes, 100), async (entry) => { found.push(entry.name) })
    return found
  }
  expect(await names(archive)).toEqual(['a', 'b'])
  await fc.assert(fc.asyncProperty(fc.nat(1535), async (end) => {
    await expect(names(archive.subarray(0, end))).rejects.toMatchObject({ code: 'IMAGE_INVALID' })
  }))
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 4096 }), async (bytes) => {
    await names(bytes).catch((error: unknown) => { expect(error).toMatchObject({ code: 'IMAGE_INVALID' }) })
  }))
  await fc.assert(fc.asyncProperty(fc.nat(511), fc.integer({ min: 1, max: 255 }), async (at, change) => {
    const other = Buffer.from(archive)
    other[at] = (other[at] ?? 0) ^ change
    await names(other).then((found) => { expect(found.length).toBeLessThanOrEqual(2) }, (error: unknown) => { expect(error).toMatchObject({ code: 'IMAGE_INVALID' }) })
  }))
})
