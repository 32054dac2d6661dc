/** What a plant's administrator does with its golden machines. */
import { PlantError, type Clock } from '../../protocols/kit/index.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { ProductionLine } from '../lines/line.ts'
import type { ApiComponents } from '../portal/api.ts'

export function goldenShelf (c: { warehouse: Warehouse, line: ProductionLine, clock: Clock }): Omit<ApiComponents['golden'], 'mesh' | 'fetch'> {
  return {
    list: () => c.warehouse.list(),
    async build (name, hardware, onStep, signal) {
      if (name !== 'tiny') throw new PlantError('USAGE', { name, allowed: 'tiny (others are published from configured machines)' })
      const there = c.warehouse.list().find((g) => g.name === name && g.hardware.memoryMiB === hardware.memoryMiB && g.hardware.cpus === hardware.cpus && g.lineFingerprint === c.line.fingerprint)
      if (there !== undefined) throw new PlantError('GOLDEN_EXISTS', { name, ...hardware })
      const draft = await c.warehouse.draft()
      try {
        await c.line.buildTiny(draft.dir, hardware, onStep, signal)
        onStep('verifying and shelving', 0.95)
        return await draft.commit({ name, os: name, hardware: { isa: c.line.isa, ...hardware }, lineFingerprint: c.line.fingerprint, actionsDone: [], createdAtMs: c.clock.nowMs() }, signal)
      } catch (error) {
        await draft.discard()
        throw error
      }
    },
    async remove (name) {
      const found = c.warehouse.list().filter((g) => g.name === name || g.goldenId === name)
      if (found.length === 0) throw new PlantError('GOLDEN_UNKNOWN', { name })
      for (const golden of found) await c.warehouse.remove(golden.goldenId)
    }
  }
}
