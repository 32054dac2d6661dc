/** Disks that are served while they come, on this host: NBD on sockets in the data directory, and the orders of boots beside them. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../../protocols/kit/index.ts'
import { BootTraces } from '../../storage/drivers/boot-traces.ts'
import type { FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { nbdServer } from '../../storage/drivers/nbd-server.ts'
import { shortPath } from '../drivers/socket-path.ts'
import { GOLDEN_FILES, partsOf } from '../lines/qemu/parts.ts'
import type { LateDiskParts } from '../plant/images/late-disks.ts'

/** For the QEMU line. */
export function lateDiskParts ({ dataDir, warehouse, log }: { dataDir: string, warehouse: Pick<FsWarehouse, 'arrivedFiles'>, log: Log }): LateDiskParts {
  const sockets = join(dataDir, 'disks')
  return {
    file: GOLDEN_FILES.disk,
    memoryFile: GOLDEN_FILES.ram,
    boots (golden) {
      const { suspended, seed } = partsOf(golden)
      return !suspended && !seed
    },
    arrivedFiles: async (goldenId, signal) => warehouse.arrivedFiles(goldenId, signal),
    async serve (goldenId, source) {
      await mkdir(sockets, { recursive: true, mode: 0o700 })
      const socketPath = join(sockets, goldenId)
      const server = await nbdServer({ socketPath: shortPath(socketPath), source, log })
      return { socketPath, stop: async () => server.stop() }
    },
    traces: new BootTraces(join(dataDir, 'boot-traces'), log)
  }
}
