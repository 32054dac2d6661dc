/** The plain BitTorrent port of a plant, where one is opened; what `golden torrent` answers where none is. */
import { PlantError, type Log } from '../../protocols/kit/index.ts'
import { PlainPacks, type PackTorrent, type PlainPacksComponents } from '../plant/images/plain-packs.ts'

export interface PlainPortInit extends Omit<PlainPacksComponents, 'port'> {
  /** Absent: no port is opened. */
  at?: { host: string, port: number }
  uploadBytesPerS?: number
  log: Log
}

export interface PlainSide {
  /** See `PlainPacks`; throws USAGE where no port is open. */
  torrents (name: string): Promise<PackTorrent[]>
  stop (): Promise<void>
}

/** Opens the port and shares what there is to share. Throws CONFIG_INVALID. */
export async function openPlainPort ({ at, uploadBytesPerS, log, ...init }: PlainPortInit): Promise<PlainSide> {
  if (at === undefined) {
    return {
      async torrents (name) { throw new PlantError('USAGE', { name, problem: 'this plant has no plain BitTorrent port: start it with --bittorrent HOST:PORT' }) },
      async stop () {}
    }
  }
  // Loaded only here: webtorrent takes 0.4 s to load.
  const { PlainBittorrent, torrentFile } = await import('../drivers/plain-bittorrent.ts')
  const port = await PlainBittorrent.start({ ...at, ...(uploadBytesPerS !== undefined && { uploadBytesPerS }), log })
  const packs = new PlainPacks({ ...init, log, port: { share: async (pack, info) => port.share(pack, info), torrentOf: (info) => torrentFile(info, port.trackers) } })
  await packs.start()
  return {
    torrents: async (name) => packs.torrents(name),
    async stop () {
      await packs.stop()
      await port.stop()
    }
  }
}
