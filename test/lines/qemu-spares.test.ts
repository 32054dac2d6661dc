/** Spares of the QEMU line: the contract, and what is inside their guests. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cpuMsOf, processesIn } from '../../node/lines/qemu/processes.ts'
import type { LiveMachine, SpareMachine } from '../../node/lines/line.ts'
import { describeLineSpares } from '../contracts/line-spares.ts'
import { sh } from '../contracts/shell.ts'
import { newMac, newVmId, testLine, tinyGolden, type TinyGolden } from '../support/tiny.ts'

const remainsOf = async (dataDir: string): Promise<string[]> => (await Promise.all(['machines', 'helpers'].map(async (room) => (await readdir(join(dataDir, room)).catch((): string[] => [])).map((name) => join(room, name))))).flat()

describeLineSpares('qemu', async () => {
  const { line, golden, goldenDir, dataDir, clean } = await tinyGolden()
  return {
    line, golden, goldenDir, clean,
    reopen: async () => await testLine(dataDir),
    kill: ({ pid }) => { process.kill(pid, 'SIGKILL') },
    processes: async () => (await processesIn(dataDir, '')).map(({ pid }) => pid),
    remains: async () => await remainsOf(dataDir),
    after: (ms, fn) => {
      const timer = setTimeout(fn, ms)
      return () => { clearTimeout(timer) }
    },
    scratch: async () => await mkdtemp(join(dataDir, 'golden-'))
  }
})

let tiny: TinyGolden
beforeAll(async () => { tiny = await tinyGolden() })
afterAll(async () => { await tiny?.clean() })

const prepare = async (): Promise<SpareMachine> => await tiny.line.prepare({ vmId: newVmId(), golden: tiny.golden, goldenDir: tiny.goldenDir, mac: newMac() })
const ordered = async (spare: SpareMachine, diskMiB = tiny.golden.hardware.diskMiB): Promise<LiveMachine> => {
  const machine = await spare.handOut({ vmId: newVmId(), diskMiB })
  await machine.identify({ mac: machine.mac, hostName: `host-${machine.vmId.slice(0, 8)}`, machineId: machine.vmId, seed: randomBytes(32) })
  return machine
}

test('machines that were spares share no part of their identity with each other, a clone, or what they were in rehearsal', async () => {
  const { line, golden, goldenDir } = tiny
  const mac = newMac()
  const clone = await line.clone({ vmId: newVmId(), golden, goldenDir, mac, diskMiB: golden.hardware.diskMiB })
  await clone.identify({ mac, hostName: `host-${clone.vmId.slice(0, 8)}`, machineId: clone.vmId, seed: randomBytes(32) })
  const machines = [clone, ...await Promise.all([await prepare(), await prepare(), await prepare()].map(async (spare) => await ordered(spare)))]
  const parts = await Promise.all(machines.map(async (machine) => (await sh(machine, 'hostname; cat /etc/machine-id /sys/class/net/eth0/address; head -c 32 /dev/urandom | md5sum; md5sum < /etc/plant/seed')).trim().split('\n')))
  for (const at of [0, 1, 2, 3, 4]) expect(new Set(parts.map((part) => part[at])).size, `part ${at}`).toBe(machines.length)
  for (const [i, machine] of machines.entries()) expect(parts[i]?.slice(0, 3)).toEqual([`host-${machine.vmId.slice(0, 8)}`, machine.vmId, machine.mac])
  expect(await sh(machines[1], 'grep -rl spare- /etc /proc/sys/kernel/hostname || true')).toBe('')
  for (const machine of machines) await machine.destroy()
}, 120_000)

test('random bytes of two spares differ before anybody has told them who they are', async () => {
  const machines = await Promise.all([await prepare(), await prepare()].map(async (spare) => await spare.handOut({ vmId: newVmId(), diskMiB: tiny.golden.hardware.diskMiB })))
  const [one, other] = await Promise.all(machines.map(async (machine) => await sh(machine, 'head -c 32 /dev/urandom | md5sum')))
  expect(one).not.toBe(other)
  for (const machine of machines) await machine.destroy()
}, 60_000)

test('a spare stands still, and has the time of its host once it is handed out', async () => {
  const spare = await prepare()
  const [vmm] = await processesIn(tiny.dataDir, '')
  const usedMs = (): number => cpuMsOf(vmm?.pid ?? 0)
  const beforeMs = usedMs()
  await new Promise((resolve) => setTimeout(resolve, 3_000)) // It is this time that it must not have used, and must know of.
  expect(usedMs() - beforeMs).toBeLessThan(100)
  const machine = await ordered(spare)
  expect(Math.abs(Number(await sh(machine, 'date +%s')) * 1_000 - Date.now())).toBeLessThan(2_500)
  await machine.destroy()
}, 60_000)

test('a machine that was a spare has all that a machine has: disk of the size asked, console, network, drives, its own log, a copy, an adoption', async () => {
  const machine = await ordered(await prepare(), 900)
  expect(Number(await sh(machine, 'df -m / | tail -n 1 | awk \'{print $2}\''))).toBeGreaterThan(800)
  const wire = await machine.network()
  const console = await machine.console()
  await (await machine.attachDisk(16))()
  expect((await machine.stats()).overlayBytes).toBeGreaterThan(0)
  await machine.pause()
  await machine.resume()
  expect(await sh(machine, 'echo here')).toBe('here\n')
  const dir = await mkdtemp(join(tiny.dataDir, 'golden-'))
  expect(await tiny.line.publish(machine, dir)).toEqual({ diskMiB: 900 })
  wire.destroy()
  console.destroy()
  await machine.release()
  const adopted = await (await testLine(tiny.dataDir)).adopt(machine.vmId)
  expect(await sh(adopted, 'hostname')).toBe(`host-${machine.vmId.slice(0, 8)}\n`)
  await (await adopted?.attachDisk(16))?.()
  await adopted?.destroy()
  expect(await remainsOf(tiny.dataDir)).toEqual([])
}, 120_000)

test('a machine that was a spare keeps its address and name when its guest boots again', async () => {
  const machine = await ordered(await prepare())
  machine.channel('agent').run({ script: 'sync; echo b > /proc/sysrq-trigger', parameters: {}, files: {}, timeoutMs: 60_000 }).catch(() => {})
  const said = async (): Promise<string> => await sh(machine, 'cat /sys/class/net/eth0/address; hostname').catch(() => '')
  await expect.poll(said, { timeout: 60_000, interval: 500 }).toBe(`${machine.mac}\nhost-${machine.vmId.slice(0, 8)}\n`)
  await machine.destroy()
}, 120_000)
