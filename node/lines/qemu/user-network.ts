/**
 * QEMU without a machine: its user-mode network (libslirp) joined to a stream of frames. What a plant needs for machines it has already; it forwards into any address of a
 * network, learns of forwards while it runs, and needs no rights. (passt forwards to one guest only and learns nothing later, slirp4netns wants a network namespace.)
 */
import { spawn, type ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import { PlantError } from '../../../protocols/kit/index.ts'
import type { HostPort, StartUserNetwork, UserNetwork, UserNetworkInit } from '../../net/user-network.ts'
import { findQemu, type QemuCommands } from '../../setup/qemu-find.ts'
import { SANDBOX_ARGS } from './command-line.ts'
import { qmpOn, type Qmp } from './qmp.ts'

/** The name of its network backend, for the monitor's commands. */
const NETDEV = 'user'

/** A monitor without a machine answers within 100 ms; a busy host takes its time. */
const STARTS_WITHIN_MS = 20_000
const REMOVES_WITHIN_MS = 5_000
const LOG_CHARS = 4_096

/**
 * Ends QEMU as soon as standard input ends, which is when the process that started it is gone, however it went. The shell lets go of QEMU's own
 * descriptors, so that they end with QEMU.
 */
const GUARD = '"$@" & qemu=$!; exec 3<&- 4<&-; read -r line; kill -KILL $qemu'

/** Starts them with the host's QEMU, or one that was unpacked in the cache or here. */
export function userNetworks (dataDir: string): StartUserNetwork {
  let qemu: QemuCommands | undefined
  return async (init, signal) => {
    qemu ??= await findQemu({ dataDir, signal })
    if (qemu === undefined) throw new PlantError('VMM_MISSING', { looked: 'PATH, the cache and the data directory', wanted: 'for the user-mode network' })
    signal.throwIfAborted()
    try {
      return await started(qemu, [...SANDBOX_ARGS, ...networkArgs(init)], signal)
    } catch (error) {
      // A few hosts have no seccomp for it to be put under; machines run without it there as well.
      if (!(error instanceof PlantError && /seccomp|sandbox/i.test(String(error.details['log'])))) throw error
      return await started(qemu, networkArgs(init), signal)
    }
  }
}

async function started (qemu: QemuCommands, args: string[], signal: AbortSignal): Promise<UserNetwork> {
  // A session of its own: Ctrl-C in a terminal is ours to handle, in order.
  const child = spawn('/bin/sh', ['-c', GUARD, 'sh', qemu.system, ...args], { env: qemu.env, detached: true, stdio: ['pipe', 'ignore', 'pipe', 'pipe', 'pipe'] })
  let log = ''
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => { log = (log + piece).slice(-LOG_CHARS) })
  child.stdin?.on('error', () => {}) // It has ended; `close` of the frames says so.
  const frames = child.stdio[3] as Socket
  frames.on('error', () => {}) // `close` follows.
  const end = (): void => { child.stdin?.end() }
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => { resolve(error.message) })
    frames.once('close', () => { resolve(log.trim() === '' ? 'it ended' : log.trim()) })
  })
  frames.once('close', end)
  try {
    const monitor = await qmpOn(child.stdio[4] as Socket, { signal, timeoutMs: STARTS_WITHIN_MS })
    return {
      frames,
      ended,
      forward: async (from, to, until) => { await commanded(monitor, `hostfwd_add ${NETDEV} tcp:${placeText(from)}-${placeText(to)}`, until) },
      unforward: async (from) => { await commanded(monitor, `hostfwd_remove ${NETDEV} tcp:${placeText(from)}`, AbortSignal.timeout(REMOVES_WITHIN_MS)).catch(() => {}) }, // It is gone with the process otherwise.
      end: () => { endOf(child, monitor, frames) }
    }
  } catch (cause) {
    const closed = new Promise((resolve) => { child.once('close', resolve) })
    end()
    frames.destroy()
    if (child.pid !== undefined) await closed // With all that it had to say.
    signal.throwIfAborted()
    throw new PlantError('VM_START_FAILED', { problem: 'the user-mode network did not start', log: log.trim() }, { cause })
  }
}

function endOf (child: ChildProcess, monitor: Qmp, frames: Socket): void {
  child.stdin?.end()
  monitor.close()
  frames.destroy()
}

function placeText ({ host, port }: HostPort): string { return `${host}:${port}` }

/** QEMU's human monitor: of a forward that was added it says nothing, of one that was removed that it was. */
async function commanded (monitor: Qmp, line: string, signal: AbortSignal): Promise<void> {
  const said = await monitor.execute('human-monitor-command', { 'command-line': line }, { signal })
  if (typeof said === 'string' && said.trim() !== '' && !line.startsWith('hostfwd_remove')) throw new PlantError('VM_UNREACHABLE', { problem: said.trim() })
}

function networkArgs ({ host, net, unused, restrict }: UserNetworkInit): string[] {
  return [
    '-machine', 'none', '-nodefaults', '-no-user-config', '-display', 'none',
    '-chardev', 'socket,id=qmp,fd=4', '-mon', 'chardev=qmp,mode=control',
    '-netdev', `user,id=${NETDEV},ipv6=off,restrict=${restrict ? 'on' : 'off'},net=${net},host=${host},dns=${unused[0]},dhcpstart=${unused[1]}`,
    '-netdev', 'stream,id=frames,server=off,addr.type=fd,addr.str=3',
    '-netdev', `hubport,id=port0,hubid=0,netdev=${NETDEV}`, '-netdev', 'hubport,id=port1,hubid=0,netdev=frames'
  ]
}
