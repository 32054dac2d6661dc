/** Addresses in guests that are not tiny: Debian with systemd, and a file system of busybox alone. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fetchPackages, unpackPackages } from '../../node/setup/debian-packages.ts'
import type { LiveMachine, ProductionLine } from '../../node/lines/line.ts'
import { sh } from '../contracts/shell.ts'
import { SmallSwitch } from '../support/small-switch.ts'
import { goldenOf, newMac, newVmId, testLine } from '../support/tiny.ts'
import { TEST_CACHE, until } from './tiny-machine.ts'

let dir: string
let line: ProductionLine
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plantmesh-address-'))
  line = await testLine(join(dir, 'data'))
})
afterAll(async () => {
  for (const vmId of await line.leftovers()) await line.sweep(vmId)
  await rm(dir, { recursive: true, force: true })
})

/** Two clones, each with its own address, that find each other by name and forget nothing when one boots. */
async function checkAddresses (goldenDir: string, hardware: { cpus: number, memoryMiB: number, diskMiB: number }, look: string): Promise<void> {
  const network = new SmallSwitch('lab')
  const machines: LiveMachine[] = []
  try {
    for (const n of [2, 3]) {
      const machine = await line.clone({ vmId: newVmId(), golden: goldenOf(line, goldenDir, hardware), goldenDir, mac: newMac(), diskMiB: hardware.diskMiB })
      machines.push(machine)
      network.plug({ mac: machine.mac, addresses: [`10.200.1.${n}`], vmId: machine.vmId, name: `m${n}` }, await machine.network())
      const sinceMs = performance.now()
      await machine.identify({ mac: machine.mac, hostName: `host-${n}`, machineId: randomBytes(16).toString('hex'), seed: randomBytes(32), networked: true })
      const toldMs = performance.now() - sinceMs
      await until(async () => (await sh(machine, look)).includes(`10.200.1.${n}/10`) || undefined)
      console.log(`identity after ${toldMs.toFixed(0)} ms, address seen after ${(performance.now() - sinceMs).toFixed(0)}`)
    }
    const [one, other] = machines
    expect(await sh(one, 'cat /etc/resolv.conf')).toContain('search lab\nnameserver 10.192.0.1')
    expect(await sh(one, 'ping -c 1 -W 5 m3')).toMatch(/10\.200\.1\.3[\s\S]*1 (packets )?received/)
    await other?.channel('agent').run({ script: 'sync; echo b > /proc/sysrq-trigger; reboot -f', parameters: {}, files: {}, timeoutMs: 60_000 }).catch(() => {})
    await until(async () => (await sh(other, look).catch(() => '')).includes('10.200.1.3/10') || undefined)
  } finally {
    for (const machine of machines) await machine.destroy()
  }
}

test('clones of a Debian golden machine have addresses of their own', async () => {
  const hardware = { cpus: 1, memoryMiB: 512, diskMiB: 2048 }
  const goldenDir = join(dir, 'debian')
  await line.images?.buildDebian({ dir: goldenDir, hardware, onStep: () => {} })
  await checkAddresses(goldenDir, hardware, 'ip -4 addr show eth0')
})

test('so have clones of an imported file system that has no client of its own', async () => {
  const [root, unpacked] = [join(dir, 'root'), join(dir, 'unpacked')]
  await unpackPackages(await fetchPackages({ names: ['busybox-static'], dir: join(TEST_CACHE, 'debs'), cacheDir: TEST_CACHE }), unpacked)
  for (const name of ['bin', 'etc', 'root']) mkdirSync(join(root, name), { recursive: true })
  copyFileSync(join(unpacked, 'bin/busybox'), join(root, 'bin/busybox'))
  chmodSync(join(root, 'bin/busybox'), 0o755)
  execFileSync('/bin/sh', ['-c', 'for name in sh ip ps cat ping sync reboot grep; do ln -s busybox $name; done'], { cwd: join(root, 'bin') })
  const file = join(dir, 'root.tar')
  execFileSync('tar', ['-cf', file, '-C', root, '.'])
  const goldenDir = join(dir, 'imported')
  const hardware = { cpus: 1, memoryMiB: 256, diskMiB: 256 }
  expect(await line.images?.importImage({ file, name: 'bare', dir: goldenDir, hardware, diskOnly: false, onStep: () => {} })).toMatchObject({ suspended: true })
  expect((await readdir(goldenDir)).includes('ram')).toBe(true)
  await checkAddresses(goldenDir, hardware, 'ip -4 addr show eth0')
})
