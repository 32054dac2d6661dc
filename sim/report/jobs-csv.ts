/** jobs.csv: Batsim's columns, so that its readers (Evalys and others) take it, then ours. */
import type { JobResult } from '../scenario/index.ts'
import { PHASES } from '../scenario/index.ts'
import { csvLine } from '../traces/index.ts'

const BATSIM = ['job_id', 'workload_name', 'profile', 'submission_time', 'requested_number_of_resources', 'requested_time', 'success', 'final_state', 'starting_time', 'execution_time', 'finish_time', 'waiting_time', 'turnaround_time', 'stretch', 'allocated_resources', 'consumed_energy', 'metadata'] as const
const OURS = ['point', 'run', 'seed', 'sequence', 'trace_id', 'plant', 'shop', 'domain', 'cpus', 'memory_mib', 'end', 'error', 'provisional', 'asked', 'bids', 'cost', 'machines_before', ...PHASES.map((phase) => `${phase}_ms`)] as const

/** Batsim's words for what became of a job. Of machines that are held, and of orders that are not answered when the run ends, Batsim says nothing: those are its words for such jobs. */
function stateOf ({ end, endedMs }: JobResult): string {
  switch (end) {
    case 'running': return endedMs === undefined ? 'RUNNING' : 'COMPLETED_SUCCESSFULLY'
    case 'refused': return 'REJECTED'
    case 'failed': return 'COMPLETED_FAILED'
    case 'lost': return 'COMPLETED_KILLED'
    case 'open': return 'SUBMITTED'
  }
}

/** The header line. */
export const JOBS_HEADER = csvLine([...BATSIM, ...OURS])

export interface JobsOf {
  /** The point's place from 1, and its name. */
  place: number
  point: string
  run: number
  seed: number
  plantIndex: (name: string) => number | undefined
}

/**
 * One job. Times are seconds; what did not happen is empty, as Batsim leaves it for rejected jobs. Starting is when the machine runs, finishing when it was
 * collected or lost. The resources of Batsim's columns are plants, by number from 0: a job asks for one of them and gets one; its processors and memory
 * are ours. A run is a workload, and ids are those of no other job of the file, as its readers know of one workload only.
 */
export function jobLine (job: JobResult, { place, point, run, seed, plantIndex }: JobsOf): string {
  const s = (ms: number | undefined): number | undefined => ms === undefined ? undefined : Math.round(ms * 1_000) / 1e6
  const { runningMs, submittedMs } = job
  const finishMs = runningMs === undefined ? undefined : job.endedMs
  const executionMs = runningMs === undefined || finishMs === undefined ? undefined : finishMs - runningMs
  const turnaroundMs = finishMs === undefined ? undefined : finishMs - submittedMs
  const stretch = executionMs === undefined || turnaroundMs === undefined || executionMs <= 0 ? undefined : Math.round(1e6 * turnaroundMs / executionMs) / 1e6
  const state = stateOf(job)
  return csvLine([
    `${place}-${run}-${job.sequence}`, `${point} run ${run}`, `${job.os}_${job.memoryMiB}MiB`, s(submittedMs), 1, s(job.requestedMs) ?? UNKNOWN, state === 'COMPLETED_SUCCESSFULLY' ? 1 : 0, state,
    s(runningMs), s(executionMs), s(finishMs), s(runningMs === undefined ? undefined : runningMs - submittedMs), s(turnaroundMs), stretch, job.plant === undefined ? undefined : plantIndex(job.plant), UNKNOWN, '',
    point, run, seed, job.sequence, job.id, job.plant, job.shop, job.domain, job.cpus, job.memoryMiB, job.end, job.error, job.provisional === true ? 1 : 0, job.asked, job.bids, job.cost, job.machinesBefore,
    ...PHASES.map((phase) => roundedMs(job.phasesMs[phase]))
  ])
}

/** Batsim's number for a job without a walltime, and for energy that is not measured. */
const UNKNOWN = -1

/** To the nanosecond: what is beyond is rounding of sums. */
function roundedMs (ms: number | undefined): number | undefined { return ms === undefined ? undefined : Math.round(ms * 1e6) / 1e6 }
