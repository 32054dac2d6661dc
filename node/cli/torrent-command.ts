/** golden torrent: .torrent files by which BitTorrent clients outside the mesh fetch a golden machine's packs from this plant. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { PlantError } from '../../protocols/kit/index.ts'
import type { PackTorrent } from '../plant/images/plain-packs.ts'
import { clientOptions, runCommand } from './context.ts'

type Listed = Omit<PackTorrent, 'torrent'> & { torrent: string }

/** Adds the command. */
export function torrentCommand (golden: Command): void {
  clientOptions(golden.command('torrent').description('write .torrent files of its packs, for aria2 and others to fetch from a plant with --bittorrent').argument('<name>', 'its name or id'))
    .option('-o, --output <dir>', 'where to (default: the current directory)')
    .addHelpText('after', '\nExample:\n  plantmesh golden torrent tiny -o torrents && aria2c --seed-time=0 torrents/*.torrent')
    .action(async (name, options) => runCommand(options, async (c) => {
      const { torrents } = await c.api.get(`/v1/golden/${encodeURIComponent(name)}/torrents`, c.signal) as { torrents: Listed[] }
      const written = await Promise.all(torrents.map(async ({ torrent, ...rest }) => ({ ...rest, path: await write(options.output ?? '.', `${rest.file}.torrent`, torrent) })))
      c.out.answer(written, written.map(({ path, bytes }) => `${path}  ${(bytes / 2 ** 20).toFixed(1)} MiB`).join('\n'))
    }))
}

/** The file is named by an id, so that what is there of that name is the same pack's. */
async function write (dir: string, file: string, base64: string): Promise<string> {
  const path = join(resolve(dir), file)
  try {
    await mkdir(resolve(dir), { recursive: true })
    await writeFile(path, Buffer.from(base64, 'base64'))
  } catch (cause) {
    throw new PlantError('USAGE', { output: dir, problem: (cause as Error).message }, { cause })
  }
  return path
}
