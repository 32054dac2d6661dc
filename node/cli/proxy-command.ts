/** proxy and connect: this host on a network of a domain. */
import { InvalidArgumentError, type Command } from 'commander'
import { PlantError, asPlantError, publicKeyOf, type KeyId } from '../../protocols/kit/index.ts'
import { DOMAIN_DEFAULT } from '../../protocols/order/constants.ts'
import { relayServer, type RelayServer } from '../net/relay-server.ts'
import { socksServer } from '../net/socks.ts'
import { clientOptions, runCommand, type Context, type GlobalOptions } from './context.ts'
import { stayJoined } from './join-again.ts'
import { tellIfEmpty } from './list-networks.ts'
import { machineDialler, newMac, userEnd, type EndOptions, type JoinedEnd, type NetworkChoice } from './network-end.ts'
import { isLoopback, listenAt, publication, type Publication } from './proxy-arguments.ts'
import { printable, tellReady } from './output.ts'
import { tapEnd, type TapOptions } from './proxy-tap.ts'

interface ProxyOptions extends TapOptions, GlobalOptions {
  domain: string
  domainKey?: KeyId
  external?: boolean
  socks?: { host: string, port: number }
  publish?: Publication[]
  name?: string
}

/** A failure that comes again and again is told once in so long. */
const TOLD_EVERY_MS = 10_000

export function proxyCommands (program: Command): void {
  networkOptions(clientOptions(program.command('proxy').description('join a network of your domain from this host').argument('<network>')))
    .option('--socks <[host:]port>', 'serve SOCKS 5 into the network, names included (default, when nothing else is asked for: 127.0.0.1:1080)', parsed(listenAt))
    .option('--publish <[host:]port:machine:port>', 'a port here for a port of a machine, by name, VMID or address; may be repeated', collected(publication))
    .option('--tap <name>', 'a network interface of this host, made as root or one that root made for you; with an address of its own unless --bare')
    .option('--bare', 'the interface gets no address: put it into a bridge')
    .option('--external', 'the network\'s addresses are given by a LAN of yours (addressing: external)')
    .option('--address <address[/bits]>', 'the address that this end is to have')
    .option('--name <name>', 'a name for this host that resolves in the network')
    .addHelpText('after', '\nExamples:\n  plantmesh proxy lan --publish 2222:workspace:22\n  plantmesh proxy lan --socks 1080         # then: curl --socks5-hostname 127.0.0.1:1080 http://workspace/\n  sudo plantmesh proxy lan --tap pm0 --data ~/.local/share/plantmesh --key ~/.config/plantmesh/key   # your plant and key, not root\'s')
    .action(async (network: string, options: ProxyOptions) => runCommand(options, async (c) => proxy(c, choiceOf(network, options), options)))

  networkOptions(clientOptions(program.command('connect').description('join standard input and output to a port of a machine, as ProxyCommand of ssh wants it').argument('<network>').argument('<machine>').argument('<port>', 'port of the machine', parsed(portNumber))))
    .addHelpText('after', '\nExample:\n  scp -o ProxyCommand="plantmesh connect lan %h %p" file root@workspace:')
    .action(async (network: string, machine: string, port: number, options: ProxyOptions) => runCommand(options, async (c) => connect(c, choiceOf(network, options), machine, port)))
}

function networkOptions (command: Command): Command {
  return command
    .option('--domain <name>', 'the network\'s domain', DOMAIN_DEFAULT)
    .option('--domain-key <key>', 'the domain\'s key, where it is neither yours nor one that you hold', parsed(keyArgument))
}

function choiceOf (network: string, { domain, domainKey }: Pick<ProxyOptions, 'domain' | 'domainKey'>): NetworkChoice {
  return { network, domain, ...(domainKey !== undefined && { domainKey }) }
}

