/** Plots as plain data: what is drawn, not how. `sim/drivers` draws them. */
import type { Bins } from '../stats/index.ts'

/** A point of a line; `low` and `high` are its 95 % interval. */
export interface LinePoint { x: number, y: number, low?: number, high?: number }

interface Common {
  title: string
  /** What one sees, in a sentence or two. */
  caption: string
  xLabel: string
  yLabel: string
}

export type PlotSpec =
  /** Shares of all values by bin, one histogram below the other. */
  | Common & { kind: 'histogram', series: Array<{ name: string, bins: Bins }> }
  | Common & { kind: 'line', series: Array<{ name: string, points: LinePoint[], dashed?: boolean }>, rules?: Array<{ x: number, label: string }>, xLog?: boolean, yZero?: boolean }
  | Common & { kind: 'dots', series: Array<{ name: string, points: Array<{ x: number, y: number }> }> }
  /** One bar a name with its interval. */
  | Common & { kind: 'bars', bars: Array<{ name: string, value: number, low?: number, high?: number }> }
  /** What was when on which row. */
  | Common & { kind: 'gantt', rows: Array<{ row: string, from: number, middle: number, to: number, label: string }> }
