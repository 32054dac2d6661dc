/** A client's end without rights into a real machine: its card joined to the user-mode gateway, a server in the guest. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FrameStream } from '../../node/net/frame-stream.ts'
import { relayServer } from '../../node/net/relay-server.ts'
import { userNetworks } from '../../node/lines/qemu/user-network.ts'
import { userGateway, type UserGateway } from '../../node/net/user-gateway.ts'
import { DEFAULT_SUBNET } from '../../protocols/tunnel/address/index.ts'
import { ipv4Number } from '../../protocols/tunnel/ethernet.ts'
import type { LiveMachine } from '../../node/lines/line.ts'
import { sh } from '../contracts/shell.ts'
import { until } from '../support/plants.ts'
import { newMac, newVmId, tinyGolden, type TinyGolden } from '../support/tiny.ts'

const VM = '10.192.0.9'
const address = (dotted: string): number => ipv4Number(dotted) ?? 0
/** An echo server that lets many wait: 64, where busybox's own lets one. */
const ECHO = 'socket(S, 2, 1, 0); setsockopt(S, 1, 2, 1); bind(S, pack("Sna4x8", 2, 7, "\\0" x 4)); listen(S, 64); $SIG{CHLD} = "IGNORE"; while (accept(C, S)) { if (!fork) { while (sysread(C, $b, 65536)) { syswrite(C, $b) } exit } close C }'
const never = new AbortController().signal

let tiny: TinyGolden
let machine: LiveMachine
let gateway: UserGateway

beforeAll(async () => {
  tiny = await tinyGolden()
  const { golden, goldenDir } = tiny
  machine = await tiny.line.clone({ vmId: newVmId(), golden, goldenDir, mac: newMac(), diskMiB: golden.hardware.diskMiB })
  await machine.identify({ mac: machine.mac, hostName: 'web', machineId: randomBytes(16).toString('hex'), seed: randomBytes(32) })
  await sh(machine, `ip address add ${VM}/10 dev eth0; mkdir -p /srv; echo 'hello from the guest' > /srv/index.html; httpd -p 80 -h /srv; setsid perl -e '${ECHO}' < /dev/null > /dev/null 2>&1 &`)
  gateway = await userGateway({ mac: '02:00:00:00:00:05', address: address('10.192.0.5'), subnet: DEFAULT_SUBNET, start: userNetworks(tiny.dataDir), dialWithinMs: 3_000 }, never)
  const card = new FrameStream(await machine.network(), { takesOffload: false })
  card.onFrame((frame) => { gateway.send(frame) })
  gateway.onFrame((frame) => { card.send(frame) })
})

afterAll(async () => {
  gateway?.close()
  await machine?.destroy()
  await tiny?.clean()
})

async function get (socket: Socket): Promise<string> {
  socket.write('GET / HTTP/1.0\r\n\r\n')
  return text(socket)
}

test('connects to a port of the machine', async () => {
  expect(await get(await gateway.dial(address(VM), 80, never))).toContain('hello from the guest')
})

test('says what keeps it from a machine: nothing listens, nobody is there, it is no address of the network', async () => {
  await expect(gateway.dial(address(VM), 81, never)).rejects.toMatchObject({ code: 'VM_UNREACHABLE', details: { problem: 'refused: nothing listens there' } })
  await expect(gateway.dial(address('192.0.2.1'), 80, never)).rejects.toMatchObject({ code: 'VM_UNREACHABLE', details: { problem: 'outside of 10.192.0.0/10' } })
  const stop = new AbortController()
  const away = gateway.dial(address('10.192.0.77'), 80, stop.signal)
  stop.abort(new Error('called off'))
  await expect(away).rejects.toThrow('called off')
  await expect(gateway.dial(address('10.192.0.77'), 80, never)).rejects.toMatchObject({ code: 'VM_UNREACHABLE', details: { problem: expect.stringContaining('no answer') } })
})

test('carries many connections at once, each its own, and leaves no way in behind', async () => {
  const failures: unknown[] = []
  const server = await relayServer({ host: '127.0.0.1', port: 0 }, async (_caller, signal) => gateway.dial(address(VM), 7, signal), (error) => { failures.push(error) })
  try {
    const answers = await Promise.all(Array.from({ length: 24 }, async (_, i) => {
      const socket = connect({ host: '127.0.0.1', port: server.port })
      socket.end(`${i}`.repeat(5_000))
      return text(socket)
    }))
    expect(failures).toEqual([])
    expect(answers.map((answer, i) => answer === `${i}`.repeat(5_000))).toEqual(answers.map(() => true))
  } finally {
    server.stop()
  }
  await until(() => listeningIn(gatewayPids(process.pid)).length === 0, 5_000, 'the forwards are gone')
})

test('opens so many connections at once, says no to more, and goes on', async () => {
  const tries = await Promise.allSettled(Array.from({ length: 200 }, async () => gateway.dial(address('10.192.0.77'), 80, never)))
  const codes = tries.map((one) => one.status === 'rejected' ? (one.reason as { code: string }).code : 'open')
  expect([codes.filter((code) => code === 'LIMIT').length, codes.filter((code) => code === 'VM_UNREACHABLE').length]).toEqual([136, 64])
  expect(await get(await gateway.dial(address(VM), 80, never))).toContain('hello from the guest')
})

test('lets nobody in the network out, and shows nothing of what it would serve', async () => {
  expect(await sh(machine, `exec 2> /dev/null; ip route add default via 10.192.0.5; for p in 53 69; do nc -w 2 10.192.0.5 $p < /dev/null && echo open; done; nc -w 2 192.0.2.1 80 < /dev/null && echo out; arping -c 1 -w 1 -I eth0 10.192.0.254 > /dev/null && echo answered; true`)).toBe('')
})

test('leaves no process behind when its own is killed', async () => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'user-gateway-child.ts'), tiny.dataDir], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  const pids = gatewayPids(child.pid ?? 0)
  expect(pids.length).toBeGreaterThanOrEqual(2)
  child.kill('SIGKILL')
  await until(() => pids.every((pid) => !runs(pid)), 5_000, 'the gateway\'s processes are gone')
})

/** The shell that guards it and QEMU. */
function gatewayPids (parent: number): number[] {
  const children = (of: number): number[] => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => parentOf(pid) === of)
  return children(parent).filter((pid) => command(pid).includes('user,id=user')).flatMap((shell) => [shell, ...children(shell)])
}

function parentOf (pid: number): number | undefined { return read(`/proc/${pid}/stat`, (stat) => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])) }
function command (pid: number): string { return read(`/proc/${pid}/cmdline`, (line) => line) ?? '' }
function runs (pid: number): boolean { return read(`/proc/${pid}/stat`, (stat) => !/\) [ZX] /.test(stat)) ?? false }

/** Sockets of these processes that listen, as their inodes. */
function listeningIn (pids: number[]): string[] {
  const listening = new Set(readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/)).filter((fields) => fields[3] === '0A').map((fields) => `socket:[${fields[9]}]`))
  return pids.flatMap((pid) => readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`)).filter((link) => listening.has(link)))
}

function read<T> (path: string, take: (text: string) => T): T | undefined {
  try {
    return take(readFileSync(path, 'latin1'))
  } catch {
    return undefined // It has ended.
  }
}

function linkOf (path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // Closed meanwhile.
  }
}
