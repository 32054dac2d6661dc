/**
 * VM traces as OpenDC keeps them (`tasks`: one row a machine): columns `id`, `submission_time` and `duration` in milliseconds, `cpu_count`,
 * optional `cpu_capacity` (MHz) and `mem_capacity` (MiB); other columns are passed over. As CSV here; the Parquet form of the same table is read by
 * `sim/drivers` and handed to `jobsOfRows`.
 */
import { PlantError } from '../../protocols/kit/index.ts'
import { foundText } from '../../protocols/order/problems.ts'
import type { TraceJob } from '../scenario/index.ts'
import { csvRows } from './csv.ts'
import { TraceIds } from './trace-ids.ts'

const NEEDED = ['id', 'submission_time', 'duration', 'cpu_count'] as const

/** The machines of a CSV text, in order of submission, counted from the first. Throws TRACE_INVALID with line and column. */
export function readOpendcCsv (text: string): { jobs: TraceJob[], leftOut: number } {
  const rows = csvRows(text)
  const names = rows[0]?.cells ?? []
  const columns = new Map(names.map((name, index) => [name.trim(), index]))
  for (const name of NEEDED) {
    if (!columns.has(name)) throw new PlantError('TRACE_INVALID', { line: 1, found: foundText(names.join(',')), allowed: `a header line with ${NEEDED.join(', ')}, and mem_capacity where known` })
  }
  return jobsOfRows(rows.slice(1).map(({ cells, line }) => ({
    line,
    get: (column) => {
      const index = columns.get(column)
      return index === undefined ? undefined : cells[index]
    }
  })))
}

/** A row of the table, however it was stored. */
export interface TraceRow { line: number, get: (column: string) => unknown }

/** Machines of rows. Those without a duration or processors are left out. Throws TRACE_INVALID with line and column, also for a machine that is there twice. */
export function jobsOfRows (rows: Iterable<TraceRow>): { jobs: TraceJob[], leftOut: number } {
  const jobs: TraceJob[] = []
  const ids = new TraceIds()
  let leftOut = 0
  for (const row of rows) {
    const submitMs = timeOf(row, 'submission_time')
    const runMs = numberOf(row, 'duration')
    const cpus = Math.ceil(numberOf(row, 'cpu_count'))
    if (runMs <= 0 || cpus <= 0) {
      leftOut++
      continue
    }
    const memory = row.get('mem_capacity')
    const memoryMiB = memory === undefined || memory === null || memory === '' ? 0 : numberOf(row, 'mem_capacity')
    const id = String(row.get('id'))
    ids.add(id, row.line)
    jobs.push({ id, submitMs, runMs, cpus, ...(memoryMiB > 0 && { memoryMiB: Math.ceil(memoryMiB) }) })
  }
  jobs.sort((a, b) => a.submitMs - b.submitMs)
  const firstMs = jobs[0]?.submitMs ?? 0
  return { jobs: jobs.map((job) => ({ ...job, submitMs: job.submitMs - firstMs })), leftOut }
}

function numberOf ({ line, get }: TraceRow, column: string): number {
  const raw = get(column)
  const value = typeof raw === 'bigint' || (typeof raw === 'string' && raw.trim() !== '') ? Number(raw) : raw
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new PlantError('TRACE_INVALID', { line, field: column, found: foundText(raw), allowed: 'a number' })
}

/** Milliseconds since 1970, or a date as ISO 8601. */
function timeOf (row: TraceRow, column: string): number {
  const raw = row.get(column)
  if (raw instanceof Date) return raw.getTime()
  const parsed = typeof raw === 'string' && /^\d{4}-\d\d-\d\d/.test(raw) ? Date.parse(raw) : NaN
  return Number.isNaN(parsed) ? numberOf(row, column) : parsed
}
