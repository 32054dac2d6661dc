/** Boots tiny on real QEMU for tests of what is inside the guest: a command line of its own, so that these tests need no production line. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { KERNEL_ARGS } from '../../node/lines/qemu/image/boot-args.ts'
import { buildTinyDisk } from '../../node/lines/qemu/image/build-disk.ts'
import { runTool } from '../../node/setup/run-tool.ts'

/** Packages are kept between test runs; everything else is made anew. */
export const TEST_CACHE = process.env['PLANTMESH_TEST_CACHE'] ?? join(tmpdir(), 'plantmesh-test-cache')
const QEMU = process.env['PLANTMESH_QEMU'] ?? 'qemu-system-x86_64'
export const QEMU_IMG = process.env['PLANTMESH_QEMU_IMG'] ?? 'qemu-img'

export async function buildTestImage (dir: string): Promise<void> {
  await buildTinyDisk({ dir, diskMiB: 512, cacheDir: TEST_CACHE, qemuImg: QEMU_IMG })
}

export interface TinyMachine {
  readonly agentSocket: string
  readonly isoSocket: string
  readonly dir: string
  readonly pid: number
  qmp (execute: string, args?: Record<string, unknown>): Promise<unknown>
  attachIso (path: string): Promise<() => Promise<void>>
  /** Images in drives at the moment. */
  readonly attached: ReadonlySet<string>
  stop (): Promise<void>
}

export interface BootOptions {
  diskMiB?: number
  /** More arguments for QEMU. */
  extra?: string[]
  /** RAM in a file of this path, so that it can be suspended and cloned. */
  ram?: { path: string, share: boolean }
  /** The disk as it is, rather than a new overlay. */
  disk?: string
}

/** Starts a machine on an overlay over the disk in `image`; it need not have booted when this returns. */
export async function startTiny (image: string, options: BootOptions = {}): Promise<TinyMachine> {
  const dir = await mkdtemp(join(tmpdir(), 'tiny-'))
  const disk = options.disk ?? join(dir, 'overlay.qcow2')
  if (options.disk === undefined) {
    const size = options.diskMiB === undefined ? [] : [`${options.diskMiB}M`]
    await runTool(QEMU_IMG, ['create', '-q', '-f', 'qcow2', '-b', join(image, 'disk.qcow2'), '-F', 'qcow2', disk, ...size])
  }
  const ram = options.ram === undefined ? 'memory-backend-memfd,id=ram,size=256M' : `memory-backend-file,id=ram,size=256M,mem-path=${options.ram.path},share=${options.ram.share ? 'on' : 'off'}`
  const port = (id: string, name: string): string[] => ['-chardev', `socket,path=${join(dir, `${id}.sock`)},server=on,wait=off,id=${id}`, '-device', `virtserialport,chardev=${id},name=${name}`]
  const child = spawn(QEMU, ['-nodefaults', '-no-user-config', '-display', 'none', '-M', 'q35,memory-backend=ram', '-object', ram, '-m', '256',
    '-accel', 'tcg,tb-size=512', '-kernel', join(image, 'kernel'), '-initrd', join(image, 'initrd'), '-append', KERNEL_ARGS,
    '-drive', `if=none,id=disk0,file=${disk},format=qcow2`, '-device', 'virtio-blk-pci,drive=disk0', '-device', 'virtio-rng-pci',
    '-device', 'virtio-serial-pci', ...port('agent', 'org.plantmesh.agent'), ...port('iso', 'org.plantmesh.iso'),
    '-netdev', `stream,id=net0,server=on,addr.type=unix,addr.path=${join(dir, 'net.sock')}`, '-device', 'virtio-net-pci,netdev=net0,romfile=',
    '-device', 'virtio-scsi-pci,id=scsi0', '-serial', `file:${join(dir, 'console.log')}`,
    '-chardev', `socket,path=${join(dir, 'qmp.sock')},server=on,wait=off,id=qmp`, '-mon', 'chardev=qmp,mode=control', ...options.extra ?? []],
  { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => { log = (log + piece).slice(-8192) })
  const qmp = await connectQmp(join(dir, 'qmp.sock'), child, () => log)
  let drives = 0
  const attached = new Set<string>()
  return {
    agentSocket: join(dir, 'agent.sock'),
    isoSocket: join(dir, 'iso.sock'),
    dir,
    pid: child.pid ?? 0,
    attached,
    qmp: qmp.execute,
    async attachIso (path) {
      const id = `cd${drives++}`
      await access(path)
      await qmp.execute('blockdev-add', { 'node-name': id, 'driver': 'raw', 'read-only': true, 'file': { driver: 'file', filename: path } })
      await qmp.execute('device_add', { driver: 'scsi-cd', id: `dev-${id}`, drive: id, bus: 'scsi0.0' })
      attached.add(path)
      return async () => {
        const gone = qmp.event('DEVICE_DELETED', (data) => data['device'] === `dev-${id}`)
        await qmp.execute('device_del', { id: `dev-${id}` })
        await gone
        await qmp.execute('blockdev-del', { 'node-name': id })
        attached.delete(path)
      }
    },
    async stop () {
      qmp.close()
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit')
        child.kill('SIGKILL')
        await ended
      }
      await rm(dir, { recursive: true, force: true })
    }
  }
}

/** The text on the serial console so far. */
export async function consoleOf (machine: TinyMachine): Promise<string> {
  return await readFile(join(machine.dir, 'console.log'), 'utf8').catch(() => '')
}

interface Qmp {
  execute (execute: string, args?: Record<string, unknown>): Promise<unknown>
  event (name: string, which: (data: Record<string, unknown>) => boolean): Promise<void>
  close (): void
}

async function connectQmp (path: string, child: ChildProcess, log: () => string): Promise<Qmp> {
  const socket = await until(async () => {
    if (child.exitCode !== null) throw new Error(`QEMU ended: ${log()}`)
    return await open(path)
  })
  const pending = new Map<number, PromiseWithResolvers<unknown>>()
  const watches: { name: string, which: (data: Record<string, unknown>) => boolean, resolve: () => void }[] = []
  let next = 1
  createInterface({ input: socket }).on('line', (line) => {
    const message = JSON.parse(line) as { id?: number, return?: unknown, error?: { desc: string }, event?: string, data?: Record<string, unknown> }
    if (message.id !== undefined) {
      if (message.error === undefined) pending.get(message.id)?.resolve(message.return)
      else pending.get(message.id)?.reject(new Error(message.error.desc))
      pending.delete(message.id)
    }
    for (const watch of watches) if (message.event === watch.name && watch.which(message.data ?? {})) watch.resolve()
  })
  const execute = async (name: string, args: Record<string, unknown> = {}): Promise<unknown> => {
    const answer = Promise.withResolvers<unknown>()
    pending.set(next, answer)
    socket.write(`${JSON.stringify({ execute: name, arguments: args, id: next++ })}\n`)
    return await answer.promise
  }
  await execute('qmp_capabilities')
  return {
    execute,
    event: (name, which) => new Promise((resolve) => { watches.push({ name, which, resolve }) }),
    close: () => { socket.destroy() }
  }
}

async function open (path: string): Promise<Socket | undefined> {
  const socket = connect({ path })
  try {
    await once(socket, 'connect')
    return socket
  } catch {
    return undefined // Not there yet: asked again.
  }
}

/** Asks again and again until there is an answer: for conditions that nothing announces. */
export async function until<T> (ask: () => Promise<T | undefined>, everyMs = 20): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
