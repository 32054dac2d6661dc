/** Cuts and scales a trace as its scenario asks. */
import type { TraceJob, TraceSource } from '../scenario/index.ts'

/** The jobs that a source takes, from time 0 on. */
export function cutTrace (jobs: readonly TraceJob[], source: Pick<TraceSource, 'skip' | 'take' | 'intervalScale' | 'runScale' | 'cpusMax' | 'memoryMiBMax' | 'memoryUnit'>): TraceJob[] {
  const { skip, take, intervalScale, runScale, cpusMax, memoryMiBMax, memoryUnit } = source
  const taken = jobs.slice(skip, take === undefined ? undefined : skip + take)
  const firstMs = taken[0]?.submitMs ?? 0
  return taken.map(({ memoryMiB, ...job }) => ({
    ...job,
    submitMs: (job.submitMs - firstMs) * intervalScale,
    runMs: job.runMs * runScale,
    cpus: Math.min(job.cpus, cpusMax),
    ...(memoryMiB !== undefined && memoryUnit !== 'none' && { memoryMiB: Math.min(memoryMiBMax, Math.max(8, Math.ceil(memoryUnit === 'KiB' ? memoryMiB / 1024 : memoryMiB))) }),
    ...(job.requestedMs !== undefined && { requestedMs: job.requestedMs * runScale })
  }))
}
