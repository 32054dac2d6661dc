/** A machine with two cards between two LANs of hubs: what tiny can do as a router (protocols/order/topology/README.md). */
import type { Duplex } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LiveMachine } from '../../node/lines/line.ts'
import { sh } from '../contracts/shell.ts'
import { newMac, newVmId, tinyGolden, type TinyGolden } from '../support/tiny.ts'

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

/** What comes from one goes to all others; the ends' own framing passes as it is. */
function hub (ports: Duplex[]): void {
  for (const port of ports) port.on('data', (bytes: Buffer) => { for (const other of ports) if (other !== port) other.write(bytes) })
}

test('two LANs reach each other through a router that forwards, filters and translates', async () => {
  const [gate, alice, bob] = await Promise.all([clone(), clone(), clone()])
  const west = await gate.attachCard(newMac())
  hub([await gate.network(), await alice.network()])
  hub([await west.network(), await bob.network()])
  const up = (card: string, address: string): string => `until [ -e /sys/class/net/${card} ]; do sleep 0.05; done; ip link set ${card} up; ip address add ${address} dev ${card}`
  await sh(gate, `${up('eth0', '192.168.1.1/24')}; ${up('eth1', '192.168.2.1/24')}; sysctl -w net.ipv4.ip_forward=1`)
  await sh(alice, `${up('eth0', '192.168.1.10/24')}; ip route add 192.168.2.0/24 via 192.168.1.1`)
  await sh(bob, `${up('eth0', '192.168.2.10/24')}; ip route add 192.168.1.0/24 via 192.168.2.1; mkdir /root/www; echo bob > /root/www/index.html; httpd -p 80 -h /root/www; httpd -p 8080 -h /root/www`)
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
