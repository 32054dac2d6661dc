/** A client's own LAN, in the network namespace of its proxy: a bridge that the proxy's interface is put into, and a DHCP server of its own that knows one machine. */
import { execFileSync } from 'node:child_process'
import { openTap } from '../../node/net/tap.ts'
import { NetworkGateway, type Subnet } from '../../protocols/tunnel/address/index.ts'

const [proxyTap = '', mac = '', address = ''] = process.argv.slice(2)
const subnet: Subnet = { base: 0xc0_a8_32_00, prefixBits: 24 }
const machine = { mac, addresses: [address], given: { sinceMs: 0, prefixBits: subnet.prefixBits } }

const ip = (line: string): void => { execFileSync('ip', line.split(' '), { stdio: 'inherit' }) }
const lan = openTap({ name: 'lan0' })
const server = new NetworkGateway({ network: 'office', clock: { monotonicMs: () => performance.now() }, subnet })
server.setStations(() => [machine])
lan.onFrame(({ bytes }) => { for (const answer of server.onFrame(machine, bytes)) lan.send({ bytes: answer }) })
ip('link add br0 type bridge')
for (const port of ['lan0', proxyTap]) ip(`link set ${port} master br0`)
ip('address add 192.168.50.2/24 dev br0')
ip('link set br0 up')
process.stdout.write('ready\n')
