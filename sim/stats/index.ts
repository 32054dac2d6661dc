/** Statistics of runs: streaming, in constant memory, and intervals over runs. Pure. */
export { Moments } from './moments.ts'
export { Quantiles } from './quantiles.ts'
export { studentT, withinT } from './student.ts'
export { binned, CONFIDENCE, niceWidth, pairedDifference, summarise, welchDifference, type Bins, type Summary } from './summary.ts'
export { AFTER_WARM_UP, digest, SAMPLES_MAX, VALUES, withoutCourse, type RunDigest, type Stay } from './digest.ts'
export { bySeed, valueNames, valueOf, type PointRuns, type Study } from './study.ts'
