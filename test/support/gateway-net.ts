/**
 * A site behind a gateway in network namespaces: one outside, one with two ends (the gateway), and private ones on a bridge that only it reaches.
 *
 *   outside 203.0.113.2 ── 203.0.113.1 gateway 10.77.0.1 ── bridge ── 10.77.0.11, 10.77.0.12
 */
import { execFileSync } from 'node:child_process'

/** Address of the gateway outside, and of each private plant inside. */
export const GATEWAY_OUTSIDE = '203.0.113.1'
export const GATEWAY_INSIDE = '10.77.0.1'
export const PRIVATE = ['10.77.0.11', '10.77.0.12'] as const

export interface GatewayNet {
  outside: string
  gateway: string
  private: string[]
  /** The command, run in that namespace. */
  within (namespace: string): (command: string[]) => string[]
  undo (): void
}

/** Lets nothing in, and what is inside out under the gateway's address. */
const NAT = `table ip site {
  chain forward { type filter hook forward priority 0; policy drop; iifname "in" accept; ct state established,related accept; }
  chain post { type nat hook postrouting priority 100; oifname "out" masquerade; }
}`

/** What is missing to make such a network here, in one line; undefined when nothing is. `nat`: the private plants can go out. */
export function missingFor (nat: boolean): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root: run the tests as root'
  if (!runs('ip', ['-V'])) return 'no ip: apt-get install iproute2'
  try {
    execFileSync('ip', ['netns', 'add', `pmt${process.pid}`], { stdio: 'pipe' })
    execFileSync('ip', ['netns', 'del', `pmt${process.pid}`], { stdio: 'pipe' })
  } catch (error) {
    return `network namespaces cannot be made here: ${String(error).split('\n')[0]}`
  }
  if (!nat) return undefined
  return runs('nft', ['list', 'ruleset']) ? undefined : 'no NAT: apt-get install nftables, on a kernel that has it'
}

function runs (program: string, args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}

/** Makes the network; with `nat` the private side can go out through the gateway, without there is no way but to the gateway itself. */
export function gatewayNet (nat: boolean): GatewayNet {
  const name = (part: string): string => `pmg${process.pid % 100_000}${nat ? 'n' : ''}-${part}`
  const [outside, gateway, ...inside] = ['out', 'gw', 'p1', 'p2'].map(name) as [string, string, ...string[]]
  const ip = (line: string): void => { execFileSync('ip', line.split(' '), { stdio: 'pipe' }) }
  const undo = (): void => {
    for (const namespace of [outside, gateway, ...inside]) {
      try { ip(`netns del ${namespace}`) } catch { /* It was not made. */ }
    }
  }
  try {
    for (const namespace of [outside, gateway, ...inside]) {
      ip(`netns add ${namespace}`)
      ip(`-n ${namespace} link set lo up`)
    }
    ip(`-n ${gateway} link add out type veth peer name eth0 netns ${outside}`)
    ip(`-n ${gateway} addr add ${GATEWAY_OUTSIDE}/24 dev out`)
    ip(`-n ${gateway} link add in type bridge`)
    ip(`-n ${gateway} addr add ${GATEWAY_INSIDE}/24 dev in`)
    for (const device of ['out', 'in']) ip(`-n ${gateway} link set ${device} up`)
    ip(`-n ${outside} addr add 203.0.113.2/24 dev eth0`)
    ip(`-n ${outside} link set eth0 up`)
    // Who is outside may well try: it sends what is for the private network to the gateway.
    ip(`-n ${outside} route add 10.77.0.0/24 via ${GATEWAY_OUTSIDE}`)
    for (const [i, namespace] of inside.entries()) {
      ip(`-n ${gateway} link add in${i} type veth peer name eth0 netns ${namespace}`)
      ip(`-n ${gateway} link set in${i} master in up`)
      ip(`-n ${namespace} addr add ${PRIVATE[i]}/24 dev eth0`)
      ip(`-n ${namespace} link set eth0 up`)
      if (nat) ip(`-n ${namespace} route add default via ${GATEWAY_INSIDE}`)
    }
    execFileSync('ip', ['netns', 'exec', gateway, 'sh', '-c', `echo ${nat ? 1 : 0} > /proc/sys/net/ipv4/ip_forward`], { stdio: 'pipe' })
    if (nat) execFileSync('ip', ['netns', 'exec', gateway, 'nft', '-f', '-'], { input: NAT, stdio: 'pipe' })
    return { outside, gateway, private: inside, within: (namespace) => (command) => ['ip', 'netns', 'exec', namespace, ...command], undo }
  } catch (error) {
    undo()
    throw error
  }
}

/** TCP ports that something listens at in the namespace, on any address. */
export function listening (namespace: string): number[] {
  const lines = execFileSync('ip', ['netns', 'exec', namespace, 'cat', '/proc/net/tcp', '/proc/net/tcp6'], { encoding: 'utf8' }).split('\n')
  return [...new Set(lines.map((line) => line.trim().split(/\s+/)).filter((fields) => fields[3] === '0A').map((fields) => Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)))]
}

/** Those of the ports that a connection from the namespace to the host opens. */
export function openFrom (namespace: string, host: string, ports: number[]): number[] {
  const scan = `
    const { connect } = require('node:net')
    const open = []
    const [host, ...ports] = process.argv.slice(1)
    Promise.all(ports.map((port) => new Promise((resolve) => {
      const socket = connect({ host, port: Number(port), timeout: 1000 })
      const done = () => { socket.destroy(); resolve() }
      socket.once('connect', () => { open.push(Number(port)); done() }).once('error', done).once('timeout', done)
    }))).then(() => console.log(JSON.stringify(open)))`
  return JSON.parse(execFileSync('ip', ['netns', 'exec', namespace, process.execPath, '-e', scan, host, ...ports.map(String)], { encoding: 'utf8', maxBuffer: 2 ** 20 })) as number[]
}
