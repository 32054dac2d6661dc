/** jobs.csv: Batsim's columns, so that its readers (Evalys and others) take it, then ours. */
import type { JobEnd, JobResult } from '../scenario/index.ts'
import { PHASES } from '../scenario/index.ts'
import { csvLine } from '../traces/index.ts'

const BATSIM = ['job_id', 'workload_name', 'profile', 'submission_time', 'requested_number_of_resources', 'requested_time', 'success', 'final_state', 'starting_time', 'execution_time', 'finish_time', 'waiting_time', 'turnaround_time', 'stretch', 'allocated_resources', 'consumed_energy', 'metadata'] as const
const OURS = ['point', 'run', 'seed', 'trace_id', 'plant', 'shop', 'domain', 'memory_mib', 'end', 'error', 'provisional', 'asked', 'bids', 'cost', 'machines_before', ...PHASES.map((phase) => `${phase}_ms`)] as const

/** Batsim's words for how a job ended. */
const STATES: Record<JobEnd, string> = { running: 'COMPLETED_SUCCESSFULLY', refused: 'REJECTED', failed: 'COMPLETED_FAILED', lost: 'COMPLETED_KILLED', open: 'COMPLETED_KILLED' }

/** The header line. */
export const JOBS_HEADER = csvLine([...BATSIM, ...OURS])

export interface JobsOf {
  point: string
  run: number
  seed: number
  /** When the run ended: until then a machine ran that nobody collected. */
  runEndedMs: number
  plantIndex: (name: string) => number | undefined
}

/**
 * One job. Times are seconds as Batsim has them, -1 where there is none. Starting is when the machine runs; execution lasts until it is collected,
 * lost, or the run ends. Resources are plants by number, from 0.
 */
export function jobLine (job: JobResult, { point, run, seed, runEndedMs, plantIndex }: JobsOf): string {
  const s = (ms: number | undefined): number => ms === undefined ? -1 : Math.round(ms * 1_000) / 1e6
  const { runningMs } = job
  const endedMs = job.endedMs ?? (runningMs === undefined ? undefined : runEndedMs)
  const ran = runningMs !== undefined && endedMs !== undefined
  const waitingMs = runningMs === undefined ? undefined : runningMs - job.submittedMs
  const executionMs = ran ? endedMs - runningMs : undefined
  const turnaroundMs = ran ? endedMs - job.submittedMs : undefined
  const stretch = executionMs === undefined || turnaroundMs === undefined || executionMs <= 0 ? -1 : Math.round(1e6 * turnaroundMs / executionMs) / 1e6
  return csvLine([
    String(job.sequence), point, `${job.os}_${job.memoryMiB}MiB`, s(job.submittedMs), job.cpus, s(job.requestedMs), job.end === 'running' ? 1 : 0, STATES[job.end],
    s(runningMs), s(executionMs), s(endedMs), s(waitingMs), s(turnaroundMs), stretch, job.plant === undefined ? '' : plantIndex(job.plant), -1, '',
    point, run, seed, job.id, job.plant, job.shop, job.domain, job.memoryMiB, job.end, job.error, job.provisional === true ? 1 : 0, job.asked, job.bids, job.cost, job.machinesBefore,
    ...PHASES.map((phase) => roundedMs(job.phasesMs[phase]))
  ])
}

/** To the nanosecond: what is beyond is rounding of sums. */
function roundedMs (ms: number | undefined): number | undefined { return ms === undefined ? undefined : Math.round(ms * 1e6) / 1e6 }
