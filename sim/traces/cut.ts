/** Cuts and scales a trace as its scenario asks, and puts its memory in MiB. */
import type { TraceJob, TraceSource } from '../scenario/index.ts'

/** The jobs that a source takes, from time 0 on. SWF counts in KiB and its reader has made MiB of them: `memoryUnit` is for tables of machines. */
export function cutTrace (jobs: readonly TraceJob[], source: Pick<TraceSource, 'format' | 'skip' | 'take' | 'intervalScale' | 'runScale' | 'cpusMax' | 'memoryMiBMax' | 'memoryUnit'>): TraceJob[] {
  const { format, skip, take, intervalScale, runScale, cpusMax, memoryMiBMax, memoryUnit } = source
  const taken = jobs.slice(skip, take === undefined ? undefined : skip + take)
  const firstMs = taken[0]?.submitMs ?? 0
  const perMiB = format === 'opendc' && memoryUnit === 'KiB' ? 1_024 : 1
  return taken.map(({ memoryMiB, ...job }) => ({
    ...job,
    submitMs: (job.submitMs - firstMs) * intervalScale,
    runMs: job.runMs * runScale,
    cpus: Math.min(job.cpus, cpusMax),
    ...(memoryMiB !== undefined && memoryUnit !== 'none' && { memoryMiB: Math.min(memoryMiBMax, Math.max(8, Math.ceil(memoryMiB / perMiB))) }),
    ...(job.requestedMs !== undefined && { requestedMs: job.requestedMs * runScale })
  }))
}
