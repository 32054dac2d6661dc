/** What every production line promises (`ProductionLine` in node/lines/line.ts), with real guests of the family `tiny`. */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, readdir, rm } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { join } from 'node:path'
import { scheduler } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { VmId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { LiveMachine, ProductionLine } from '../../node/lines/line.ts'
import { until } from '../lines/tiny-machine.ts'
import { arpRequest, ECHO_HEAD_BYTES, framed, readFrames } from './frames.ts'
import { sh } from './shell.ts'
import { goldenOf, newMac, newVmId } from '../support/tiny.ts'

export interface LineUnderTest {
  line: ProductionLine
  golden: Golden
  goldenDir: string
  /** Names of the files that a copy has which was published. */
  published: string[]
  dataDir: string
  /** The line as a plant makes it that starts anew on the same data directory. */
  reopen (): Promise<ProductionLine>
  /** Processes that belong to the data directory, by number. */
  processes (): Promise<number[]>
  /** What there is in the data directory that a machine could have left: paths. */
  remains (): Promise<string[]>
  clean (): Promise<void>
}

/** A machine that ends is known to have within this (issue: Records and crashes). */
const DEATH_KNOWN_MS = 2_000

/** Declares the contract's tests. `open` gives a line on a data directory of its own; each test leaves it empty. */
export function describeLine (name: string, open: () => Promise<LineUnderTest>): void {
  describe(`production line ${name}`, () => {
    let subject: LineUnderTest
    const made: LiveMachine[] = []
    beforeAll(async () => { subject = await open() })
    afterAll(async () => { await subject?.clean() })
    afterEach(async () => { for (const machine of made.splice(0)) await machine.destroy() })

    const clone = async (more: { diskMiB?: number, golden?: Golden, goldenDir?: string, vmId?: VmId } = {}, signal?: AbortSignal): Promise<LiveMachine> => {
      const { golden, goldenDir } = subject
      const machine = await subject.line.clone({ vmId: newVmId(), golden, goldenDir, mac: newMac(), diskMiB: golden.hardware.diskMiB, ...more }, signal)
      made.push(machine)
      return machine
    }
    const nothingLeft = async (): Promise<void> => {
      expect({ leftovers: await subject.line.leftovers(), processes: await subject.processes(), remains: await subject.remains() }).toEqual({ leftovers: [], processes: [], remains: [] })
    }
    const scratch = async (work: (dir: string) => Promise<void>): Promise<void> => {
      const dir = join(subject.dataDir, `golden-${randomBytes(4).toString('hex')}`)
      await mkdir(dir)
      await work(dir).finally(async () => { await rm(dir, { recursive: true, force: true }) })
    }

    test('clones a machine that answers, and destroys it so that nothing is left, however often it is asked', async () => {
      const machine = await clone()
      expect(await sh(machine, 'id -u')).toBe('0\n')
      expect(await subject.line.leftovers()).toEqual([machine.vmId])
      const { privateMemoryBytes, overlayBytes, cpuMs } = await machine.stats()
      expect(privateMemoryBytes).toBeGreaterThan(1024 * 1024)
      expect(overlayBytes).toBeGreaterThan(0)
      expect(cpuMs).toBeGreaterThan(0)
      await Promise.all([machine.destroy(), machine.destroy()])
      expect((await machine.died).reason).not.toBe('')
      await machine.destroy()
      await nothingLeft()
    })

    test('leaves the golden machine as it was, whatever clones write to memory and disk', async () => {
      const before = await digests(subject.goldenDir)
      const machine = await clone()
      await sh(machine, 'dd if=/dev/urandom of=/root/much bs=1M count=20; mount -t tmpfs none /mnt; dd if=/dev/zero of=/mnt/much bs=1M count=60; sync; echo 3 > /proc/sys/vm/drop_caches')
      await machine.destroy()
      expect(await digests(subject.goldenDir)).toEqual(before)
    })

    test('clones eight at once that share nothing they write', async () => {
      const machines = await Promise.all(Array.from({ length: 8 }, async () => await clone()))
      await Promise.all(machines.map(async (machine) => { await machine.identify({ mac: machine.mac, hostName: `host-${machine.vmId.slice(0, 8)}`, machineId: machine.vmId, seed: randomBytes(32) }) }))
      const said = await Promise.all(machines.map(async (machine) => await sh(machine, 'echo $(hostname) $(cat /sys/class/net/eth0/address) $(head -c 16 /dev/urandom | md5sum)')))
      expect(new Set(said).size).toBe(8)
      for (const [i, machine] of machines.entries()) expect(said[i]).toContain(`host-${machine.vmId.slice(0, 8)} ${machine.mac} `)
      await Promise.all(machines.map(async (machine) => { await machine.destroy() }))
      await nothingLeft()
    })

    test('never touches a machine that exists when another of its id is asked for', async () => {
      const machine = await clone()
      await expect(clone({ vmId: machine.vmId })).rejects.toMatchObject({ code: 'VM_STATE' })
      expect(await sh(machine, 'echo still here')).toBe('still here\n')
    })

    test('grows disk and file system when more is ordered', async () => {
      const machine = await clone({ diskMiB: 900 })
      expect(Number(await sh(machine, 'df -m / | tail -n 1 | awk \'{print $2}\''))).toBeGreaterThan(800)
      await sh(machine, 'dd if=/dev/zero of=/root/big bs=1M count=600 && sync')
    })

    test('says within two seconds that a machine has died, adopted or not, and how', async () => {
      const [killed, off] = await Promise.all([clone(), clone()])
      process.kill(killed.pid, 'SIGKILL')
      expect((await soon(killed)).reason).toMatch(/SIGKILL/)
      // The guest takes a moment to go down; what counts is from when it is down.
      off.channel('agent').run({ script: 'poweroff -f', parameters: {}, files: {}, timeoutMs: 60_000 }).catch(() => {})
      expect((await off.died).reason).toMatch(/powered off/)
      const released = await clone()
      await released.release()
      const adopted = await (await subject.reopen()).adopt(released.vmId)
      process.kill(adopted?.pid ?? 0, 'SIGKILL')
      expect((await soon(adopted)).reason).not.toBe('')
      for (const machine of [killed, off, released]) await subject.line.sweep(machine.vmId)
      await nothingLeft()
    })

    test('fails what waits for a guest that dies', async () => {
      const machine = await clone()
      const waiting = machine.channel('agent').run({ script: 'sleep 1000', parameters: {}, files: {}, timeoutMs: 60_000 })
      waiting.catch(() => {})
      process.kill(machine.pid, 'SIGKILL')
      await expect(waiting).rejects.toMatchObject({ code: 'VM_DIED' })
      await machine.died
      await expect(machine.console()).rejects.toMatchObject({ code: 'VM_DIED' })
    })

    test('lets a machine go and adopts it, with all that it was and did', async () => {
      const machine = await clone()
      await sh(machine, 'echo kept > /root/kept; (while true; do date +%s > /root/beat; sleep 0.1; done) > /dev/null 2>&1 &')
      await machine.release()
      const line = await subject.reopen()
      expect(await line.leftovers()).toEqual([machine.vmId])
      const adopted = await line.adopt(machine.vmId)
      expect(adopted).toMatchObject({ vmId: machine.vmId, pid: machine.pid, mac: machine.mac })
      expect(await sh(adopted, 'cat /root/kept; rm /root/beat; while [ ! -e /root/beat ]; do sleep 0.05; done; echo beats')).toBe('kept\nbeats\n')
      await adopted?.destroy()
      expect(await line.adopt(machine.vmId)).toBeUndefined()
      await nothingLeft()
    })

    test('keeps a paused machine paused, also when it is adopted, until it is resumed', async () => {
      const machine = await clone()
      await sh(machine, '(while true; do date >> /root/beats; usleep 50000; done) > /dev/null 2>&1 &')
      await machine.pause()
      const { cpuMs } = await machine.stats()
      await machine.release()
      const adopted = await (await subject.reopen()).adopt(machine.vmId)
      if (adopted === undefined) throw new Error('it was not adopted')
      expect((await adopted.stats()).cpuMs - cpuMs).toBeLessThan(1_000)
      await adopted.resume()
      expect(await sh(adopted, 'rm -f /root/beats; while [ ! -e /root/beats ]; do usleep 50000; done; echo on')).toBe('on\n')
      await adopted.destroy()
    })

    test('carries frames both ways through the network card, for one who attaches after the other', async () => {
      const machine = await clone()
      await sh(machine, 'ip link set eth0 up; ip address add 10.9.0.2/24 dev eth0; arp -s 10.9.0.1 02:00:00:00:99:01')
      for (const round of [1, 2, 3]) {
        const port = await machine.network()
        const frames = readFrames(port)
        // From the guest: an echo request of a size of its own; to the guest: an ARP request, which its kernel answers.
        const sent = sh(machine, `ping -c 1 -W 1 -s ${1000 + round} 10.9.0.1 || true`)
        await frames((frame) => frame.length === 1000 + round + ECHO_HEAD_BYTES)
        port.write(framed(arpRequest('10.9.0.1', '10.9.0.2')))
        const answer = await frames((frame) => frame.readUInt16BE(12) === 0x0806 && frame.readUInt16BE(20) === 2)
        expect(answer.subarray(6, 12).toString('hex')).toBe(answer.subarray(22, 28).toString('hex'))
        await sent
        if (round === 2) port.destroy() // Else the next one takes over.
      }
    })

    test('is not held up by a network port that nobody reads, and is in step for the one who attaches next', async () => {
      const machine = await clone()
      await sh(machine, 'ip link set eth0 up; ip address add 10.9.0.2/24 dev eth0; arp -s 10.9.0.1 02:00:00:00:99:01')
      const unread = await machine.network()
      unread.pause()
      // Some 3 MB: more than the port and the sockets hold.
      await sh(machine, 'for i in $(seq 50); do ping -c 1 -W 1 -s 60000 10.9.0.1 > /dev/null & done; wait')
      expect(unread.readableLength).toBeLessThan(2 * 1024 * 1024)
      const read = readFrames(unread.resume())
      await read((frame) => frame.length > 1000)
      const port = await machine.network()
      expect(unread.destroyed).toBe(true)
      const frames = readFrames(port)
      const sent = sh(machine, 'ping -c 1 -W 1 -s 1001 10.9.0.1 || true')
      await frames((frame) => frame.length === 1001 + ECHO_HEAD_BYTES)
      await sent
    })

    test('brings up a network card that is added while it runs, and carries its frames, also after adoption and a reboot', async () => {
      const machine = await clone()
      const mac = newMac()
      await machine.identify({ mac: machine.mac, hostName: 'router', machineId: machine.vmId, seed: randomBytes(32) })
      await machine.attachCard(mac)
      const up = 'until ip link show eth1 2>/dev/null | grep -q LOWER_UP; do sleep 0.05; done; cat /sys/class/net/eth1/address'
      expect(await sh(machine, up)).toBe(`${mac}\n`)
      const answers = async (live: LiveMachine | undefined): Promise<void> => {
        await sh(live, 'ip address flush dev eth1; ip address add 10.8.0.2/24 dev eth1')
        const port = await (await live?.attachCard(mac))?.network()
        if (port === undefined) throw new Error('there is no machine')
        const frames = readFrames(port)
        port.write(framed(arpRequest('10.8.0.1', '10.8.0.2')))
        const answer = await frames((frame) => frame.readUInt16BE(12) === 0x0806 && frame.readUInt16BE(20) === 2)
        expect(answer.subarray(6, 12).toString('hex')).toBe(mac.replaceAll(':', ''))
      }
      await answers(machine)
      await machine.release()
      const adopted = await (await subject.reopen()).adopt(machine.vmId)
      await answers(adopted)
      await adopted?.channel('agent').run({ script: 'reboot -f', parameters: {}, files: {}, timeoutMs: 60_000 }).catch(() => {})
      expect(await until(async () => await sh(adopted, up).catch(() => undefined))).toBe(`${mac}\n`)
      expect(await sh(adopted, 'cat /sys/class/net/eth0/address')).toBe(`${machine.mac}\n`)
      await answers(adopted)
      const card = await adopted?.attachCard(mac)
      await card?.detach()
      await expect(card?.network()).rejects.toMatchObject({ code: 'VM_STATE' })
      expect(await sh(adopted, 'until [ ! -e /sys/class/net/eth1 ]; do sleep 0.05; done; ls /sys/class/net')).toBe('eth0\nlo\n')
      await adopted?.destroy()
      await nothingLeft()
    })

    test('gives the serial console to one after the other', async () => {
      const machine = await clone()
      for (const round of ['one', 'two']) {
        const console = await machine.console()
        const said = collect(console)
        const printed = sh(machine, `echo console-${round} > /dev/ttyS0`)
        await until(async () => said().includes(`console-${round}`) || undefined)
        await printed
      }
    })

    test('goes on when the guest reboots, with its disk', async () => {
      const machine = await clone()
      await sh(machine, 'echo before > /root/mark; sync')
      await machine.channel('agent').run({ script: 'reboot -f', parameters: {}, files: {}, timeoutMs: 60_000 }).catch(() => {})
      expect(await until(async () => await sh(machine, 'cat /root/mark; cat /sys/class/net/eth0/address').catch(() => undefined))).toBe(`before\n${machine.mac}\n`)
    })

    test('runs scripts from an image, and leaves no drive behind', async () => {
      const machine = await clone()
      const { status, outputTail } = await machine.channel('iso').run({ script: 'echo from the disc; exit 3', parameters: {}, files: {}, timeoutMs: 60_000 })
      expect({ status, outputTail }).toEqual({ status: 3, outputTail: 'from the disc\n' })
      expect(await sh(machine, 'ls /dev/sr* 2>/dev/null | wc -l')).toBe('0\n')
    })

    test('adds a disk that the guest can use, and takes it away', async () => {
      const machine = await clone()
      const detach = await machine.attachDisk(64)
      await sh(machine, 'i=0; while [ ! -e /dev/sda ] && [ $i -lt 200 ]; do sleep 0.05; i=$((i+1)); done; dd if=/dev/urandom of=/dev/sda bs=1M count=64 conv=fsync')
      await detach()
      await detach()
      expect(await sh(machine, 'i=0; while [ -e /dev/sda ] && [ $i -lt 200 ]; do sleep 0.05; i=$((i+1)); done; ls /dev/sd* 2>/dev/null | wc -l')).toBe('0\n')
    })

    test('leaves nothing when a clone is called off, whenever that is', async () => {
      for (const afterMs of [0, 5, 20, 40, 60, 80, 100]) {
        const stop = new AbortController()
        const timer = setTimeout(() => { stop.abort(new Error('called off')) }, afterMs)
        if (afterMs === 0) stop.abort(new Error('called off'))
        const machine = await clone({}, stop.signal).catch((error: unknown) => {
          expect(error).toMatchObject({ message: 'called off' })
        })
        clearTimeout(timer)
        await machine?.destroy()
        await nothingLeft()
      }
    })

    test('publishes a running machine: the copy has what it had, and the source goes on', async () => {
      const machine = await clone({ diskMiB: 600 })
      await sh(machine, 'echo disk > /root/mark; mount -t tmpfs none /mnt; echo memory > /mnt/mark; sleep 4321 > /dev/null 2>&1 &')
      await scratch(async (dir) => {
        const { diskMiB } = await subject.line.publish(machine, dir)
        expect(diskMiB).toBe(600)
        expect((await readdir(dir)).sort()).toEqual(subject.published)
        expect(await sh(machine, 'cat /root/mark /mnt/mark; ps | grep -c "[s]leep 4321"; echo changed > /root/mark; sync')).toBe('disk\nmemory\n1\n')
        const golden = goldenOf(subject.line, 'published', { ...subject.golden.hardware, diskMiB })
        const copies = await Promise.all([1, 2].map(async () => await clone({ golden, goldenDir: dir, diskMiB })))
        for (const copy of copies) expect(await sh(copy, 'cat /root/mark /mnt/mark; ps | grep -c "[s]leep 4321"')).toBe('disk\nmemory\n1\n')
        // A copy of a copy: what is published is a golden machine like any other.
        await scratch(async (again) => {
          await subject.line.publish(copies[0] as LiveMachine, again)
          expect(await sh(await clone({ golden, goldenDir: again, diskMiB }), 'cat /root/mark')).toBe('disk\n')
        })
        for (const copy of copies) await copy.destroy()
      })
    })

    test('lets the source go on when publishing is called off, whenever that is, or fails', async () => {
      const machine = await clone()
      for (const afterMs of [1, 60, 120, 200, 300, 400]) {
        await scratch(async (dir) => {
          const stop = new AbortController()
          const timer = setTimeout(() => { stop.abort(new Error('called off')) }, afterMs)
          const failed = await subject.line.publish(machine, dir, stop.signal).then(() => undefined, (error: unknown) => error)
          clearTimeout(timer)
          if (failed !== undefined) {
            expect(failed).toMatchObject({ message: 'called off' })
            expect(await readdir(dir)).toEqual([])
          }
          expect(await sh(machine, 'echo goes on')).toBe('goes on\n')
        })
      }
      const detach = await machine.attachDisk(8)
      await scratch(async (dir) => { await expect(subject.line.publish(machine, dir)).rejects.toMatchObject({ code: 'VM_STATE' }) })
      await detach()
      await scratch(async (dir) => { await subject.line.publish(machine, dir) })
    })

    test('is published once at a time, and goes on afterwards unless its owner paused it meanwhile', async () => {
      const machine = await clone()
      await scratch(async (dir) => {
        const dirs = [join(dir, 'first'), join(dir, 'second')]
        const ends = await Promise.allSettled(dirs.map(async (one) => subject.line.publish(machine, one)))
        const taken = ends.findIndex(({ status }) => status === 'fulfilled')
        expect(ends[taken]).toMatchObject({ status: 'fulfilled' })
        expect(ends[1 - taken]).toMatchObject({ status: 'rejected', reason: { code: 'VM_STATE', details: { problem: 'it is being published' } } })
        expect(await sh(machine, 'echo goes on')).toBe('goes on\n')
        const golden = goldenOf(subject.line, 'once', subject.golden.hardware)
        expect(await sh(await clone({ golden, goldenDir: dirs[taken] as string }), 'echo whole')).toBe('whole\n')
        // What its owner says while it stands still is heeded: neither goes it on into the copy, nor after it against his will.
        const publishing = subject.line.publish(machine, join(dir, 'third'))
        await until(async () => ((await readdir(join(dir, 'third')).catch((): string[] => [])).includes('disk.qcow2') || undefined), 1)
        await machine.pause()
        await machine.resume()
        await machine.pause()
        await publishing
        const { cpuMs } = await machine.stats()
        const silent = machine.channel('agent').run({ script: 'true', parameters: {}, files: {}, timeoutMs: 60_000 })
        expect(await Promise.race([silent.then(() => 'ran'), scheduler.wait(1_000).then(() => 'stands still')])).toBe('stands still')
        expect((await machine.stats()).cpuMs - cpuMs).toBeLessThan(500)
        await machine.resume()
        expect((await silent).status).toBe(0)
      })
    })

    test('makes a golden machine of another size', async () => {
      await scratch(async (dir) => {
        const hardware = { cpus: 2, memoryMiB: 160 }
        await subject.line.resize(subject.golden, subject.goldenDir, hardware, dir)
        const golden = goldenOf(subject.line, 'resized', { ...subject.golden.hardware, ...hardware })
        const machine = await clone({ golden, goldenDir: dir })
        const [cpus, memoryKiB] = (await sh(machine, 'nproc; awk \'/^MemTotal/{print $2}\' /proc/meminfo')).trim().split('\n').map(Number)
        expect(cpus).toBe(2)
        expect(memoryKiB).toBeGreaterThan(100 * 1024)
        expect(memoryKiB).toBeLessThan(160 * 1024)
        await machine.destroy()
      })
    })
  })
}

/** The digest of each file of a golden machine. */
export async function digests (dir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const file of (await readdir(dir)).sort()) {
    const hash = createHash('sha256')
    await pipeline(createReadStream(join(dir, file)), hash)
    found[file] = hash.digest('hex')
  }
  return found
}

/**
 * How a machine died, told in time. Counted from when its process is gone, in turns of this process's own timers: on a host that has no
 * processor to spare, neither the kernel's work nor the wait for a turn is the line's.
 */
async function soon (machine: LiveMachine | undefined): Promise<{ reason: string }> {
  if (machine === undefined) throw new Error('there is no machine')
  await until(async () => await gone(machine.pid) || undefined, 5)
  let told: { reason: string } | undefined
  void machine.died.then((how) => { told = how })
  for (let waitedMs = 0; told === undefined && waitedMs < DEATH_KNOWN_MS; waitedMs += TURN_MS) await scheduler.wait(TURN_MS)
  if (told === undefined) throw new Error(`nothing was said within ${DEATH_KNOWN_MS} ms`)
  return told
}

const TURN_MS = 20

async function gone (pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  return stat === '' || /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
}

function collect (stream: Duplex): () => string {
  let text = ''
  stream.on('data', (piece: Buffer) => { text += piece.toString('latin1') })
  return () => text
}
