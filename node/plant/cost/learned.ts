/** How long things take here, learned from what they took: exponentially weighted means. */

export interface Figures {
  /** From the start of a clone until its agent answers. */
  cloneMs: number
  /** Of a spare, until it has the identity of its order. */
  spareMs: number
  /** Booting a disk once at a new size and suspending it. */
  bootMs: number
  /** One configuration action. */
  actionMs: number
  /** Of fetching golden machines from other plants. */
  fetchBytesPerMs: number
}

/** Before anything was measured: emulated QEMU on a small host; a link of 100 Mbit/s is 12,500 bytes a millisecond. */
export const FIGURES_AT_FIRST: Figures = { cloneMs: 1_000, spareMs: 30, bootMs: 15_000, actionMs: 500, fetchBytesPerMs: 12_500 }

/** Those that are measured as times. */
export type LearnedMs = 'cloneMs' | 'spareMs' | 'bootMs' | 'actionMs'

/** Weight of the newest measurement: half of the mean is the last three. */
const NEWEST_WEIGHT = 0.2

export interface Learner {
  /** Takes in a measurement; what is not a positive number is left out. */
  observe (figure: keyof Figures, value: number): void
  figures (): Figures
}

/** A learner that starts from these figures. */
export function learner (first: Figures = FIGURES_AT_FIRST): Learner {
  const figures = { ...first }
  return {
    observe (figure, value) {
      if (!Number.isFinite(value) || value <= 0) return
      figures[figure] += NEWEST_WEIGHT * (value - figures[figure])
    },
    figures: () => ({ ...figures })
  }
}
