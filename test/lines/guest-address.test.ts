/** What a guest does to have an address on its network, with tiny on real QEMU and the gateway of a tenant network. */
import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { LiveMachine } from '../../node/lines/line.ts'
import type { Station } from '../../protocols/tunnel/types.ts'
import { sh } from '../contracts/shell.ts'
import { SmallSwitch } from '../support/small-switch.ts'
import { newMac, newVmId, tinyGolden, type TinyGolden } from '../support/tiny.ts'
import { until } from './tiny-machine.ts'

let tiny: TinyGolden
const made: LiveMachine[] = []
beforeAll(async () => { tiny = await tinyGolden() }, 300_000)
afterEach(async () => { for (const machine of made.splice(0)) await machine.destroy() })
afterAll(async () => { await tiny?.clean() })

const clone = async (goldenDir = tiny.goldenDir): Promise<LiveMachine> => {
  const machine = await tiny.line.clone({ vmId: newVmId(), golden: tiny.golden, goldenDir, mac: newMac(), diskMiB: tiny.golden.hardware.diskMiB })
  made.push(machine)
  return machine
}
const identify = async (machine: LiveMachine, networked = true): Promise<void> => {
  await machine.identify({ mac: machine.mac, hostName: `host-${machine.vmId.slice(0, 8)}`, machineId: machine.vmId, seed: randomBytes(32), ...(networked && { networked: true as const }) })
}
const stationOf = (machine: LiveMachine, address: string, name: string, prefixBits = 10): Station => ({ mac: machine.mac, addresses: [address], vmId: machine.vmId, name, given: { sinceMs: 0, prefixBits } })
const addressOf = async (machine: LiveMachine): Promise<string | undefined> => /inet ([\d./]+) /.exec(await sh(machine, 'ip -4 addr show eth0'))?.[1]
const hasAddress = async (machine: LiveMachine, address: string): Promise<void> => { await until(async () => await addressOf(machine) === address || undefined) }
/** The kind of a DHCP message in a frame. */
const dhcpType = (frame: Buffer): number | undefined => frame.length > 284 && frame.readUInt32BE(278) === 0x63825363 ? frame[284] : undefined

test('a clone asks as itself once it is told who it is, and has address, mask, route, MTU and names', async () => {
  const network = new SmallSwitch('lab')
  const machine = await clone()
  network.plug(stationOf(machine, '10.200.1.2', 'web'), await machine.network())
  let atMs = { told: 0, asked: 0, given: 0 }
  const sinceMs = performance.now()
  const given = new Promise<void>((resolve) => {
    network.watch((_from, frame, at) => {
      if (at === 'guest' && dhcpType(frame) === 1 && atMs.asked === 0) atMs = { ...atMs, asked: performance.now() - sinceMs }
      if (at === 'gateway' && dhcpType(frame) === 5) {
        atMs = { ...atMs, given: performance.now() - sinceMs }
        resolve()
      }
    })
  })
  await identify(machine)
  atMs = { ...atMs, told: performance.now() - sinceMs }
  await given
  console.log(`identity taken after ${atMs.told.toFixed(0)} ms, first question after ${atMs.asked.toFixed(0)}, address confirmed after ${atMs.given.toFixed(0)}`)
  await hasAddress(machine, '10.200.1.2/10')
  await until(async () => await sh(machine, 'ip route | grep default').catch(() => undefined))
  expect(await sh(machine, 'ip route; cat /etc/resolv.conf; cat /sys/class/net/eth0/mtu; hostname')).toBe(`default via 10.192.0.1 dev eth0 \n10.192.0.0/10 dev eth0 scope link  src 10.200.1.2 \n# Written by the plant's agent.\nsearch lab\nnameserver 10.192.0.1\n1500\nhost-${machine.vmId.slice(0, 8)}\n`)
  expect(await sh(machine, 'ping -c 1 -W 5 10.192.0.1')).toContain('1 packets received')
  expect(await sh(machine, 'nslookup web.lab; ping -c 1 -W 5 web')).toContain('10.200.1.2')
  expect((await machine.channel('agent').run({ script: 'timeout 5 wget -O- http://192.0.2.1/', parameters: {}, files: {}, timeoutMs: 20_000 })).outputTail).toMatch(/unreachable|prohibited|No route/i)
}, 120_000)

