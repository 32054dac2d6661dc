/**
 * Golden machines at other sizes: for a known OS at another memory size the plant boots its disk once at that size, suspends that and keeps
 * it (CONTRACT.md, Orders). Orders that need the same size at once wait for the one boot.
 */
import type { Golden } from '../../protocols/order/golden.ts'
import { PlantError, type Clock, type GoldenId, type Log } from '../../protocols/kit/index.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { ProductionLine } from '../lines/line.ts'
import { orAborted } from './or-aborted.ts'

export interface Resizer {
  /** The golden machine at this size and for this line, made now where there is none. Throws VM_START_FAILED, DISK_FULL, or the signal's reason. */
  resized (golden: Golden, hardware: { cpus: number, memoryMiB: number }, signal: AbortSignal): Promise<Golden>
}

/** Sizes of one golden machine that are kept; the oldest goes for another. */
export const SIZES_KEPT_MAX = 16

interface Underway { done: Promise<Golden>, waiters: number, stop: AbortController }

/** A resizer over this warehouse and production line. */
export function resizer (c: { warehouse: Warehouse, line: ProductionLine, clock: Clock, log: Log }): Resizer {
  const underway = new Map<string, Underway>()

  /** Whoever orders machines of ever new sizes fills no disk. Clones of one that goes keep its files until they end. */
  const makeRoom = async (golden: Golden): Promise<void> => {
    const sizes = c.warehouse.list().filter((one) => one.from === golden.goldenId && one.name === golden.name).sort((a, b) => a.createdAtMs - b.createdAtMs)
    for (const oldest of sizes.slice(0, Math.max(0, sizes.length - (SIZES_KEPT_MAX - 1)))) await c.warehouse.remove(oldest.goldenId)
  }

  const make = async (golden: Golden, hardware: { cpus: number, memoryMiB: number }, signal: AbortSignal): Promise<Golden> => {
    const unpin = c.warehouse.pin(golden.goldenId)
    try {
      const goldenDir = await c.warehouse.verified(golden.goldenId, signal)
      const draft = await c.warehouse.draft()
      try {
        await makeRoom(golden)
        c.log.info({ golden: golden.name, ...hardware }, 'booting a golden machine once at another size')
        await c.line.resize(golden, goldenDir, hardware, draft.dir, signal)
        return await draft.commit({
          name: golden.name,
          os: golden.os,
          hardware: { ...golden.hardware, ...hardware },
          lineFingerprint: c.line.fingerprint,
          actionsDone: golden.actionsDone,
          createdAtMs: c.clock.nowMs(),
          ...(golden.publishedBy !== undefined && { publishedBy: golden.publishedBy }),
          ...(golden.version !== undefined && { version: golden.version }),
          from: golden.goldenId
        }, signal)
      } catch (error) {
        await draft.discard()
        throw error
      }
    } finally {
      unpin()
    }
  }

  return {
    async resized (golden, { cpus, memoryMiB }, signal) {
      const key = sizeKey(golden.goldenId, cpus, memoryMiB)
      let job = underway.get(key)
      if (job === undefined) {
        const stop = new AbortController()
        job = { stop, waiters: 0, done: make(golden, { cpus, memoryMiB }, stop.signal) }
        const mine = job
        const ended = (): void => { if (underway.get(key) === mine) underway.delete(key) }
        job.done.then(ended, ended)
        underway.set(key, job)
      }
      job.waiters++
      const leave = (): void => {
        if (--job.waiters > 0) return
        if (underway.get(key) === job) underway.delete(key) // Who comes now begins anew.
        job.stop.abort(new PlantError('INTERRUPTED'))
      }
      try {
        return await orAborted(job.done, signal)
      } finally {
        leave()
      }
    }
  }
}

function sizeKey (id: GoldenId, cpus: number, memoryMiB: number): string {
  return `${id}/${cpus}/${memoryMiB}`
}
