/** `template follow --watch`: what comes to have a label, as it comes, for as long as it is watched. */
import { asPlantError } from '../../protocols/kit/index.ts'

export interface Watched<T> {
  /** What has the label now. */
  look (): Promise<T[]>
  /** Some that had it not when it was looked last. */
  onNew (fresh: T[]): Promise<void>
  /** Resolves when it is time to look again; rejects when watching ends. */
  wait (): Promise<void>
  /** The plant does not answer (true), or does again. */
  onSilence (silent: boolean): void
}

/**
 * Goes on until `wait` or `look` throws; that the plant is down is waited out, as it may be starting anew. What loses the label and has it again is new again: a label
 * that moves back is told.
 */
export async function watch<T extends { goldenId: string }> (first: readonly T[], c: Watched<T>): Promise<never> {
  let shown = new Set(first.map(({ goldenId }) => goldenId))
  let silent = false
  for (;;) {
    await c.wait()
    const found = await c.look().catch((error: unknown) => {
      if (asPlantError(error).code !== 'API_UNREACHABLE') throw error
      return undefined
    })
    if (silent !== (found === undefined)) {
      silent = found === undefined
      c.onSilence(silent)
    }
    if (found === undefined) continue
    const fresh = found.filter(({ goldenId }) => !shown.has(goldenId))
    shown = new Set(found.map(({ goldenId }) => goldenId))
    if (fresh.length > 0) await c.onNew(fresh)
  }
}
