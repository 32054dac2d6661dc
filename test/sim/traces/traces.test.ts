/** Readers of traces: what is read, what is left out, and what a bad line is told. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { csvLine, csvRows, cutTrace, readOpendcCsv, readSwf } from '../../../sim/traces/index.ts'

const SWF = `; Version: 2.2
; Computer: a cluster
; MaxProcs: 128
  1   0  10  3600   4  -1  2048   4  7200  -1  1  1  1  1  1  -1  -1  -1
  2  60  -1    -1  -1  -1    -1   8   100  -1  0  2  1  1  1  -1  -1  -1
  3  30   0    45  -1  -1    -1  16    60 512  1  2  1  1  1  -1  -1  -1

`

test('a log in SWF gives its jobs in order of submission, without those that never ran', () => {
  const { jobs, leftOut } = readSwf(SWF)
  expect(jobs).toEqual([
    { id: '1', submitMs: 0, runMs: 3_600_000, cpus: 4, memoryMiB: 8, requestedMs: 7_200_000 },
    { id: '3', submitMs: 30_000, runMs: 45_000, cpus: 16, memoryMiB: 8, requestedMs: 60_000 }
  ])
  expect(leftOut).toBe(1)
})

test.each([['1 2 3', { line: 1, found: '3 fields' }], [`; x\n${'1 '.repeat(17)}x`, { line: 2, field: 'think time', found: '"x"' }]])('a bad line of SWF is told with its number: %j', (text, details) => {
  expect(() => readSwf(text)).toThrow(expect.objectContaining({ code: 'TRACE_INVALID', details: expect.objectContaining(details) as unknown }) as Error)
})

test('OpenDC\'s table is read as CSV, its times from the first machine on', () => {
  const { jobs, leftOut } = readOpendcCsv('id,submission_time,duration,cpu_count,cpu_capacity,mem_capacity\nb,1665093660000,5000,2,2100,512\n"a,1",1665093600000,60000,16,2100,\nc,1665093600000,0,1,1,1\n')
  expect(jobs).toEqual([{ id: 'a,1', submitMs: 0, runMs: 60_000, cpus: 16 }, { id: 'b', submitMs: 60_000, runMs: 5_000, cpus: 2, memoryMiB: 512 }])
  expect(leftOut).toBe(1)
})

test.each([['id,when\n', { line: 1 }], ['id,submission_time,duration,cpu_count\na,1,x,2\n', { line: 2, field: 'duration', found: '"x"' }], ['a"b,c\n', { line: 1 }]])('a bad table is told with its line: %j', (text, details) => {
  expect(() => readOpendcCsv(text)).toThrow(expect.objectContaining({ code: 'TRACE_INVALID', details: expect.objectContaining(details) as unknown }) as Error)
})

test('a trace is cut, scaled and bounded', () => {
  const jobs = [{ id: 'a', submitMs: 0, runMs: 10, cpus: 1 }, { id: 'b', submitMs: 100, runMs: 10, cpus: 96, memoryMiB: 100_000 }, { id: 'c', submitMs: 200, runMs: 10, cpus: 2, memoryMiB: 9_000 }]
  const cut = { format: 'opendc', skip: 1, take: 2, intervalScale: 0.5, runScale: 2, cpusMax: 8, memoryMiBMax: 1_024, memoryUnit: 'KiB' } as const
  expect(cutTrace(jobs, cut)).toEqual([{ id: 'b', submitMs: 0, runMs: 20, cpus: 8, memoryMiB: 98 }, { id: 'c', submitMs: 50, runMs: 20, cpus: 2, memoryMiB: 9 }])
  expect(cutTrace(jobs, { ...cut, memoryUnit: 'none' }).every(({ memoryMiB }) => memoryMiB === undefined)).toBe(true)
})

test('memory of SWF is KiB a processor whatever unit the scenario names, and may be passed over', () => {
  // 512 KiB on each of 16 processors are 8 MiB, 2048 KiB on each of 4 too.
  const { jobs } = readSwf(SWF)
  const cut = { format: 'swf', skip: 0, intervalScale: 1, runScale: 1, cpusMax: 1_024, memoryMiBMax: 4_096 } as const
  for (const memoryUnit of ['MiB', 'KiB'] as const) expect(cutTrace(jobs, { ...cut, memoryUnit }).map(({ memoryMiB }) => memoryMiB)).toEqual([8, 8])
  const [large] = readSwf('1 0 0 10 4 -1 524288 4 -1 -1 1 1 1 1 1 -1 -1 -1').jobs
  expect(cutTrace(large === undefined ? [] : [large], { ...cut, memoryUnit: 'KiB' })).toMatchObject([{ memoryMiB: 2_048 }])
  expect(cutTrace(jobs, { ...cut, memoryUnit: 'none' }).every(({ memoryMiB }) => memoryMiB === undefined)).toBe(true)
})

test('lines of SWF that tell of parts of a job are left out, as its own line has them all', () => {
  const line = (id: number, submitS: number, runS: number, status: number): string => `${id} ${submitS} 0 ${runS} 1 -1 -1 1 -1 -1 ${status} 1 1 1 1 -1 -1 -1\n`
  expect(readSwf(line(1, 0, 30, 1) + line(1, 0, 10, 2) + line(1, 15, 20, 3) + line(2, 9, 5, 0))).toMatchObject({ jobs: [{ id: '1', runMs: 30_000 }, { id: '2' }], leftOut: 2 })
})

test.each<[string, () => unknown]>([
  ['SWF', () => readSwf(SWF + SWF)],
  ['a table of machines', () => readOpendcCsv('id,submission_time,duration,cpu_count\n3,0,9,1\n4,0,9,1\n3,5,9,1\n')]
])('a job that is in %s twice is told with both lines', (_, read) => {
  expect(read).toThrow(expect.objectContaining({ code: 'TRACE_INVALID', details: { line: expect.any(Number) as number, found: expect.stringMatching(/^the job "[13]" a second time, first in line [24]$/) as string, allowed: 'each job once' } }) as Error)
})

test('CSV gives back what was written', () => {
  fc.assert(fc.property(fc.array(fc.array(fc.string(), { minLength: 2, maxLength: 5 }), { maxLength: 8 }), (rows) => {
    expect(csvRows(rows.map((cells) => csvLine(cells)).join('')).map(({ cells }) => cells)).toEqual(rows)
  }))
})
