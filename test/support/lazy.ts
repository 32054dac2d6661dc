/** The golden machine `tiny` without its disk, which is served over NBD: suspended, or to be booted. */
import { link, mkdtemp, open, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Golden } from '../../protocols/order/golden.ts'
import type { CloneRequest, ProductionLine } from '../../node/lines/line.ts'
import { nbdServer, type NbdServer } from '../../storage/drivers/nbd-server.ts'
import { GOLDEN_FILES } from '../../node/lines/qemu/parts.ts'
import { processesIn } from '../../node/lines/qemu/processes.ts'
import type { BlockSource } from '../../storage/nbd/block-source.ts'
import type { LineUnderTest } from '../contracts/line.ts'
import { fakeLog } from './fake-log.ts'
import { goldenOf, testLine, tinyGolden } from './tiny.ts'

export type LazyKind = 'suspended' | 'booted'

export interface LazyGolden {
  kind: LazyKind
  /** Clones of this golden machine have their disk served; others are as on any line. */
  line: ProductionLine
  golden: Golden
  goldenDir: string
  dataDir: string
  /** The disk, which is not in the golden machine's directory. */
  diskPath: string
  socketPath: string
  request: Pick<CloneRequest, 'golden' | 'goldenDir' | 'disk'>
  /** Serves the disk, as the plant does; through `through` when that is given. */
  serve (through?: (disk: BlockSource) => BlockSource): Promise<NbdServer>
  reopen (): Promise<ProductionLine>
  clean (): Promise<void>
}

/** A file as a source. */
export async function fileSource (path: string): Promise<BlockSource & { close (): Promise<void> }> {
  const file = await open(path)
  return {
    bytes: (await file.stat()).size,
    read: async (offset, length) => (await file.read(Buffer.allocUnsafe(length), 0, length, offset)).buffer,
    close: async () => { await file.close() }
  }
}

/** A description of a golden machine that has no more than a kernel, an initrd and a disk. */
export function diskOnly (golden: Golden): Golden {
  return { ...golden, files: ['kernel', 'initrd', 'disk.qcow2'].map((name) => ({ name, bytes: 0, sha256: '' })) }
}

/** Makes one of its own; what it serves ends with `clean`. */
export async function lazyGolden (kind: LazyKind): Promise<LazyGolden> {
  const tiny = await tinyGolden()
  const goldenDir = await mkdtemp(join(tmpdir(), 'plantmesh-lazy-'))
  for (const name of ['kernel', 'initrd', ...(kind === 'suspended' ? ['ram', 'state'] : [])]) await link(join(tiny.goldenDir, name), join(goldenDir, name))
  const golden = kind === 'suspended' ? tiny.golden : diskOnly(goldenOf(tiny.line, 'tiny'))
  const socketPath = join(tiny.dataDir, 'disk.sock')
  const diskPath = join(tiny.goldenDir, 'disk.qcow2')
  const source = await fileSource(diskPath)
  const servers = new Set<NbdServer>()
  const disk = { socketPath }
  const wrapped = (line: ProductionLine): ProductionLine => ({
    kind: line.kind, isa: line.isa, accelerator: line.accelerator, fingerprint: line.fingerprint,
    clone: async (request, signal) => await line.clone(request.goldenDir === goldenDir ? { ...request, disk } : request, signal),
    prepare: async (request, signal) => await line.prepare({ ...request, goldenDir: request.goldenDir === goldenDir ? tiny.goldenDir : request.goldenDir }, signal),
    adopt: async (vmId, signal) => await line.adopt(vmId, signal),
    diskSocketOf: async (vmId) => await line.diskSocketOf(vmId),
    leftovers: async () => await line.leftovers(),
    sweep: async (vmId) => { await line.sweep(vmId) },
    publish: async (machine, dir, signal) => await line.publish(machine, dir, signal),
    // Of what is here whole.
    resize: async (of, dir, hardware, to, signal) => { await line.resize(of, dir === goldenDir ? tiny.goldenDir : dir, hardware, to, signal) },
    buildTiny: async (dir, hardware, onStep, signal) => { await line.buildTiny(dir, hardware, onStep, signal) }
  })
  return {
    kind, golden, goldenDir, dataDir: tiny.dataDir, diskPath, socketPath, line: wrapped(tiny.line), request: { golden, goldenDir, disk },
    serve: async (through = (disk) => disk) => {
      const server = await nbdServer({ socketPath, source: through(source), log: fakeLog() })
      servers.add(server)
      return server
    },
    reopen: async () => wrapped(await testLine(tiny.dataDir)),
    clean: async () => {
      await tiny.clean()
      for (const server of servers) await server.stop()
      await source.close()
      await rm(goldenDir, { recursive: true, force: true })
    }
  }
}

/** For the contract suites: such a golden machine, served all the time. */
export async function lazyLine (kind: LazyKind): Promise<LineUnderTest> {
  const lazy = await lazyGolden(kind)
  await lazy.serve()
  return {
    ...lazy, published: Object.values(GOLDEN_FILES).sort(), processes: async () => await processesOf(lazy.dataDir), remains: async () => await remainsOf(lazy.dataDir)
  }
}

/** Processes that work in a data directory. */
export async function processesOf (dataDir: string): Promise<number[]> {
  return (await processesIn(dataDir, '')).map(({ pid }) => pid)
}

/** What machines and helpers have left in a data directory. */
export async function remainsOf (dataDir: string): Promise<string[]> {
  return (await Promise.all(['machines', 'helpers'].map(async (room) => (await readdir(join(dataDir, room)).catch((): string[] => [])).map((name) => join(room, name))))).flat()
}
