/** What a directory of results says of how it was made: enough to make it again. */

/** `manifest.json`. All but `took` is equal for equal commits, versions and seeds. */
export interface Manifest {
  format: 'plantmesh-sim-results/1'
  scenario: string
  title: string
  /** The commit of the program; `dirty` when its files were changed since. */
  commit: string
  dirty: boolean
  versions: Record<string, string>
  seed: number
  runs: number
  /** Runs that are done, of `points x runs`; fewer when the study was interrupted. */
  done: number
  of: number
  interrupted: boolean
  /** What the study was asked with on the command line. */
  set: Record<string, unknown>
  sweep: Record<string, unknown[]>
  /** The scenario file as it was, and the digests of the traces and policy files that it names. */
  file: string
  files: Record<string, string>
  /** Jobs that readers of traces left out, by the trace's name in the file, as they could not run (no run time, no processors) or are parts of others. */
  leftOut: Record<string, number>
  /** Every point with its configuration (defaults filled in; traces by digest) and the hash of each run. */
  points: Array<{ name: string, case: string, sweep: Record<string, unknown>, configuration: unknown, runs: Array<{ seed: number, traceHash: string }> }>
  /** Differs from time to time: when, how long, with how many workers, and how fast. */
  took: { startedAt: string, wallMs: number, workers: number, events: number, eventsPerS: number }
}