async function proxy (c: Context, choice: NetworkChoice, options: ProxyOptions): Promise<number> {
  const user = options.socks !== undefined || options.publish !== undefined || options.tap === undefined
  if (options.tap !== undefined && user) throw new PlantError('USAGE', { problem: '--tap puts this host itself on the network: --socks and --publish belong to a proxy of their own' })
  if (options.tap === undefined && options.bare === true) throw new PlantError('USAGE', { problem: '--bare is for --tap' })
  const ends: EndOptions = { mac: newMac(), addressing: options.external === true ? 'external' : 'mesh', ...(options.address !== undefined && { address: options.address }), ...(options.name !== undefined && { name: options.name }) }
  if (options.tap !== undefined) return tapEnd(c, choice, ends, options)
  let end: JoinedEnd | undefined
  const servers: RelayServer[] = []
  try {
    await stayJoined(c, async () => userEnd(c, choice, ends), async (joined) => {
      const first = end === undefined && servers.length === 0
      end?.close()
      end = joined
      if (joined === undefined) return
      const dial = machineDialler(c, choice, () => end ?? AWAY)
      const ready = { network: choice.network, networkId: joined.networkId, address: joined.station.addresses[0] }
      if (first) {
        tellReady(c.out, { ...ready, ...await serve(c, choice, options, dial, servers) })
        void tellIfEmpty(c, { id: joined.networkId, name: choice.network, domain: choice.domain })
      } else c.out.note(`joined again, as ${ready.address ?? ''}`)
    })
    return 0
  } finally {
    for (const server of servers) server.stop()
    end?.close()
  }
}

/** While the plant is away. */
const AWAY: Pick<JoinedEnd, 'dial'> = { dial: async () => { throw new PlantError('VM_UNREACHABLE', { problem: 'the plant that leads to the network is away' }) } }

/** Listens where it was asked to, and says where that is. */
async function serve (c: Context, choice: NetworkChoice, options: ProxyOptions, dial: ReturnType<typeof machineDialler>, servers: RelayServer[]): Promise<Record<string, unknown>> {
  const failures = tellSeldom(c)
  const socksAt = options.socks ?? (options.publish === undefined ? { host: '127.0.0.1', port: SOCKS_PORT } : undefined)
  const socks = socksAt && await socksServer(socksAt, dial, failures)
  if (socks !== undefined) servers.push(socks)
  const published = []
  for (const { host, port, machine, machinePort } of options.publish ?? []) {
    const server = await relayServer({ host, port }, async (_caller, signal) => dial(machine, machinePort, signal), failures)
    servers.push(server)
    published.push({ at: textOf(server), machine, port: machinePort })
  }
  for (const server of servers) if (!isLoopback(server.host)) c.out.note(`${textOf(server)} is reachable from other hosts, and through it the network ${printable(choice.network)}`)
  return { ...(socks !== undefined && { socks: textOf(socks) }), ...(published.length > 0 && { published }) }
}

/** RFC 1928's. */
const SOCKS_PORT = 1080

async function connect (c: Context, choice: NetworkChoice, machine: string, port: number): Promise<void> {
  const end = await userEnd(c, choice, { addressing: 'mesh', mac: newMac() })
  try {
    const there = await machineDialler(c, choice, () => end)(machine, port, c.signal)
    process.stdin.pipe(there)
    there.pipe(process.stdout, { end: false })
    await new Promise<void>((resolve) => {
      there.once('close', resolve)
      c.signal.addEventListener('abort', () => { resolve() }, { once: true })
    })
    there.destroy()
  } finally {
    process.stdin.destroy()
    end.close()
  }
}

/** Tells what went wrong with single connections; the same only now and then. */
function tellSeldom (c: Context): (error: unknown) => void {
  const toldMs = new Map<string, number>()
  return (thrown) => {
    const error = asPlantError(thrown)
    const text = printable(`${error.report().message} ${JSON.stringify(error.details)}`)
    const nowMs = performance.now()
    if (nowMs - (toldMs.get(text) ?? -Infinity) < TOLD_EVERY_MS) return
    if (toldMs.size >= TOLD_MAX) toldMs.clear()
    toldMs.set(text, nowMs)
    c.out.note(text)
  }
}

const TOLD_MAX = 256

function textOf ({ host, port }: { host: string, port: number }): string { return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}` }

/** Commander tells an argument's error in its own words. */
function parsed<T> (parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text)
    } catch (error) {
      throw new InvalidArgumentError(error instanceof PlantError ? String(error.details['allowed']) : String(error))
    }
  }
}

function collected<T> (parse: (text: string) => T): (text: string, before?: T[]) => T[] {
  const one = parsed(parse)
  return (text, before = []) => [...before, one(text)]
}

function portNumber (text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new PlantError('USAGE', { allowed: 'a port from 1 to 65535' })
  return port
}

function keyArgument (text: string): KeyId {
  if (publicKeyOf(text) === undefined) throw new PlantError('USAGE', { allowed: 'a key as plantmesh domain list shows it' })
  return text as KeyId
}
