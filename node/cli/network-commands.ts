/** network list, show, capture: CONTRACT.md, Commands. */
import { open } from 'node:fs/promises'
import { once } from 'node:events'
import type { Command } from 'commander'
import { PlantError, type PeerId } from '../../protocols/kit/index.ts'
import { clientOptions, runCommand, type Context } from './context.ts'
import { toldOf } from './list-networks.ts'
import { networkText, networksTable, type MeshNetwork } from './network-text.ts'

/** Adds the commands. */
export function networkCommands (program: Command): void {
  const network = program.command('network').description('the virtual networks of your domains: who is on them, and what passes')
  clientOptions(network.command('list').description('every network of the mesh that you may see'))
    .addHelpText('after', '\nExample:\n  plantmesh network list')
    .action(async (options) => runCommand(options, async (c) => {
      const networks = await toldOf(c)
      c.out.answer(networks, networksTable(networks))
    }))
  clientOptions(network.command('show').description('its stations, and each plant\'s tunnels, ports, counters and drops by reason').argument('<name>', 'its name or id'))
    .option('--domain <name>', 'the domain, where several have a network of this name')
    .addHelpText('after', '\nExample:\n  plantmesh network show lan --json')
    .action(async (name, options) => runCommand(options, async (c) => {
      const { id } = await named(c, name, options.domain)
      const [shown] = await toldOf(c, id)
      if (shown === undefined) throw new PlantError('NETWORK_UNKNOWN', { network: name })
      c.out.answer(shown, networkText(shown))
    }))
  clientOptions(network.command('capture').description('write the frames that pass on one plant as a file that Wireshark opens (pcapng), until Ctrl-C').argument('<name>', 'its name or id'))
    .option('-w, --write <file>', 'where to (default: standard output, unless that is a terminal)')
    .option('--plant <peer id>', 'where to listen (default: this plant when it is on the network, else any)')
    .option('--domain <name>', 'the domain, where several have a network of this name')
    .addHelpText('after', '\nExample:\n  plantmesh network capture lan | wireshark -k -i -')
    .action(async (name, options) => runCommand(options, async (c) => capture(c, name, options)))
}

async function named (c: Context, name: string, domain: string | undefined): Promise<MeshNetwork> {
  const all = await toldOf(c)
  const found = all.filter((one) => (one.name === name || one.id === name as string) && (domain === undefined || one.domain === domain))
  const [only] = found
  if (only === undefined) throw new PlantError('NETWORK_UNKNOWN', { network: name, ...(domain !== undefined && { domain }) })
  if (found.length > 1) throw new PlantError('USAGE', { network: name, problem: 'several have this name: say --domain, or the id', found: found.map((one) => `${one.id} of ${one.domain} (${one.domainKey})`) })
  return only
}

async function capture (c: Context, name: string, options: { write?: string, plant?: string, domain?: string }): Promise<void> {
  if (options.write === undefined && (c.out.json || process.stdout.isTTY)) throw new PlantError('USAGE', { problem: 'the capture would go to the terminal, or between lines of JSON', allowed: 'standard output to a file or a program, or --write FILE' })
  const { id, plants } = await named(c, name, options.domain)
  const { peerId: self } = await c.api.get('/v1/self', c.signal)
  const plant = options.plant ?? (plants.find((told) => told.plant === self) ?? plants[0])?.plant
  if (!plants.some((told) => told.plant === plant)) throw new PlantError('USAGE', { option: '--plant', found: plant, allowed: plants.map((told) => told.plant).join(', ') })
  const ended = new AbortController()
  const signal = AbortSignal.any([c.signal, ended.signal])
  const sink = await sinkTo(options.write, () => { ended.abort(new PlantError('INTERRUPTED')) })
  c.out.note(`capturing on ${plant}; Ctrl-C ends`)
  let bytes = 0
  try {
    await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'capture', body: { network: id, plant: plant as PeerId } }) }, async (event) => {
      if (event['event'] !== 'output') return
      const piece = Buffer.from(String(event['bytes']), 'base64')
      bytes += piece.length
      await sink.write(piece)
    }, signal)
  } catch (error) {
    if (!signal.aborted) throw error // Else it was ended by who reads it, as every capture is.
  } finally {
    await sink.close()
  }
  if (options.write !== undefined) c.out.answer({ file: options.write, bytes, plant, network: id }, `${options.write}  ${bytes} bytes`)
}

/** Where a capture goes; `onGone` when nobody reads it any more. A file is its owner's only: what passes on a network is private. */
async function sinkTo (file: string | undefined, onGone: () => void): Promise<{ write (bytes: Buffer): Promise<void>, close (): Promise<void> }> {
  if (file !== undefined) {
    const handle = await open(file, 'w', 0o600).catch((cause: Error) => { throw new PlantError('USAGE', { option: '--write', found: file, problem: cause.message }, { cause }) })
    return { write: async (bytes) => { await handle.writeFile(bytes) }, close: async () => handle.close() }
  }
  const gone = new AbortController()
  process.stdout.on('error', () => {
    gone.abort()
    onGone()
  })
  return {
    write: async (bytes) => {
      if (!process.stdout.write(bytes)) await once(process.stdout, 'drain', { signal: gone.signal }).catch(() => undefined) // Gone: the capture ends by `onGone`.
    },
    close: async () => {}
  }
}
