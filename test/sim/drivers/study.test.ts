/** Studies: what runs give does not depend on workers, and what is written says how it was made. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { csvRows } from '../../../sim/traces/index.ts'
import { runsCsv } from '../../../sim/report/index.ts'
import { LineFile } from '../../../sim/drivers/disk.ts'
import { loadScenario } from '../../../sim/drivers/scenario-file.ts'
import { runStudy, type StudyDone } from '../../../sim/drivers/study-run.ts'
import { SMALL, scenarioFile, tempDir } from './support.ts'

async function study (path: string, more: Partial<Parameters<typeof runStudy>[0]> = {}): Promise<StudyDone> {
  const loaded = await loadScenario(path)
  return runStudy({ loaded, added: {}, seed: loaded.file.seed, runs: loaded.file.runs, workers: 1, events: false, ...more })
}

test('results are equal whatever the number of workers', async () => {
  const { path } = await scenarioFile(SMALL + 'sweep: { policy.k: [1, 3] }\n')
  const [one, three] = [join(await tempDir(), 'one'), join(await tempDir(), 'three')]
  const [a, b] = [await study(path, { workers: 1, out: one, events: true }), await study(path, { workers: 3, out: three, events: true })]
  expect(b.study).toEqual(a.study)
  for (const file of ['runs.csv', 'jobs.csv', 'events.csv']) expect(await readFile(join(three, file), 'utf8')).toBe(await readFile(join(one, file), 'utf8'))
  expect({ ...b.manifest, took: 0 }).toEqual({ ...a.manifest, took: 0 })
})

test('a run writes a report that loads nothing, tables, and a manifest to make it again', async () => {
  const { path } = await scenarioFile()
  const out = join(await tempDir(), 'deep', 'out')
  const { manifest } = await study(path, { out })
  expect((await readdir(out)).sort()).toEqual(['jobs.csv', 'manifest.json', 'report.html', 'runs.csv'])
  const html = await readFile(join(out, 'report.html'), 'utf8')
  expect(html).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|(?:src|href)\s*=\s*"(?!#)/i)
  expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt; &amp; more')
  expect(html.match(/<svg/g)?.length).toBeGreaterThanOrEqual(4)
  expect(html).not.toMatch(/NaN|undefined|\[object/)

  const [header, ...jobs] = csvRows(await readFile(join(out, 'jobs.csv'), 'utf8')).map(({ cells }) => cells)
  expect(header?.slice(0, 17).join(',')).toBe('job_id,workload_name,profile,submission_time,requested_number_of_resources,requested_time,success,final_state,starting_time,execution_time,finish_time,waiting_time,turnaround_time,stretch,allocated_resources,consumed_energy,metadata')
  expect(jobs).toHaveLength(12)
  for (const cells of jobs) {
    const at = (column: string): number => Number(cells[header?.indexOf(column) ?? -1])
    // Nobody collects them.
    expect([cells[header?.indexOf('final_state') ?? -1], at('success'), cells[header?.indexOf('finish_time') ?? -1]]).toEqual(['RUNNING', 0, ''])
    expect(at('starting_time')).toBeCloseTo(at('submission_time') + at('waiting_time'), 5)
    expect(at('requested_number_of_resources')).toBe(1)
    expect(at('allocated_resources')).toBeLessThan(3)
  }
  expect(new Set(jobs.map(([id]) => id)).size).toBe(12)

  const written = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8')) as typeof manifest
  expect(written).toMatchObject({ format: 'plantmesh-sim-results/1', seed: 3, runs: 2, done: 2, of: 2, interrupted: false, file: SMALL })
  expect(written.commit).toMatch(/^[0-9a-f]{40}$|^unknown$/)
  expect(written.versions['node']).toBe(process.versions.node)
  const again = await study(path)
  expect(again.manifest.points[0]?.runs).toEqual(written.points[0]?.runs)
  expect(new Set(written.points[0]?.runs.map(({ traceHash }) => traceHash)).size).toBe(2)
})

test('runs.csv has what the sweep set, the seed, the hash and every number', async () => {
  const { path } = await scenarioFile(SMALL + 'sweep: { policy.k: [1, 3] }\n')
  const out = await tempDir()
  const { study: done } = await study(path, { out })
  const [header = [], ...rows] = csvRows(await readFile(join(out, 'runs.csv'), 'utf8')).map(({ cells }) => cells)
  expect(rows.map((cells) => [cells[header.indexOf('policy.k')], cells[header.indexOf('run')], cells[header.indexOf('seed')]])).toEqual([['1', '1', '3'], ['1', '2', '4'], ['3', '1', '3'], ['3', '2', '4']])
  expect(rows.map((cells) => Number(cells[header.indexOf('askedMean')]))).toEqual([1, 1, 3, 3])
  expect(rows[0]?.[header.indexOf('trace_hash')]).toBe(done.points[0]?.runs[0]?.traceHash)
})

test('an interrupted study keeps the runs that are done and says so', async () => {
  const { path } = await scenarioFile()
  const out = await tempDir()
  const stop = new AbortController()
  const { manifest, study: kept } = await study(path, { out, runs: 6, signal: stop.signal, onProgress: (_share, text) => { if (text.startsWith('2 of')) stop.abort() } })
  expect(manifest).toMatchObject({ interrupted: true, of: 6 })
  expect(manifest.done).toBeGreaterThanOrEqual(2)
  expect(manifest.done).toBeLessThan(6)
  expect(kept.points[0]?.runs).toHaveLength(manifest.done)
  expect(await readFile(join(out, 'report.html'), 'utf8')).toContain(`Interrupted: ${manifest.done} of 6 runs are done`)
  expect(csvRows(await readFile(join(out, 'runs.csv'), 'utf8'))).toHaveLength(1 + manifest.done)
})

test('runs that an interrupted study has keep their numbers, and the first of a point its course', async () => {
  const { path } = await scenarioFile()
  const out = await tempDir()
  const { study: kept } = await study(path, { out, runs: 4 })
  expect(kept.points[0]?.runs.map(({ stays, views }) => [stays.length > 0, views.length > 0])).toEqual([[true, true], [false, false], [false, false], [false, false]])
  expect(kept.points[0]?.runs.every(({ creations }) => creations.length === 6)).toBe(true)
  const [first, , third] = kept.points[0]?.runs ?? []
  const point = kept.points[0]?.point
  if (first === undefined || third === undefined || point === undefined) throw new Error('bug: runs are missing')
  const [header = [], ...rows] = csvRows(runsCsv([{ point, runs: [first, third] }], 3)).map(({ cells }) => cells)
  expect(rows.map((cells) => [cells[header.indexOf('run')], cells[header.indexOf('seed')]])).toEqual([['1', '3'], ['3', '5']])
})

test('a study that is interrupted before anything is done writes a report without runs', async () => {
  const { path } = await scenarioFile()
  const out = await tempDir()
  const { manifest } = await study(path, { out, signal: AbortSignal.abort() })
  expect(manifest).toMatchObject({ interrupted: true, done: 0, of: 2 })
  expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('Interrupted: 0 of 2 runs are done')
})

const DEAREST = `export const costModel = { name: 'by-name', everyMachineOnNetwork: false, price: ({ used }: { used: { machines: number } }) => [{ item: 'machines', cost: 100 - used.machines, why: 'the fuller the cheaper' }] }
`

test('a policy in TypeScript prices orders: the fuller the cheaper packs all machines on one plant', async () => {
  const { dir, path } = await scenarioFile(SMALL + 'policy: { costModel: file, file: policies/pack.ts }\n')
  await mkdir(join(dir, 'policies'))
  await writeFile(join(dir, 'policies', 'pack.ts'), DEAREST)
  const { study: done, manifest } = await study(path)
  expect(done.points[0]?.runs.map(({ values }) => [values['plantsUsed'], values['firstPlantMachines']])).toEqual([[1, 6], [1, 6]])
  expect(manifest.files['policies/pack.ts']).toMatch(/^[0-9a-f]{64}$/)
})

test('a policy in TypeScript chooses among the offers', async () => {
  const { dir, path } = await scenarioFile(SMALL + 'policy: { costModel: memory, file: choose.ts }\n')
  await writeFile(join(dir, 'choose.ts'), `interface Offer { plant: string }
export const choose = (offers: readonly Offer[]): number | undefined => offers.findIndex(({ plant }) => plant === 'p-2')\n`)
  const { study: done } = await study(path)
  expect(done.points[0]?.runs[0]?.stays.map(({ plant }) => plant)).toEqual(Array.from({ length: 6 }, () => 'p-2'))
})

test.each([['export const nothing = 1\n', /exports nothing/], ['export const choose = 3\n', /choose is a number/], ['syntax error\n', /pack\.ts/]])('a policy file that is none is told: %j', async (text, found) => {
  const { dir, path } = await scenarioFile(SMALL + 'policy: { costModel: file, file: pack.ts }\n')
  await writeFile(join(dir, 'pack.ts'), text)
  const failure: unknown = await study(path).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'SCENARIO_INVALID', details: { problems: [{ path: 'policy.file', found: expect.stringMatching(found) as string }] } })
})

test('a trace is read beside its scenario, and its digest is kept', async () => {
  const { dir, path } = await scenarioFile(SMALL.replace(/orders:[\s\S]*?metrics/, `orders:
  - { kind: trace, file: jobs.csv, format: opendc, fromMs: 12000, intervalScale: 0.5, machine: { os: linux, memoryMiB: 64, diskMiB: 512 } }
metrics`))
  await writeFile(join(dir, 'jobs.csv'), 'id,submission_time,duration,cpu_count\na,0,1000,1\nb,4000,2000,2\n')
  const { study: done, manifest } = await study(path, { runs: 1 })
  expect(done.points[0]?.runs[0]?.values).toMatchObject({ orders: 2, running: 2 })
  expect(done.points[0]?.runs[0]?.stays.map(({ fromMs }) => Math.floor(fromMs / 1_000))).toEqual([12, 14])
  expect(manifest.files['jobs.csv']).toMatch(/^[0-9a-f]{64}$/)
})

test('a trace that is not there, or none, is told with the file', async () => {
  const { dir, path } = await scenarioFile(SMALL.replace(/orders:[\s\S]*?metrics/, 'orders:\n  - { kind: trace, file: log.swf, format: swf, machine: { os: linux } }\nmetrics'))
  await expect(loadScenario(path)).rejects.toMatchObject({ code: 'SCENARIO_INVALID', details: { problems: [{ path: 'orders[0].file', found: '"log.swf"' }] } })
  await writeFile(join(dir, 'log.swf'), '; Version: 2.2\n1 2 3\n')
  await expect(loadScenario(path)).rejects.toMatchObject({ code: 'TRACE_INVALID', details: { file: 'log.swf', line: 2 } })
})

test('a trace that orders nothing is told: one without jobs that ran, and one that is skipped whole', async () => {
  const trace = (more: string): string => SMALL.replace(/orders:[\s\S]*?metrics/, `orders:\n  - { kind: trace, file: log.swf, format: swf${more}, machine: { os: linux } }\nmetrics`)
  const { dir, path } = await scenarioFile(trace(''))
  await writeFile(join(dir, 'log.swf'), '; Version: 2.2\n1 0 0 -1 1 -1 -1 1 -1 -1 0 1 1 1 1 -1 -1 -1\n')
  await expect(loadScenario(path)).rejects.toMatchObject({ code: 'TRACE_INVALID', details: { file: 'log.swf', found: '1 jobs, none of which ran' } })
  await writeFile(join(dir, 'log.swf'), '; Version: 2.2\n')
  await expect(loadScenario(path)).rejects.toMatchObject({ code: 'TRACE_INVALID', details: { file: 'log.swf', found: 'no jobs' } })
  await writeFile(join(dir, 'log.swf'), '1 0 0 5 1 -1 -1 1 -1 -1 1 1 1 1 1 -1 -1 -1\n')
  await writeFile(path, trace(', skip: 1'))
  await expect(loadScenario(path)).rejects.toMatchObject({ code: 'SCENARIO_INVALID', details: { file: path, problems: [{ path: 'orders[0].skip', found: 'number 1', allowed: 'less than the 1 jobs of log.swf' }] } })
})

test.each([['2 9 0 1e300 1', 'runScale'], ['2 1e15 0 5 1', 'take'], ['2 7775990 0 11 1', '90 days']])('a job of a trace that ends later than any run is told: %s', async (job, allowed) => {
  const { dir, path } = await scenarioFile(SMALL.replace(/orders:[\s\S]*?metrics/, 'orders:\n  - { kind: trace, file: log.swf, format: swf, machine: { os: linux } }\nmetrics'))
  await writeFile(join(dir, 'log.swf'), `1 0 0 5 1 -1 -1 1 -1 -1 1 1 1 1 1 -1 -1 -1\n${job} -1 -1 1 -1 -1 1 1 1 1 1 -1 -1 -1\n`)
  await expect(loadScenario(path)).rejects.toMatchObject({ code: 'SCENARIO_INVALID', details: { file: path, problems: [{ path: 'orders[0]', found: expect.stringContaining('the job "2"') as string, allowed: expect.stringContaining(allowed) as string }] } })
  await writeFile(path, (await readFile(path, 'utf8')) + 'until: { ms: 20000 }\n')
  expect((await study(path, { runs: 1 })).study.points[0]?.runs[0]?.values).toMatchObject({ orders: job.startsWith('2 9') ? 2 : 1 })
})

test.each([
  ['choose gives an index that no offer has', 'export const choose = (offers: readonly unknown[]): number => offers.length', /gave number \d/],
  ['choose throws', 'export const choose = (): number => { throw new TypeError("no idea") }', /threw TypeError: no idea/],
  ['price gives a cost that is not a number', 'export const costModel = { name: "x", everyMachineOnNetwork: false, price: () => [{ item: "a", cost: NaN, why: "b" }] }', /gave/],
  ['price throws', 'export const costModel = { name: "x", everyMachineOnNetwork: false, price: () => { throw new Error("no price") } }', /threw Error: no price/]
])('a run ends and blames the policy file when %s', async (_, text, found) => {
  const { dir, path } = await scenarioFile(SMALL + `policy: { file: policy.ts${text.includes('costModel') ? ', costModel: file' : ''} }\n`)
  await writeFile(join(dir, 'policy.ts'), text + '\n')
  const error = await study(path).then(() => undefined, (failure: unknown) => failure)
  expect(error).toMatchObject({ code: 'SCENARIO_INVALID', details: { problems: [{ path: 'policy.file', found: expect.stringMatching(found) as string }] } })
  expect(JSON.stringify((error as { details: unknown }).details)).toContain(join(dir, 'policy.ts'))
})

test('a directory that cannot be written is told before the first run', async () => {
  const { path } = await scenarioFile()
  const file = join(await tempDir(), 'file')
  await writeFile(file, '')
  for (const out of [file, join(file, 'in'), '/proc/nothing/here']) {
    await expect(study(path, { out, onProgress: () => { throw new Error('it ran') } })).rejects.toMatchObject({ code: 'USAGE', details: { option: '--out', path: out } })
  }
})

test('events of an earlier run do not stay beside results without events', async () => {
  const { path } = await scenarioFile()
  const out = await tempDir()
  await study(path, { out, events: true, runs: 1 })
  await study(path, { out, runs: 1 })
  expect(await readdir(out)).not.toContain('events.csv')
})

test('a disk that is full is told, and no line is lost silently', () => {
  const file = new LineFile('/dev/full')
  file.write('a line\n')
  expect(() => { file.close() }).toThrow(expect.objectContaining({ code: 'DISK_FULL', details: { path: '/dev/full' } }) as Error)
})
