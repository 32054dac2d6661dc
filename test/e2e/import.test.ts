/** Foreign images become golden machines by the command, machines of them run, and what may not be taken in is refused with a reason. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fetchPackages, unpackPackages } from '../../node/setup/debian-packages.ts'
import { TEST_CACHE } from '../lines/tiny-machine.ts'
import { TestHost, until, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plant: TestPlant
let root: string

beforeAll(async () => {
  plant = await host.plant({ golden: false })
  root = join(host.dir, 'root')
  await unpackPackages(await fetchPackages({ names: ['busybox-static'], dir: join(TEST_CACHE, 'debs'), cacheDir: TEST_CACHE }), root)
  execFileSync('sh', ['-c', 'cd "$1"/bin && for name in sh ls cat hostname md5sum find sort xargs; do ln -s busybox $name; done; mkdir "$1"/etc; head -c 8000000 /dev/urandom > "$1"/etc/rest; echo here > "$1"/etc/mark', 'sh', root])
  execFileSync('tar', ['-C', root, '-cf', join(host.dir, 'root.tar'), '.'])
})
afterAll(async () => { await host.cleanUp() })

const SMALL = ['--memory', '128', '--disk', '64']
const TEST_MS = 360_000

async function machineOf (os: string, on: TestPlant): Promise<string> {
  const file = join(host.dir, `${os}.json`)
  writeFileSync(file, JSON.stringify({
    apiVersion: 'plantmesh/v1', kind: 'Machine', hardware: { cpus: 1, memoryMiB: 128, diskMiB: 64 }, software: { os, actions: [{ id: 'mark', script: 'echo "Mark=$(cat /etc/mark)" >> "$PLANT_OUTPUT"' }] },
    requirements: `other.PeerId == "${on.peerId}"`
  }))
  const made = await on.cli(['create', '-f', file, '--json'])
  expect(made.json, made.stdout + made.stderr).toMatchObject({ state: 'running', attributes: { Mark: 'here' } })
  return made.json.vmid
}

test('a tar archive is imported with its progress told, and an order gets a machine of it', async () => {
  const made = await plant.cli(['golden', 'import', join(host.dir, 'root.tar'), '--name', 'archive', ...SMALL])
  expect(made.status, made.stderr).toBe(0)
  expect(made.stderr).toContain('making the disk')
  expect(made.stderr).toMatch(/suspending it .*\(\d+ %, about \d+ s left\)/)
  const vmid = await machineOf('archive', plant)
  expect((await plant.cli(['exec', vmid, '--', 'cat', '/etc/mark'])).stdout).toBe('here\n')
}, TEST_MS)

test('a raw file system is kept as a disk', async () => {
  const raw = join(host.dir, 'disk.raw')
  execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', root, raw, '64M'], { env: { ...process.env, PATH: `${process.env['PATH']}:/sbin:/usr/sbin` } })
  const foreign = await plant.cli(['golden', 'import', raw, '--name', 'bare', '--disk-only', ...SMALL, '--json'])
  expect(foreign.json, foreign.stdout + foreign.stderr).toMatchObject({ name: 'bare', os: 'bare' })
}, TEST_MS)

test('a disk-only image is booted by another plant before it has come', async () => {
  expect((await plant.cli(['golden', 'import', join(host.dir, 'root.tar'), '--name', 'cold', '--disk-only', ...SMALL, '--json'])).json).toMatchObject({ name: 'cold' })
  // 18 MiB of kernel and initrd at 24 Mbit/s, and 11 MiB of disk after them.
  const other = await host.plant({ golden: false, bootstrap: plant.addresses, args: ['--download-max', '24', '--log-level', 'info'] })
  await until(async () => ((await other.cli(['golden', 'list', '--mesh', '--json'])).json as unknown[]).length > 0, 60_000, 'the mesh is known')
  const vmid = await machineOf('cold', other)
  await until(() => other.log().includes('machine switched'), 120_000, 'the machine is switched')
  const read = await other.cli(['exec', vmid, '--', 'md5sum', '/etc/rest'])
  expect(read.stdout.slice(0, 32)).toBe(execFileSync('md5sum', [join(root, 'etc/rest')], { encoding: 'utf8' }).slice(0, 32))
}, TEST_MS)

test('images that name other files, are encrypted, cut off, absurd or none are refused, and nothing of them is left', async () => {
  const dir = join(host.dir, 'bad')
  mkdirSync(dir)
  const create = (name: string, ...args: string[]): string => {
    execFileSync('qemu-img', ['create', '-q', ...args, join(dir, name), ...(args.includes('-b') ? [] : ['64M'])])
    return name
  }
  const written = (name: string, bytes: Buffer | string): string => { writeFileSync(join(dir, name), bytes); return name }
  const whole = readFileSync(join(dir, create('whole.qcow2', '-f', 'qcow2')))
  truncateSync(join(dir, create('cut.qcow2', '-f', 'qcow2', '-o', 'preallocation=full')), 80_000)
  const absurd = Buffer.from(whole)
  absurd.writeBigUInt64BE(2n ** 55n, 24)
  const encrypted = Buffer.from(whole)
  encrypted.writeUInt32BE(2, 32) // Method LUKS. Having qemu-img make one takes a benchmark of the host, which fails on a busy one.
  const lz = execFileSync('gzip', ['-c'], { input: readFileSync(join(host.dir, 'root.tar')), maxBuffer: 2 ** 28 })
  const bad = [
    create('backed.qcow2', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd'), create('external.qcow2', '-f', 'qcow2', '-o', `data_file=${join(dir, 'data')}`),
    create('disk.vmdk', '-f', 'vmdk'), 'cut.qcow2', written('absurd.qcow2', absurd), written('encrypted.qcow2', encrypted), written('empty', ''), written('short.qcow2', whole.subarray(0, 60)), written('text', 'no image'),
    written('cut.tar.gz', lz.subarray(0, 100_000)), written('cut.tar', readFileSync(join(host.dir, 'root.tar')).subarray(0, 700_000))
  ]
  const before = (await plant.cli(['golden', 'list', '--json'])).json
  for (const name of bad) {
    const said = await plant.cli(['golden', 'import', join(dir, name), '--name', 'bad', ...SMALL, '--json'])
    expect(said.json, name).toMatchObject({ error: { code: 'IMAGE_INVALID', details: { problem: expect.any(String) as string } } })
    expect(said.status, name).not.toBe(0)
  }
  expect((await plant.cli(['golden', 'list', '--json'])).json).toEqual(before)
  expect(readdirSync(join(plant.dataDir, 'warehouse', 'drafts'))).toEqual([])
}, TEST_MS)
