/** What this host can do, asked by doing it: starts the VMM, listens, sends a multicast, writes. Installs and changes nothing. */
import { createSocket } from 'node:dgram'
import { access, constants, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { dirname, resolve } from 'node:path'
import { accelerator } from '../lines/qemu/accelerator.ts'
import { addressRanges, PRIVATE_RANGES } from '../drivers/address-ranges.ts'
import { probeHost } from '../drivers/host-probe.ts'
import { cacheDirOf } from '../setup/places.ts'
import { findQemu, onPath, type QemuFound } from '../setup/qemu-find.ts'
import { congestionCheck, tapCheck } from './doctor-network.ts'

/** `missing` stops a plant from hosting machines here; `warn` makes it slower, or takes a part of it away. */
export type CheckState = 'ok' | 'warn' | 'missing'

/** One thing that was looked at. */
export interface HostCheck {
  /** Stable: scripts may look for it. */
  name: 'node' | 'processors' | 'memory' | 'disk' | 'data' | 'vmm' | 'accelerator' | 'packages' | 'network' | 'multicast' | 'tap' | 'congestion'
  state: CheckState
  /** What was found, for people. */
  found: string
  /** The one line that mends it, where something can be done. */
  mend?: string
}

export interface InspectHostOptions {
  /** The plant's data directory; need not exist. */
  dataDir: string
  env?: NodeJS.ProcessEnv
  signal?: AbortSignal
}

/** QEMU, the golden machine `tiny`, packages and some overlays: 138 MiB, 60 MiB, 20 MiB and as much again for what is being built. */
const DISK_MIB_MIN = 512
const DISK_MIB_COMFORT = 4_096
/** One machine of the default size beside three plants of 150 MiB each. */
const MEMORY_MIB_MIN = 384
const MEMORY_MIB_COMFORT = 1_024
/** A multicast on the same host is there within a millisecond. */
const MULTICAST_TIMEOUT_MS = 2_000
/** mDNS's own group (RFC 6762, 3). */
const MULTICAST_GROUP = '224.0.0.251'

/** Looks at everything at once; takes as long as the slowest probe (a machine started on KVM: 3 s at most). Rejects only by the signal. */
export async function inspectHost ({ dataDir, env = process.env, signal }: InspectHostOptions): Promise<HostCheck[]> {
  const qemu = await findQemu({ dataDir, env, ...(signal !== undefined && { signal }) })
  const checks = await Promise.all([
    nodeCheck(), sizeChecks(dataDir), dataCheck('data', dataDir), vmmCheck(qemu), acceleratorCheck(qemu), packagesCheck(env), networkCheck(), multicastCheck(), tapCheck(),
    congestionCheck()
  ])
  signal?.throwIfAborted()
  return checks.flat()
}

/** The checks as a page for people; each that is not well is followed by the line that mends it. */
export function doctorText (checks: HostCheck[]): string {
  const marks: Record<CheckState, string> = { ok: '✓', warn: '!', missing: '✗' }
  const width = Math.max(...checks.map(({ name }) => name.length))
  const lines = checks.flatMap(({ name, state, found, mend }) => [`${marks[state]} ${name.padEnd(width)}  ${found}`, ...(mend === undefined ? [] : [`  ${' '.repeat(width)}  → ${mend}`])])
  const bad = checks.filter(({ state }) => state === 'missing').length
  lines.push('', bad === 0 ? 'This host can run a plant with machines.' : `${bad} ${bad === 1 ? 'thing stops' : 'things stop'} this host from running machines.`)
  return lines.join('\n')
}

async function nodeCheck (): Promise<HostCheck> {
  const major = Number(process.versions.node.split('.')[0])
  const found = `Node ${process.versions.node} at ${process.execPath}`
  return major >= 24 ? { name: 'node', state: 'ok', found } : { name: 'node', state: 'missing', found, mend: 'run plantmesh through node_modules/.bin/plantmesh, or install Node 24' }
}

async function sizeChecks (dataDir: string): Promise<HostCheck[]> {
  const host = await probeHost(await nearest(dataDir))
  const least = (have: number, min: number, comfort: number): CheckState => have < min ? 'missing' : have < comfort ? 'warn' : 'ok'
  const memory = least(host.freeMemoryMiB, MEMORY_MIB_MIN, MEMORY_MIB_COMFORT)
  const disk = least(host.freeDiskMiB, DISK_MIB_MIN, DISK_MIB_COMFORT)
  return [
    { name: 'processors', state: 'ok', found: `${host.cpus} (${host.isa}), load ${host.load} each` },
    { name: 'memory', state: memory, found: `${host.freeMemoryMiB} of ${host.memoryMiB} MiB free`, ...(memory !== 'ok' && { mend: `free ${MEMORY_MIB_COMFORT} MiB of memory, or offer less: plantmesh up --capacity memoryMiB=…` }) },
    { name: 'disk', state: disk, found: `${host.freeDiskMiB} of ${host.diskMiB} MiB free where ${dataDir} is`, ...(disk !== 'ok' && { mend: `free ${DISK_MIB_COMFORT} MiB there, or put the data elsewhere: --data DIR` }) }
  ]
}

/** The directory must be writable, or be makeable; nothing is made. */
async function dataCheck (name: 'data', dir: string): Promise<HostCheck> {
  const there = await nearest(dir)
  try {
    await access(there, constants.W_OK | constants.X_OK)
    if (!(await stat(there)).isDirectory()) throw new Error('it is not a directory')
    return { name, state: 'ok', found: there === resolve(dir) ? `${dir} can be written` : `${dir} will be made on first use` }
  } catch (error) {
    return { name, state: 'missing', found: `${there} cannot be written: ${error instanceof Error ? error.message : 'unknown'}`, mend: `chown it to yourself (sudo chown $USER ${there}), or use another: --data DIR` }
  }
}

async function vmmCheck (qemu: QemuFound | undefined): Promise<HostCheck> {
  if (qemu !== undefined) return { name: 'vmm', state: 'ok', found: qemu.how }
  return { name: 'vmm', state: 'missing', found: 'no QEMU 7.2 or later (qemu-system-x86_64 and qemu-img)', mend: 'npm start -- --once brings it, without root too; by hand: sudo apt-get install qemu-system-x86 qemu-utils' }
}

async function acceleratorCheck (qemu: QemuFound | undefined): Promise<HostCheck> {
  if (qemu === undefined) return { name: 'accelerator', state: 'warn', found: 'not tried: there is no QEMU yet' }
  const { name, why } = await accelerator(qemu)
  if (name === 'kvm') return { name: 'accelerator', state: 'ok', found: why }
  const node = await stat('/dev/kvm').then(() => true, () => false)
  const open = node && await access('/dev/kvm', constants.R_OK | constants.W_OK).then(() => true, () => false)
  return { name: 'accelerator', state: 'warn', found: why, mend: kvmAdvice(node, open) }
}

function kvmAdvice (node: boolean, open: boolean): string {
  if (!node) return 'switch on virtualisation in the firmware and load the module (sudo modprobe kvm_intel or kvm_amd); on a virtual host, ask for nested virtualisation'
  if (!open) return 'sudo usermod -aG kvm $USER, then log in again'
  return 'this kernel\'s KVM runs no guest, most often for want of nested virtualisation: ask for it; until then machines are emulated'
}

/** Golden machines are built from Debian's packages; a plant that only fetches or imports them does without. */
async function packagesCheck (env: NodeJS.ProcessEnv): Promise<HostCheck> {
  const absent: string[] = []
  for (const tool of ['apt-get', 'dpkg', 'dpkg-deb']) if (await onPath(tool, env) === undefined) absent.push(tool)
  if (absent.length > 0) return { name: 'packages', state: 'warn', found: `${absent.join(', ')} not found: golden machines cannot be built here`, mend: 'install apt and dpkg, or build golden machines on a Debian host' }
  return { name: 'packages', state: 'ok', found: `Debian's packages can be fetched with apt, without root, into ${cacheDirOf(env)}` }
}

async function networkCheck (): Promise<HostCheck> {
  return await new Promise((done) => {
    const server = createServer()
    server.once('error', (error) => { done({ name: 'network', state: 'missing', found: `cannot listen: ${error.message}`, mend: 'allow this user to open TCP ports (container or firewall settings)' }) })
    server.listen(0, () => { server.close(() => { done({ name: 'network', state: 'ok', found: `can listen on TCP, all addresses${reachNote()}` }) }) })
  })
}

/** What plants elsewhere need where this host has private addresses alone. */
function reachNote (): string {
  const unrouted = addressRanges(PRIVATE_RANGES)
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []).filter(({ internal }) => !internal)
  const isRouted = own.some(({ address }) => !unrouted.has(address))
  if (isRouted || own.length === 0) return ''
  return `; private ones alone (${own[0]?.address ?? ''}): plants outside that network reach this one through a gateway of its site (up --behind)`
}