test('machines of one network find each other by name, and each has an IPv6 address of its own card', async () => {
  const network = new SmallSwitch('lab')
  const machines = [await clone(), await clone()]
  for (const [i, machine] of machines.entries()) {
    await identify(machine)
    network.plug(stationOf(machine, `10.200.1.${i + 2}`, `m${i}`), await machine.network())
  }
  for (const [i, machine] of machines.entries()) await hasAddress(machine, `10.200.1.${i + 2}/10`)
  expect(await sh(machines[0], 'ping -c 1 -W 5 m1')).toContain('10.200.1.3')
  const links = await Promise.all(machines.map(async (machine) => /inet6 (fe80::[0-9a-f:]+)\/64/.exec(await sh(machine, 'ip -6 addr show eth0'))?.[1]))
  const [, b1 = 0, b2, b3, b4, b5, b6] = /^(..):(..):(..):(..):(..):(..)$/.exec(machines[1]?.mac ?? '') ?? []
  const words = [`${(Number.parseInt(String(b1), 16) ^ 2).toString(16)}${b2}`, `${b3}ff`, `fe${b4}`, `${b5}${b6}`].map((word) => Number.parseInt(word, 16).toString(16))
  // The last four words, of which zeros may be left out.
  expect(links[1]?.split(':').at(-1)).toBe(words.at(-1))
  expect(new Set(links).size).toBe(2)
  // Each has found out first that nobody else has its address.
  expect(await until(async () => await sh(machines[0], `ping6 -c 1 -W 2 -I eth0 ${links[1]}`).catch(() => undefined))).toContain('1 packets received')
}, 180_000)

test('a machine without a network asks nobody; a copy of one with a network forgets what that was given, and asks only if told to', async () => {
  const network = new SmallSwitch('lab')
  const machine = await clone()
  network.plug(stationOf(machine, '10.200.1.2', 'web'), await machine.network())
  await identify(machine)
  await hasAddress(machine, '10.200.1.2/10')
  const dir = join(tiny.dataDir, 'published')
  await mkdir(dir)
  try {
    await tiny.line.publish(machine, dir)
    const [alone, copy] = [await clone(dir), await clone(dir)]
    const heard: string[] = []
    network.watch(({ mac }, frame, at) => { if (at === 'guest' && dhcpType(frame) !== undefined) heard.push(mac) })
    network.plug(stationOf(alone, '10.200.1.8', 'alone'), await alone.network())
    network.plug(stationOf(copy, '10.200.1.9', 'copy'), await copy.network())
    await identify(alone, false)
    await identify(copy)
    await hasAddress(copy, '10.200.1.9/10')
    expect([await addressOf(alone), await sh(alone, 'cat /etc/resolv.conf; ps | grep "[p]lant-dhcp" || true'), heard.includes(alone.mac)]).toEqual([undefined, '', false])
    expect(await sh(copy, 'ip -4 addr show eth0 | grep -c inet; ps | grep -c "[p]lant-dhcp"; ping -c 1 -W 5 10.192.0.1 | grep -c "1 packets received"')).toBe('1\n1\n1\n')
    expect(await addressOf(machine)).toBe('10.200.1.2/10')
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}, 240_000)

test('a machine asks again when it boots, when its agent begins anew, and takes another address when its own is refused', async () => {
  const network = new SmallSwitch('lab')
  const machine = await clone()
  network.plug(stationOf(machine, '192.168.7.10', 'own', 24), await machine.network())
  await identify(machine)
  await hasAddress(machine, '192.168.7.10/24')
  expect(await sh(machine, 'ip route; cat /etc/resolv.conf')).toBe('10.192.0.1 dev eth0 scope link \n192.168.7.0/24 dev eth0 scope link  src 192.168.7.10 \n# Written by the plant\'s agent.\nsearch lab\nnameserver 10.192.0.1\n')
  expect(await sh(machine, 'nslookup own.lab; ping -c 1 -W 5 10.192.0.1')).toMatch(/192\.168\.7\.10[^]*1 packets received/)
  await machine.channel('agent').run({ script: 'sync; reboot -f', parameters: {}, files: {}, timeoutMs: 60_000 }).catch(() => {})
  await until(async () => await addressOf(machine).catch(() => undefined) === '192.168.7.10/24' || undefined)
  network.change(machine.mac, stationOf(machine, '10.200.1.7', 'own'))
  await machine.channel('agent').run({ script: 'kill -9 $(ps | sed -n "s,^ *\\([0-9]*\\) .*/agent[.]pl$,\\1,p")', parameters: {}, files: {}, timeoutMs: 60_000 }).catch(() => {})
  await until(async () => await addressOf(machine).catch(() => undefined) === '10.200.1.7/10' || undefined)
  expect(await sh(machine, 'ip -4 addr show eth0 | grep -c inet; ps | grep -c "[p]lant-dhcp"; cat /etc/resolv.conf | tail -1')).toBe('1\n1\nnameserver 10.192.0.1\n')
  network.change(machine.mac, stationOf(machine, '10.200.1.8', 'own'))
  await sh(machine, 'kill -USR1 "$(cat /run/plant-dhcp-eth0.pid)"')
  await hasAddress(machine, '10.200.1.8/10')
  await until(async () => await sh(machine, 'ip route | grep default').catch(() => undefined))
  expect(await sh(machine, 'ip -4 addr show eth0 | grep -c inet; ip route | wc -l')).toBe('1\n2\n')
}, 180_000)
