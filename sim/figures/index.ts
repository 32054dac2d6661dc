/** Figures of the papers beside ours, and plots as plain data. Pure. */
import type { ScenarioFile } from '../scenario/index.ts'
import type { Study } from '../stats/index.ts'
import type { PaperFigure } from './paper-figure.ts'
import { kraken } from './kraken.ts'
import { soMvds7 } from './so-mvds-clone.ts'
import { soMvds1 } from './so-mvds.ts'
import { vmplants13, vmplants4, vmplants5, vmplants6, vmplantsCopy } from './vmplants.ts'

export type { PaperFigure, PaperRow } from './paper-figure.ts'
export type { LinePoint, PlotSpec } from './plots.ts'
export { interval, seconds, short } from './text.ts'

const FIGURES: Record<ScenarioFile['figures'][number], (study: Study) => PaperFigure> = {
  'vmplants-4': vmplants4,
  'vmplants-5': vmplants5,
  'vmplants-6': vmplants6,
  'vmplants-copy': vmplantsCopy,
  'vmplants-13': vmplants13,
  'so-mvds-1': soMvds1,
  'so-mvds-7': soMvds7,
  kraken
}

/** The figures that a scenario file asks for, made of its runs; none while no run is done. */
export function paperFigures (study: Study): PaperFigure[] {
  return study.points.some(({ runs }) => runs.length > 0) ? study.file.figures.map((name) => FIGURES[name](study)) : []
}
