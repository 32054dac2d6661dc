/** jobs.csv beside Batsim's own (docs/output-jobs.rst and src/export.cpp of Batsim 4): names, units, states, and what is left empty. */
import { expect, test } from 'vitest'
import { JOBS_HEADER, jobLine } from '../../../sim/report/index.ts'
import type { JobResult } from '../../../sim/scenario/index.ts'
import { csvRows } from '../../../sim/traces/index.ts'

const JOB: JobResult = { sequence: 7, source: 0, id: 'j', shop: 'p-1', domain: 'd', os: 'linux', cpus: 4, memoryMiB: 64, submittedMs: 1_000, end: 'open', phasesMs: {} }
const RAN: JobResult = { ...JOB, end: 'running', plant: 'p-3', runningMs: 2_500 }

/** The cells of a job by column. */
function cellsOf (job: JobResult, run = 2): Record<string, string> {
  const [header, line] = csvRows(JOBS_HEADER + jobLine(job, { place: 1, point: 'small', run, seed: 5, plantIndex: (name) => Number(name.slice(2)) - 1 }))
  return Object.fromEntries((header?.cells ?? []).map((column, i) => [column, line?.cells[i] ?? '']))
}

test.each<[string, JobResult, Record<string, string>]>([
  ['collected', { ...RAN, endedMs: 5_500 }, { final_state: 'COMPLETED_SUCCESSFULLY', success: '1', starting_time: '2.5', execution_time: '3', finish_time: '5.5', turnaround_time: '4.5', stretch: '1.5' }],
  ['held when the run ends', RAN, { final_state: 'RUNNING', success: '0', starting_time: '2.5', execution_time: '', finish_time: '', turnaround_time: '', stretch: '' }],
  ['lost', { ...RAN, end: 'lost', endedMs: 3_500 }, { final_state: 'COMPLETED_KILLED', success: '0', execution_time: '1', finish_time: '3.5' }],
  ['lost nobody knows when', { ...RAN, end: 'lost' }, { final_state: 'COMPLETED_KILLED', success: '0', execution_time: '', finish_time: '' }],
  ['refused', { ...JOB, end: 'refused', endedMs: 1_500 }, { final_state: 'REJECTED', success: '0', starting_time: '', execution_time: '', finish_time: '', waiting_time: '', allocated_resources: '' }],
  ['failed', { ...JOB, end: 'failed', endedMs: 1_500 }, { final_state: 'COMPLETED_FAILED', success: '0', starting_time: '', finish_time: '' }],
  ['not answered when the run ends', JOB, { final_state: 'SUBMITTED', success: '0', starting_time: '', finish_time: '' }]
])('a job that was %s has Batsim\'s word for it, and no times that were not', (_, job, cells) => {
  expect(cellsOf(job)).toMatchObject(cells)
})

test('a job asks for as many resources as it gets: one plant; its processors are told apart from that', () => {
  expect(cellsOf(RAN)).toMatchObject({ requested_number_of_resources: '1', allocated_resources: '2', cpus: '4', requested_time: '-1', consumed_energy: '-1', waiting_time: '1.5' })
  expect(cellsOf({ ...RAN, requestedMs: 60_000 })).toMatchObject({ requested_time: '60' })
})

test('each run is a workload, and no id of one is in another', () => {
  expect([1, 2].map((run) => cellsOf(JOB, run)).map(({ job_id, workload_name, sequence }) => [job_id, workload_name, sequence])).toEqual([['1-1-7', 'small run 1', '7'], ['1-2-7', 'small run 2', '7']])
})
