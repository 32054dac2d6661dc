/** The golden machine `tiny`, built once by the QEMU line and kept between test runs, until what it is made of changes. */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { GoldenId, VmId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { qemuLine } from '../../node/lines/qemu/index.ts'
import type { ProductionLine } from '../../node/lines/line.ts'
import { withLock } from '../../node/setup/lock.mjs'
import { TEST_CACHE } from '../lines/tiny-machine.ts'
import { fakeLog } from './fake-log.ts'

/** Of the machine that tests clone: the size that the benchmarks' aims are stated for. */
export const TINY = { cpus: 1, memoryMiB: 256, diskMiB: 512 }

/** Kept golden machines; PLANTMESH_TEST_DATA names another place. */
export const TEST_DATA = process.env['PLANTMESH_TEST_DATA'] ?? join(tmpdir(), 'plantmesh-test-data')

export interface TinyGolden {
  /** A line of its own, on a data directory of its own: machines of two test files never meet. */
  line: ProductionLine
  golden: Golden
  goldenDir: string
  dataDir: string
  /** Removes the data directory; whatever machine is left in it first. */
  clean (): Promise<void>
}

/** Builds tiny when there is none of these sources (some 20 s), else takes what is kept. Several processes may ask at once: one builds. */
export async function tinyGolden (options: { dataDir?: string } = {}): Promise<TinyGolden> {
  const dataDir = options.dataDir ?? await mkdtemp(join(tmpdir(), 'plantmesh-line-'))
  const line = await testLine(dataDir)
  const goldenDir = join(TEST_DATA, `tiny-${await sourcesHash(line.fingerprint)}`)
  await withLock(`test ${goldenDir}`, async () => {
    if (await stat(goldenDir).then(() => true, () => false)) return
    await mkdir(TEST_DATA, { recursive: true })
    const draft = await mkdtemp(join(TEST_DATA, 'building-'))
    try {
      await line.buildTiny(draft, TINY, () => {})
      await writeFile(join(draft, 'built-by.txt'), `${line.fingerprint}\n`)
      await rename(draft, goldenDir)
    } finally {
      await rm(draft, { recursive: true, force: true })
    }
  })
  const clean = async (): Promise<void> => {
    for (const vmId of await line.leftovers()) await line.sweep(vmId)
    await rm(dataDir, { recursive: true, force: true })
  }
  return { line, golden: goldenOf(line, 'tiny'), goldenDir, dataDir, clean }
}

/** A line on this data directory, as a plant that starts there would make it. */
export async function testLine (dataDir: string): Promise<ProductionLine> {
  return await qemuLine({ dataDir, cacheDir: TEST_CACHE, log: fakeLog() })
}

/** A description for files that a line made; lines do not look at digests, so none are given. */
export function goldenOf (line: ProductionLine, name: string, hardware = TINY): Golden {
  return {
    goldenId: createHash('sha256').update(name).digest('hex').slice(0, 32) as GoldenId, name, os: 'tiny', hardware: { isa: line.isa, ...hardware },
    lineFingerprint: line.fingerprint, actionsDone: [], files: [], createdAtMs: 0
  }
}

let machines = 0

/** An id that no other machine of this process has. */
export function newVmId (): VmId {
  return createHash('sha256').update(`${process.pid}.${process.hrtime.bigint()}.${machines++}`).digest('hex').slice(0, 32) as VmId
}

/** A unicast, locally administered address that no other machine of this process has. */
export function newMac (): string {
  machines++
  return `02:00:${[24, 16, 8, 0].map((shift) => (machines >> shift & 0xff).toString(16).padStart(2, '0')).join(':')}`
}

async function sourcesHash (fingerprint: string): Promise<string> {
  const root = join(import.meta.dirname, '../../node/lines/qemu')
  const hash = createHash('sha256').update(fingerprint).update(await readFile(join(root, 'command-line.ts'))).update(await readFile(join(root, 'suspend.ts')))
  for (const part of ['image', 'guest']) {
    for (const name of (await readdir(join(root, part))).sort()) hash.update(name).update(await readFile(join(root, part, name)))
  }
  return hash.digest('hex').slice(0, 16)
}