/** Sends one datagram to mDNS's group and waits for it to come back; a time to live of 0 keeps it on this host. */
async function multicastCheck (): Promise<HostCheck> {
  const failed = (why: string): HostCheck => ({ name: 'multicast', state: 'warn', found: `no multicast (${why}): plants on the LAN are not found by themselves`, mend: 'name another plant with --bootstrap MULTIADDR, or allow UDP multicast to 224.0.0.251' })
  return await new Promise((resolved) => {
    const socket = createSocket({ type: 'udp4', reuseAddr: true })
    const done = (check: HostCheck): void => {
      clearTimeout(timer)
      try {
        socket.close()
      } catch {
        // It was never open: nothing to close.
      }
      resolved(check)
    }
    const timer = setTimeout(() => { done(failed('nothing came back')) }, MULTICAST_TIMEOUT_MS)
    socket.once('error', (error) => { done(failed(error.message)) })
    socket.once('message', () => { done({ name: 'multicast', state: 'ok', found: 'multicast works: plants on the LAN find each other' }) })
    socket.bind(0, () => {
      try {
        socket.addMembership(MULTICAST_GROUP)
        socket.setMulticastTTL(0)
        socket.setMulticastLoopback(true)
        socket.send('plantmesh', socket.address().port, MULTICAST_GROUP)
      } catch (error) {
        done(failed(error instanceof Error ? error.message : 'refused'))
      }
    })
  })
}

/** The directory itself, or the nearest of those above it that exists. */
async function nearest (dir: string): Promise<string> {
  let at = resolve(dir)
  while (!await stat(at).then(() => true, () => false) && dirname(at) !== at) at = dirname(at)
  return at
}
