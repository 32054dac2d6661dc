/** Images become golden machines that can be cloned: a small root file system here; Debian and a cloud image in images.long.test.ts. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LiveMachine } from '../../node/lines/line.ts'
import { GUEST_PACKAGES, GUEST_WANTED } from '../../node/lines/qemu/image/build-disk.ts'
import { fetchPackages, unpackPackages } from '../../node/setup/debian-packages.ts'
import { goldenOf, newMac, newVmId, tinyGolden } from '../support/tiny.ts'
import type { TinyGolden } from '../support/tiny.ts'
import { TEST_CACHE } from './tiny-machine.ts'

const SMALL = { cpus: 1, memoryMiB: 128, diskMiB: 64 }
let tiny: TinyGolden
let dir: string

beforeAll(async () => {
  tiny = await tinyGolden()
  dir = await mkdtemp(join(tmpdir(), 'plantmesh-import-'))
})
afterAll(async () => {
  await rm(dir, { recursive: true, force: true })
  await tiny.clean()
})

async function imported (file: string, to: string, hardware = SMALL, diskOnly = false): Promise<{ diskMiB: number, suspended: boolean, shares: number[] }> {
  const shares: number[] = []
  const found = await tiny.line.images?.importImage({ file, name: 'foreign', dir: to, hardware, diskOnly, onStep: (_, share) => { shares.push(share) } })
  if (found === undefined) throw new Error('the line takes no images')
  return { ...found, shares }
}

async function identified (machine: LiveMachine): Promise<void> {
  await machine.identify({ mac: machine.mac, hostName: 'clone', machineId: randomBytes(16).toString('hex'), seed: randomBytes(32) })
}

test('a root file system with nothing but a shell becomes a machine with an agent', async () => {
  const root = join(dir, 'root')
  await unpackPackages(await fetchPackages({ names: ['busybox-static'], dir: join(TEST_CACHE, 'debs'), cacheDir: TEST_CACHE }), root)
  execFileSync('sh', ['-c', 'cd "$1"/bin && for name in sh ls cat hostname; do ln -s busybox $name; done; mkdir "$1"/etc; echo here > "$1"/etc/mark; printf "UUID=1234-5678 /boot vfat defaults 0 2\\nnone /proc proc defaults 0 0\\n" > "$1"/etc/fstab', 'sh', root])
  execFileSync('tar', ['-C', root, '-czf', join(dir, 'root.tar.gz'), '.'])
  const goldenDir = join(dir, 'golden-tar')
  const { shares, ...made } = await imported(join(dir, 'root.tar.gz'), goldenDir)
  expect(made).toEqual({ diskMiB: 64, suspended: true })
  expect(shares.every((share, at) => share >= (shares[at - 1] ?? 0) && share <= 1)).toBe(true)
  expect((await readdir(goldenDir)).sort()).toEqual(['disk.qcow2', 'initrd', 'kernel', 'ram', 'state'])
  const machine = await tiny.line.clone({ vmId: newVmId(), golden: goldenOf(tiny.line, 'foreign', SMALL), goldenDir, mac: newMac(), diskMiB: 64 })
  try {
    await identified(machine)
    const { status, outputTail } = await machine.channel('agent').run({ script: 'cat /etc/mark /proc/sys/kernel/hostname /etc/fstab', parameters: {}, files: {}, timeoutMs: 30_000 })
    expect({ status, outputTail }).toEqual({ status: 0, outputTail: 'here\nclone\n/dev/vda / ext4 defaults 0 0\nnone /proc proc defaults 0 0\n' })
  } finally {
    await machine.destroy()
  }
})

test('a disk without memory is kept as it is, and booted at the size that is ordered', async () => {
  // tiny's own disk, as somebody may have copied it: an ext4 file system over the whole of it.
  const raw = join(dir, 'disk.raw')
  execFileSync('qemu-img', ['convert', '-O', 'raw', join(tiny.goldenDir, 'disk.qcow2'), raw])
  const goldenDir = join(dir, 'golden-disk')
  const { shares: _, ...made } = await imported(raw, goldenDir, { cpus: 1, memoryMiB: 128, diskMiB: 64 }, true)
  expect(made).toEqual({ diskMiB: 512, suspended: false })
  expect((await readdir(goldenDir)).sort()).toEqual(['disk.qcow2', 'initrd', 'kernel', 'seed.iso'])
  const resized = join(dir, 'resized')
  const hardware = { cpus: 1, memoryMiB: 192, diskMiB: 512 }
  const golden = goldenOf(tiny.line, 'foreign', hardware)
  await tiny.line.resize(golden, goldenDir, hardware, resized)
  expect(await readdir(resized)).not.toContain('seed.iso')
  const machine = await tiny.line.clone({ vmId: newVmId(), golden, goldenDir: resized, mac: newMac(), diskMiB: 512 })
  try {
    await identified(machine)
    expect((await machine.channel('agent').run({ script: 'exit 7', parameters: {}, files: {}, timeoutMs: 30_000 })).status).toBe(7)
  } finally {
    await machine.destroy()
  }
})

// The first is full while packages are unpacked there, the second while the image is copied.
test.each([16, 160])('a disk of %i MiB that becomes full ends an import with DISK_FULL, and nothing of it is left', async (sizeMiB) => {
  const disk = join(dir, `small-${sizeMiB}`)
  const file = join(dir, 'big.raw')
  await mkdir(disk)
  await writeFile(file, Buffer.concat([Buffer.alloc(510), Buffer.from([0x55, 0xaa]), randomBytes(64 * 2 ** 20)]))
  // The packages are there before: their lists would not fit.
  await fetchPackages({ names: GUEST_PACKAGES, closure: true, wanted: GUEST_WANTED, dir: join(TEST_CACHE, 'debs'), cacheDir: TEST_CACHE })
  const child = join(import.meta.dirname, 'import-full-child.ts')
  const said = execFileSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs -o size="$1"m none "$2" && exec "$3" "$4" "$2" "$5" "$6"', 'sh', String(sizeMiB), disk, process.execPath, child, file, TEST_CACHE], { encoding: 'utf8' })
  expect(JSON.parse(said)).toEqual({ code: 'DISK_FULL', left: [] })
})

test('a tar whose system has no shell is refused, and nothing of it is left', async () => {
  const empty = join(dir, 'empty')
  await mkdir(empty)
  await copyFile(import.meta.filename, join(empty, 'file'))
  execFileSync('tar', ['-C', empty, '-cf', join(dir, 'empty.tar'), '.'])
  await expect(imported(join(dir, 'empty.tar'), join(dir, 'nothing'))).rejects.toMatchObject({ code: 'IMAGE_INVALID', details: { problem: expect.stringContaining('/bin/sh') as string } })
  expect(await readdir(join(dir, 'nothing'))).toEqual([])
})
