/** A machine with two cards between two networks, each with its gateway: what tiny can do as a router (protocols/order/topology/README.md). */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LiveMachine } from '../../node/lines/line.ts'
import type { Station } from '../../protocols/tunnel/types.ts'
import { sh } from '../contracts/shell.ts'
import { SmallSwitch } from '../support/small-switch.ts'
import { newMac, newVmId, tinyGolden, type TinyGolden } from '../support/tiny.ts'
import { until } from './tiny-machine.ts'

let tiny: TinyGolden
const machines: LiveMachine[] = []
beforeAll(async () => { tiny = await tinyGolden() })
afterAll(async () => {
  for (const machine of machines) await machine.destroy()
  await tiny?.clean()
})

async function clone (): Promise<LiveMachine> {
  const { line, golden, goldenDir } = tiny
  const machine = await line.clone({ vmId: newVmId(), golden, goldenDir, mac: newMac(), diskMiB: golden.hardware.diskMiB })
  machines.push(machine)
  return machine
}

const stationOf = (mac: string, name: string, address: string, more: Partial<Station> = {}): Station => ({ mac, addresses: [address], name, given: { sinceMs: 0, prefixBits: 24 }, ...more })
const identify = async (machine: LiveMachine, hostName: string): Promise<void> => {
  await machine.identify({ mac: machine.mac, hostName, machineId: machine.vmId, seed: randomBytes(32), networked: true })
}
const has = async (machine: LiveMachine, card: string, address: string): Promise<void> => { await sh(machine, `until ip addr show ${card} | grep -q 'inet ${address}/24'; do sleep 0.05; done`) }

test('two networks reach each other, by what DHCP says, through a router that forwards, filters and translates', async () => {
  const [east, west] = [new SmallSwitch('east'), new SmallSwitch('west')]
  const [gate, alice, bob] = await Promise.all([clone(), clone(), clone()])
  const further = newMac()
  const card = await gate.attachCard(further)
  east.plug(stationOf(gate.mac, 'gate', '192.168.1.1', { router: true }), await gate.network())
  west.plug(stationOf(further, 'gate', '192.168.2.1', { router: true }), await card.network())
  east.plug(stationOf(alice.mac, 'alice', '192.168.1.10', { routes: [{ to: '192.168.2.0/24', via: '192.168.1.1' }] }), await alice.network())
  west.plug(stationOf(bob.mac, 'bob', '192.168.2.10', { routes: [{ to: '192.168.1.0/24', via: '192.168.2.1' }] }), await bob.network())
  await Promise.all([identify(gate, 'gate'), identify(alice, 'alice'), identify(bob, 'bob')])
  await Promise.all([has(gate, 'eth0', '192.168.1.1'), has(gate, 'eth1', '192.168.2.1'), has(alice, 'eth0', '192.168.1.10'), has(bob, 'eth0', '192.168.2.10')])
  expect(await sh(alice, 'until ip route | grep via; do sleep 0.05; done')).toContain('192.168.2.0/24 via 192.168.1.1 dev eth0')
  // The gateway is not in their subnet, but on their Ethernet: it knows their names.
  expect(await sh(bob, 'ping -c 1 -W 5 gate; nslookup bob.west')).toMatch(/PING gate \(192\.168\.2\.1\)[^]*192\.168\.2\.10/)
  await sh(gate, 'sysctl -w net.ipv4.ip_forward=1')
  await sh(bob, 'mkdir /root/www; echo bob > /root/www/index.html; httpd -p 80 -h /root/www; httpd -p 8080 -h /root/www')
  expect(await sh(alice, 'ping -c 2 -W 5 192.168.2.10')).toContain('2 packets received, 0% packet loss')
  const get = (port: number): string => `timeout 10 wget -q -O - http://192.168.2.10:${port}/ 2> /dev/null || echo refused`
  expect(await sh(alice, get(8080))).toBe('bob\n')
  await sh(gate, 'iptables -A FORWARD -p tcp --dport 8080 -j REJECT --reject-with tcp-reset')
  expect(await sh(alice, `${get(8080)}; ${get(80)}`)).toBe('refused\nbob\n')
  // Behind a router that translates nobody needs a way back.
  await sh(bob, 'ip route del 192.168.1.0/24 via 192.168.2.1')
  expect(await sh(alice, 'ping -c 1 -W 1 192.168.2.10 || true')).toContain('100% packet loss')
  await sh(gate, 'iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE')
  expect(await sh(alice, `ping -c 1 -W 5 192.168.2.10 > /dev/null; ${get(80)}`)).toBe('bob\n')
})

test('a card that comes while the machine is on a network asks for its address too, and each card does again after a boot', async () => {
  const [east, west] = [new SmallSwitch('east'), new SmallSwitch('west')]
  const machine = await clone()
  east.plug({ mac: machine.mac, addresses: ['10.200.1.2'], name: 'm' }, await machine.network())
  await identify(machine, 'm')
  await sh(machine, 'until ip route | grep -q default; do sleep 0.05; done')
  const further = newMac()
  const card = await machine.attachCard(further)
  west.plug({ mac: further, addresses: ['10.201.1.2'], name: 'm', routes: [{ to: '10.9.0.0/16', via: '10.201.1.9' }] }, await card.network())
  const known = async (): Promise<string> => await sh(machine, 'until [ $(ip route | grep -c via) = 3 ]; do sleep 0.05; done; ip route | grep via | sort; tail -n 2 /etc/resolv.conf; ps | grep -c "[p]lant-dhcp"')
  // Names and the way to all else are the first card's matter.
  const expected = '10.9.0.0/16 via 10.201.1.9 dev eth1  metric 103 \ndefault via 10.192.0.1 dev eth0 \ndefault via 10.192.0.1 dev eth1  metric 103 \nsearch east\nnameserver 10.192.0.1\n2\n'
  expect(await known()).toBe(expected)
  await machine.channel('agent').run({ script: 'sync; reboot -f', parameters: {}, files: {}, timeoutMs: 60_000 }).catch(() => {})
  expect(await until(async () => await known().catch(() => undefined))).toBe(expected)
})
