/** The Standard Workload Format 2.2 of the Parallel Workloads Archive: 18 numbers a line, -1 is unknown, `;` begins a comment. */
import { PlantError } from '../../protocols/kit/index.ts'
import { foundText } from '../../protocols/order/problems.ts'
import type { TraceJob } from '../scenario/index.ts'
import { TraceIds } from './trace-ids.ts'

/** The fields by their place (https://www.cs.huji.ac.il/labs/parallel/workload/swf.html). */
const FIELDS = ['job number', 'submit time', 'wait time', 'run time', 'allocated processors', 'average CPU time', 'used memory', 'requested processors', 'requested time', 'requested memory', 'status', 'user', 'group', 'executable', 'queue', 'partition', 'preceding job', 'think time'] as const
const KIB = 1024
/** A line is 18 numbers; of a longer one the beginning is looked at, to say what is wrong with it. */
const LINE_CHARS_MAX = 10_000
/** Status of lines that tell of a part of a job: the job has a line of its own that sums it up. */
const PARTS: readonly number[] = [2, 3, 4]

/**
 * The jobs of a log, in order of submission. Jobs that never ran (run time unknown or 0, no processors) are left out, as they make no
 * machine: archives hold cancelled ones. So are lines that tell of a part of a job. Throws TRACE_INVALID with the line, also for a job that is there twice.
 */
export function readSwf (text: string): { jobs: TraceJob[], leftOut: number } {
  const jobs: TraceJob[] = []
  const ids = new TraceIds()
  let leftOut = 0
  let number = 0
  for (const line of text.split('\n')) {
    number++
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith(';')) continue
    const job = jobOf(trimmed, number)
    if (job === undefined) leftOut++
    else {
      ids.add(job.id, number)
      jobs.push(job)
    }
  }
  return { jobs: jobs.sort((a, b) => a.submitMs - b.submitMs), leftOut }
}

function jobOf (line: string, number: number): TraceJob | undefined {
  const parts = line.slice(0, LINE_CHARS_MAX).split(/\s+/)
  if (parts.length !== FIELDS.length) throw new PlantError('TRACE_INVALID', { line: number, found: `${parts.length} fields`, allowed: `${FIELDS.length} fields: ${FIELDS.join(', ')}` })
  const values = parts.map((text, index) => {
    const value = Number(text)
    if (!Number.isFinite(value)) throw new PlantError('TRACE_INVALID', { line: number, field: FIELDS[index], found: foundText(text), allowed: 'a number; -1 where unknown' })
    return value
  })
  const field = (name: typeof FIELDS[number]): number => values[FIELDS.indexOf(name)] ?? -1
  const requested = field('requested processors')
  const cpus = field('allocated processors') > 0 ? field('allocated processors') : requested
  const runS = field('run time')
  if (runS <= 0 || cpus <= 0 || field('submit time') < 0 || PARTS.includes(field('status'))) return undefined
  const perProcessorKiB = field('requested memory') > 0 ? field('requested memory') : field('used memory')
  const requestedS = field('requested time')
  return {
    id: String(field('job number')),
    submitMs: field('submit time') * 1_000,
    runMs: runS * 1_000,
    cpus: Math.ceil(cpus),
    ...(perProcessorKiB > 0 && { memoryMiB: Math.max(1, Math.ceil(perProcessorKiB * KIB * cpus / 2 ** 20)) }),
    ...(requestedS > 0 && { requestedMs: requestedS * 1_000 })
  }
}
