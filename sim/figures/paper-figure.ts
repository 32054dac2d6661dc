/** A figure of a paper beside ours. */
import type { PlotSpec } from './plots.ts'

/** One statement of the paper and what the runs gave. */
export interface PaperRow {
  what: string
  /** The paper's figure, as it states it. */
  paper: string
  /** Ours, with its interval. */
  ours: string
  /** Where and why they differ; absent where they agree. */
  differs?: string
}

export interface PaperFigure {
  id: string
  title: string
  /** `VMPlants, Figure 4 and section 4.3`. */
  source: string
  rows: PaperRow[]
  plots: PlotSpec[]
  /** How the figure was made here, and what the model leaves out. */
  notes: string[]
}
