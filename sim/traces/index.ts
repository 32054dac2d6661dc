/** Readers of job and machine traces. Pure: texts and rows come in. */
export { csvLine, csvRows } from './csv.ts'
export { cutTrace } from './cut.ts'
export { readSwf } from './swf.ts'
export { jobsOfRows, readOpendcCsv, type TraceRow } from './opendc.ts'
