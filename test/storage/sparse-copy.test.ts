import { open, readFile, stat, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sparseCopy } from '../../storage/drivers/sparse-copy.ts'
import { tempDir } from './support.ts'

const MIB = 2 ** 20

test('a copy has the same bytes and the same holes', async () => {
  const dir = await tempDir()
  const [from, to] = [join(dir, 'from'), join(dir, 'to')]
  const file = await open(from, 'w')
  await file.truncate(64 * MIB + 4_321)
  for (const at of [0, 7 * MIB + 13, 30 * MIB, 64 * MIB + 4_000]) await file.write(randomBytes(321), 0, 321, at)
  await file.close()
  await sparseCopy(from, to)
  expect((await readFile(to)).equals(await readFile(from))).toBe(true)
  expect((await stat(to)).blocks * 512).toBeLessThan(2 * MIB)
})

test('a file that is there is not written over', async () => {
  const dir = await tempDir()
  await writeFile(join(dir, 'from'), 'new')
  await writeFile(join(dir, 'to'), 'old')
  await expect(sparseCopy(join(dir, 'from'), join(dir, 'to'))).rejects.toMatchObject({ code: 'EEXIST' })
  expect(await readFile(join(dir, 'to'), 'utf8')).toBe('old')
})

test('an empty file and one that ends within a piece are copied whole', async () => {
  const dir = await tempDir()
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(10), randomBytes(65_537), randomBytes(MIB + 1)]) {
    const name = join(dir, String(bytes.length))
    await writeFile(name, bytes)
    await sparseCopy(name, `${name}.copy`)
    expect((await readFile(`${name}.copy`)).equals(bytes)).toBe(true)
  }
})
