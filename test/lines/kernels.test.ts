/** Kernels that are shipped packed and unpacked once on each plant. */
import { existsSync, linkSync, statSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { GUEST_WANTED, kernelOf } from '../../node/lines/qemu/image/build-disk.ts'
import { elfOf } from '../../node/lines/qemu/kernel-image.ts'
import { KERNELS_MAX, KERNEL_LINK, Kernels } from '../../node/lines/qemu/kernels.ts'
import { fetchPackages, unpackPackages } from '../../node/setup/debian-packages.ts'
import { TEST_CACHE } from './tiny-machine.ts'

let dir: string
let packed: string
let machines = 0

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plantmesh-kernels-'))
  const debs = await fetchPackages({ names: ['linux-image-cloud-amd64'], closure: true, wanted: GUEST_WANTED, dir: join(TEST_CACHE, 'debs'), cacheDir: TEST_CACHE })
  await unpackPackages(debs, join(dir, 'unpacked'))
  packed = await kernelOf(join(dir, 'unpacked/boot'))
})
afterEach(async () => { await rm(dir, { recursive: true, force: true }) })

const kept = async (): Promise<string[]> => readdir(join(dir, 'kernels'))

async function machineDir (): Promise<string> {
  const made = join(dir, `machine-${machines++}`)
  await mkdir(made)
  return made
}

test('a packed kernel is unpacked once, and every machine has a link to the same', async () => {
  const kernels = new Kernels(join(dir, 'kernels'))
  const dirs = await Promise.all([machineDir(), machineDir(), machineDir()])
  expect(await Promise.all(dirs.map(async (machine) => kernels.ready(packed, machine)))).toEqual([KERNEL_LINK, KERNEL_LINK, KERNEL_LINK])
  const elf = elfOf(await readFile(packed))
  expect((await readFile(join(dirs[0] ?? '', KERNEL_LINK))).equals(elf ?? Buffer.alloc(0))).toBe(true)
  expect(new Set(dirs.map((machine) => statSync(join(machine, KERNEL_LINK)).ino)).size).toBe(1)
  expect(await kept()).toHaveLength(1)
})

test('a kernel of another kind is used where it is', async () => {
  const kernels = new Kernels(join(dir, 'kernels'))
  for (const content of [elfOf(await readFile(packed)) ?? '', 'no kernel at all', '']) {
    const other = join(dir, 'other')
    await writeFile(other, content)
    expect(await kernels.ready(other, await machineDir())).toBe(other)
  }
  expect(existsSync(join(dir, 'kernels'))).toBe(false)
  await expect(kernels.ready(join(dir, 'missing'), await machineDir())).rejects.toMatchObject({ code: 'ENOENT' })
})

test('what was altered, cut off or cleared away is unpacked again, and what a crash left goes', async () => {
  const ino = async (kernels: Kernels): Promise<number> => {
    const machine = await machineDir()
    await kernels.ready(packed, machine)
    return statSync(join(machine, KERNEL_LINK)).ino
  }
  const first = await ino(new Kernels(join(dir, 'kernels')))
  await writeFile(join(dir, 'kernels', 'new'), 'half')
  const kernels = new Kernels(join(dir, 'kernels'))
  expect(await ino(kernels)).toBe(first)
  expect(await kept()).toHaveLength(1)
  const [name = ''] = await kept()
  await rm(join(dir, 'kernels'), { recursive: true })
  expect(await ino(kernels)).not.toBe(first)
  expect(await kept()).toEqual([name])
  const path = join(dir, 'kernels', name)
  await chmod(path, 0o600)
  await writeFile(path, (await readFile(path)).fill(0x5a, 4096, 8192))
  const altered = statSync(path).ino
  expect(await ino(new Kernels(join(dir, 'kernels')))).not.toBe(altered)
})

test('no more unpacked kernels are kept than may be, the last used ones', async () => {
  await mkdir(join(dir, 'kernels'))
  for (let i = 0; i < KERNELS_MAX + 3; i++) await writeFile(join(dir, 'kernels', `${i}.x`), '')
  const machine = await machineDir()
  await new Kernels(join(dir, 'kernels')).ready(packed, machine)
  expect(await kept()).toHaveLength(KERNELS_MAX)
  expect(() => { linkSync(join(machine, KERNEL_LINK), join(dir, 'again')) }).not.toThrow()
})
