/** up: runs a plant in the foreground (CONTRACT.md, Commands). */
import type { Command } from 'commander'
import { PlantError } from '../../protocols/kit/index.ts'
import { pinoLog } from '../drivers/pino-log.ts'
import { defaultCapacity, parseCapacity } from '../plant/capacity.ts'
import { dataDirOf } from './context.ts'
import { checkConfig, partsOfHostPort, readConfig } from './options.ts'
import { printError } from './output.ts'

const BYTES_PER_S_OF_MBIT = 125_000
const MS_PER_HOUR = 3_600_000
const DEFAULT_LISTEN = '/ip4/0.0.0.0/tcp/0'

interface UpOptions {
  config?: string
  data?: string
  listen?: string[]
  bootstrap?: string[]
  capacity?: string
  mesh?: string
  mdns: boolean
  site?: string
  gateway?: boolean
  inside?: string[]
  behind?: string
  announce?: string[]
  costModel?: string
  uploadMax?: number
  downloadMax?: number
  copies?: number
  copiesDisk?: number
  coolDown?: number
  disposeAfter?: number
  bittorrent?: string
  spareMemory?: number
  serve?: string[]
  egress?: true | string[]
  collectOnExit?: boolean
  import?: string[]
  withParent?: boolean
  logLevel?: string
}

export function upCommand (program: Command): void {
  program.command('up').description('run a plant in the foreground')
    .option('--config <file>', 'YAML or JSON file with the same names as these options')
    .option('--data <dir>', 'where the plant keeps all it has (default: PLANTMESH_DATA, else ~/.local/share/plantmesh)')
    .option('--listen <multiaddr...>', `addresses to be reached at (default: ${DEFAULT_LISTEN})`)
    .option('--bootstrap <multiaddr...>', 'peers to join by')
    .option('--capacity <amounts>', 'cpus=2,memoryMiB=4096,diskMiB=20000,machines=32,networks=4 (default: the host\'s)')
    .option('--mesh <name>', 'name of the mesh; plants of another name are not joined (default: plantmesh)')
    .option('--no-mdns', 'do not look for plants on the local network')
    .option('--site <name>', 'the site this plant belongs to')
    .option('--gateway', 'relay and collect bids for the plants of the site that stand in its private network')
    .option('--inside <range...>', 'where plants of the site come from, such as 10.77.0.0/16 (default: private addresses)')
    .option('--behind <multiaddr>', 'the gateway (with /p2p/…) of the site by which alone this plant is to be reached')
    .option('--announce <multiaddr...>', 'addresses to tell others beside those listened at, such as the public one of a gateway')
    .option('--cost-model <name>', 'memory, compute+network or time-to-done (default)')
    .option('--upload-max <Mbit/s>', 'cap on what golden machines send to other plants (default: none)', Number)
    .option('--download-max <Mbit/s>', 'cap on what golden machines are fetched with (default: none)', Number)
    .option('--copies <number>', 'plants that are to have each golden machine, however seldom it is used (default: 2)', Number)
    .option('--copies-disk <MiB>', 'disk that this plant gives to golden machines of others ahead of use; 0: none (default: a tenth of what is free, at most 10240)', Number)
    .option('--cool-down <hours>', 'a copy that was not used here for so long may go when others have enough (default: 24)', Number)
    .option('--dispose-after <hours>', 'golden machines that nobody used for so long, pinned, labelled or made anything from go with all their copies (default: never)', Number)
    .option('--bittorrent <host:port>', 'open a plain BitTorrent port: whoever reaches it may read golden machines that no domain has published (default: none)')
    .option('--spare-memory <MiB>', 'memory for machines that are made before they are ordered, from golden machines ordered again and again (default: 0, none)', Number)
    .option('--serve <domain...>', 'take orders of these domains only, each by its key (plantmesh domain shows it) or its name, which anybody may use (default: of all)')
    .option('--egress [range...]', 'let machines whose orders ask for it connect to the public Internet, or to these IPv4 ranges instead (default: nowhere)')
    .option('--collect-on-exit', 'collect the machines before stopping')
    .option('--import <warehouse...>', 'take over the golden machines of another warehouse directory on this host')
    .option('--with-parent', 'stop when standard input ends')
    .option('--log-level <level>', 'debug, info, warn or error (default: warn), as JSON lines on stderr')
    .addHelpText('after', '\nExample:\n  plantmesh up --listen /ip4/0.0.0.0/tcp/4001 --mesh campus')
    .action(async (options: UpOptions) => { await up(options) })
}

