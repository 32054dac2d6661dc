/** What a plant's administrator does with its golden machines. */
import { PlantError, type Clock } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { GoldenDraft, Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { ImageMaker } from '../lines/image-maker.ts'
import type { ProductionLine } from '../lines/line.ts'
import type { GoldenApi, GoldenBuild } from '../portal/golden-api.ts'

/** A golden machine's name: what an order says in `software.os`. */
const GOLDEN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
/** Of the whole, the work before hashing: the rest is for the warehouse. */
const MADE_SHARE = 0.95

/** What is built from Debian's packages, and of what size when nobody says. */
const FAMILIES = {
  tiny: { cpus: 1, memoryMiB: 256, diskMiB: 512 },
  debian: { cpus: 1, memoryMiB: 512, diskMiB: 2048 }
} as const
/** Images are bigger and fill the disk that they came with. */
const IMPORTED = { cpus: 1, memoryMiB: 1024, diskMiB: 2048 } as const

export function goldenShelf (c: { warehouse: Warehouse, line: ProductionLine, clock: Clock }): Omit<GoldenApi, 'mesh' | 'fetch' | 'torrents'> {
  return {
    list: () => c.warehouse.list(),
    async build (request, onStep, signal) {
      const family = familyOf(request.family)
      const name = checkedName(request.name ?? family)
      const hardware = hardwareOf(request, FAMILIES[family])
      // Machines that differ only in size share a name.
      const there = c.warehouse.list().find((g) => g.name === name && (g.os !== family ||
        (g.hardware.memoryMiB === hardware.memoryMiB && g.hardware.cpus === hardware.cpus && g.lineFingerprint === c.line.fingerprint)))
      if (there !== undefined) throw new PlantError('GOLDEN_EXISTS', { name, ...hardware })
      return await shelved(c.warehouse, onStep, signal, async (dir, step) => {
        if (family === 'tiny') await c.line.buildTiny(dir, hardware, step, signal)
        else await imagesOf(c.line).buildDebian({ dir, hardware, onStep: step, signal })
        return { name, os: family, hardware: { isa: c.line.isa, ...hardware }, lineFingerprint: c.line.fingerprint, actionsDone: [], createdAtMs: c.clock.nowMs() }
      })
    },
    async import (request, onStep, signal) {
      const name = checkedName(request.name)
      const os = checkedName(request.os ?? name)
      const hardware = hardwareOf(request, IMPORTED)
      if (!request.file.startsWith('/')) throw new PlantError('USAGE', { file: request.file, problem: 'the path must be absolute: it is read by the plant' })
      if (c.warehouse.list().some((g) => g.name === name)) throw new PlantError('GOLDEN_EXISTS', { name })
      return await shelved(c.warehouse, onStep, signal, async (dir, step) => {
        const { diskMiB, suspended } = await imagesOf(c.line).importImage({ file: request.file, name, dir, hardware, diskOnly: request.diskOnly, onStep: step, signal })
        // A disk only has been suspended on no line: it is booted once for each size that is ordered.
        return { name, os, hardware: { isa: c.line.isa, ...hardware, diskMiB }, lineFingerprint: suspended ? c.line.fingerprint : '', actionsDone: [], createdAtMs: c.clock.nowMs() }
      })
    },
    async remove (name) {
      const found = c.warehouse.list().filter((g) => g.name === name || g.goldenId === name)
      if (found.length === 0) throw new PlantError('GOLDEN_UNKNOWN', { name })
      for (const golden of found) await c.warehouse.remove(golden.goldenId)
    }
  }
}

type Step = (step: string, share: number) => void

/** Fills a draft and puts it on the shelf; nothing is left of it when that fails. */
async function shelved (warehouse: Warehouse, onStep: Step, signal: AbortSignal, make: (dir: string, step: Step) => Promise<Parameters<GoldenDraft['commit']>[0]>): Promise<Golden> {
  const draft = await warehouse.draft()
  try {
    const description = await make(draft.dir, (step, share) => { onStep(step, share * MADE_SHARE) })
    onStep('verifying and shelving', MADE_SHARE)
    return await draft.commit(description, signal)
  } catch (error) {
    await draft.discard()
    throw error
  }
}

function imagesOf (line: ProductionLine): ImageMaker {
  if (line.images === undefined) throw new PlantError('USAGE', { problem: `production line ${line.kind} makes no golden machines of images` })
  return line.images
}

function familyOf (family: string): keyof typeof FAMILIES {
  if (family !== 'tiny' && family !== 'debian') throw new PlantError('USAGE', { name: family, allowed: 'tiny or debian (others are imported, or published from configured machines)' })
  return family
}

function checkedName (name: string): string {
  if (!GOLDEN_NAME.test(name)) throw new PlantError('USAGE', { name, allowed: 'letters, digits, dot, dash and underscore; at most 63' })
  return name
}

function hardwareOf ({ cpus, memoryMiB, diskMiB }: Pick<GoldenBuild, 'cpus' | 'memoryMiB' | 'diskMiB'>, usual: { cpus: number, memoryMiB: number, diskMiB: number }): { cpus: number, memoryMiB: number, diskMiB: number } {
  return { cpus: cpus ?? usual.cpus, memoryMiB: memoryMiB ?? usual.memoryMiB, diskMiB: diskMiB ?? usual.diskMiB }
}
