/** What a study leaves: tables, CSV, and pages. Pure: texts come out, plots are drawn by a function that is handed in. */
export { compared, comparedNotes, comparedTable, compareHtml, verdictOf, type Compared, type ComparedRow } from './compare.ts'
export { escape, reportHtml, tableHtml, type Draw } from './html.ts'
export { JOBS_HEADER, jobLine, type JobsOf } from './jobs-csv.ts'
export type { Manifest } from './manifest.ts'
export { plotsOf, POINTS_DRAWN } from './plots-of.ts'
export { runsCsv } from './runs-csv.ts'