async function up (options: UpOptions): Promise<void> {
  const stop = new AbortController()
  let wasReady = false
  const onSignal = (): void => { stop.abort(new PlantError('INTERRUPTED')) }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal)
  if (options.withParent === true) process.stdin.on('end', onSignal).on('error', onSignal).resume()
  try {
    const config = { ...(options.config === undefined ? {} : await readConfig(options.config)), ...checkConfig(fromFlags(options), 'command line') }
    const dataDir = config.data ?? dataDirOf({})
    // Said before anything is set up; the host's figures come later.
    if (options.capacity !== undefined) parseCapacity(options.capacity, { cpus: 0, memoryMiB: 0, diskMiB: 0, machines: 0, networks: 0 })
    const log = pinoLog({ level: logLevel(options.logLevel ?? 'warn') })
    // Loaded only here: every other command starts faster without a plant's libraries.
    const { runPlant } = await import('./run-plant.ts')
    // Whatever a library forgets to catch must not end a plant whose machines work.
    process.on('unhandledRejection', (reason) => { log.error({ error: reason instanceof Error ? reason.stack : String(reason) }, 'an error that nobody waited for') })
    const plant = await runPlant({
      dataDir,
      listen: config.listen ?? [DEFAULT_LISTEN],
      bootstrap: config.bootstrap ?? [],
      mesh: config.mesh ?? 'plantmesh',
      mdns: config.mdns ?? true,
      capacity: (host) => {
        const configured = { ...defaultCapacity(host), ...config.capacity }
        return options.capacity === undefined ? configured : parseCapacity(options.capacity, configured)
      },
      site: config.site ?? '',
      gateway: config.gateway ?? false,
      ...(config.inside !== undefined && { inside: config.inside }),
      ...(config.behind !== undefined && { behind: config.behind }),
      announce: config.announce ?? [],
      costModel: config.costModel ?? 'time-to-done',
      swarm: {
        ...(config.uploadMax !== undefined && { uploadBytesPerS: config.uploadMax * BYTES_PER_S_OF_MBIT }),
        ...(config.downloadMax !== undefined && { downloadBytesPerS: config.downloadMax * BYTES_PER_S_OF_MBIT })
      },
      life: {
        ...(config.copies !== undefined && { copiesMin: config.copies }),
        ...(config.copiesDisk !== undefined && { copyBytesMax: config.copiesDisk * 2 ** 20 }),
        ...(config.coolDown !== undefined && { coolDownMs: config.coolDown * MS_PER_HOUR }),
        ...(config.disposeAfter !== undefined && { disposeAfterMs: config.disposeAfter * MS_PER_HOUR })
      },
      ...(config.bittorrent !== undefined && { bittorrent: partsOfHostPort(config.bittorrent) }),
      spareMemoryMiB: config.spareMemory ?? 0,
      ...(config.serve !== undefined && { serves: config.serve }),
      ...(config.egress !== undefined && config.egress !== false && { egress: config.egress }),
      importFrom: options.import ?? [],
      log
    }, stop.signal)
    process.stdout.write(`ready ${JSON.stringify({ peerId: plant.peerId, addresses: plant.addresses(), api: plant.api })}\n`)
    if (!stop.signal.aborted) await new Promise((resolve) => { stop.signal.addEventListener('abort', resolve, { once: true }) })
    wasReady = true
    await plant.stop({ collect: config.collectOnExit ?? false })
    process.exit(0) // Nothing is left to do; a socket that some library keeps must not keep the process.
  } catch (error) {
    process.exit(stop.signal.aborted && !wasReady ? 130 : printError(error, false))
  }
}

function logLevel (text: string): 'debug' | 'info' | 'warn' | 'error' {
  if (text === 'debug' || text === 'info' || text === 'warn' || text === 'error') return text
  throw new PlantError('USAGE', { option: '--log-level', found: text, allowed: 'debug, info, warn, error' })
}

function fromFlags (options: UpOptions): Record<string, unknown> {
  return {
    ...(options.data !== undefined && { data: options.data }),
    ...(options.listen !== undefined && { listen: options.listen }),
    ...(options.bootstrap !== undefined && { bootstrap: options.bootstrap }),
    ...(options.mesh !== undefined && { mesh: options.mesh }),
    ...(!options.mdns && { mdns: false }),
    ...(options.site !== undefined && { site: options.site }),
    ...(options.gateway === true && { gateway: true }),
    ...(options.inside !== undefined && { inside: options.inside }),
    ...(options.behind !== undefined && { behind: options.behind }),
    ...(options.announce !== undefined && { announce: options.announce }),
    ...(options.costModel !== undefined && { costModel: options.costModel }),
    ...(options.uploadMax !== undefined && { uploadMax: options.uploadMax }),
    ...(options.downloadMax !== undefined && { downloadMax: options.downloadMax }),
    ...(options.copies !== undefined && { copies: options.copies }),
    ...(options.copiesDisk !== undefined && { copiesDisk: options.copiesDisk }),
    ...(options.coolDown !== undefined && { coolDown: options.coolDown }),
    ...(options.disposeAfter !== undefined && { disposeAfter: options.disposeAfter }),
    ...(options.bittorrent !== undefined && { bittorrent: options.bittorrent }),
    ...(options.spareMemory !== undefined && { spareMemory: options.spareMemory }),
    ...(options.serve !== undefined && { serve: options.serve }),
    ...(options.egress !== undefined && { egress: options.egress }),
    ...(options.collectOnExit === true && { collectOnExit: true })
  }
}
