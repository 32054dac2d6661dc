/** The commands as a person types them. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { SMALL, scenarioFile, tempDir } from './support.ts'

const MAIN = fileURLToPath(new URL('../../../node/main.ts', import.meta.url))

async function plantmesh (args: string[], cwd: string, onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void): Promise<{ status: number | null, stdout: string, stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    onStderr?.(stderr, (signal) => { child.kill(signal) })
  })
  const status = await new Promise<number | null>((resolve) => { child.on('close', (code) => { resolve(code) }) })
  return { status, stdout, stderr }
}

test('run makes a report in one command and prints where it is', async () => {
  const { dir } = await scenarioFile()
  const { status, stdout } = await plantmesh(['sim', 'run', 'small.yaml'], dir)
  expect(status).toBe(0)
  expect(stdout).toContain('A small one: 2 of 2 runs, seeds 3 to 4')
  expect(stdout).toContain(`report: ${join(dir, 'sim-results', 'small', 'report.html')}`)
  expect(existsSync(join(dir, 'sim-results', 'small', 'report.html'))).toBe(true)
})

test('run --json prints one document with the numbers of every point; the same seed gives the same hash', async () => {
  const { dir } = await scenarioFile()
  const runs = [await plantmesh(['sim', 'run', 'small.yaml', '--json', '--seed', '9', '--runs', '1', '--out', 'a'], dir), await plantmesh(['sim', 'run', 'small.yaml', '--json', '--seed', '9', '--runs', '1', '--out', 'b'], dir)]
  const [a, b] = runs.map(({ stdout }) => JSON.parse(stdout) as { points: Array<{ runs: Array<{ traceHash: string }> }>, values: Array<{ values: { running: { mean: number } } }> })
  expect(runs.map(({ stderr }) => stderr)).toEqual(['', ''])
  expect(a?.points[0]?.runs).toEqual(b?.points[0]?.runs)
  expect(a?.values[0]?.values.running.mean).toBe(6)
})

test('a bad scenario is told problem by problem, with exit status 2', async () => {
  const { dir } = await scenarioFile(SMALL + 'polcy: { k: 3 }\n')
  const told = await plantmesh(['sim', 'run', 'small.yaml'], dir)
  expect(told.status).toBe(2)
  expect(told.stderr).toContain('line 14: polcy unknown field; did you mean policy?')
  const json = await plantmesh(['sim', 'check', 'small.yaml', '--json'], dir)
  expect(json.status).toBe(2)
  expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: 'SCENARIO_INVALID', details: { problems: [{ path: 'polcy', line: 14 }] } } })
})

test.each<[string[], RegExp]>([
  [['sim', 'run', 'smal'], /there is no such scenario/],
  [['sim', 'run', 'small.yaml', '--runs', '0'], /a whole number from 1/],
  [['sim', 'run', 'small.yaml', '--set', 'k'], /path=value/],
  [['sim', 'run', 'small.yaml', '--set', 'policy.kk=3'], /policy\.kk unknown field; did you mean k\?|policy\.kk unknown field/],
  [['sim', 'run', 'small.yaml', '--out', 'full'], /a directory that is new, empty, or has results/],
  [['sim', 'sweep', 'small.yaml', '--over', 'policy.k='], /path=value,value/],
  [['sim', 'compare', 'small.yaml', 'small.yaml'], /both sides are the same/]
])('%j is wrong use: status 2, and what is allowed', async (args, told) => {
  const { dir } = await scenarioFile()
  await mkdir(join(dir, 'full'))
  await writeFile(join(dir, 'full', 'thesis.tex'), '')
  const { status, stderr } = await plantmesh(args, dir)
  expect([status, stderr]).toEqual([2, expect.stringMatching(told)])
})

test('sweep runs every combination', async () => {
  const { dir } = await scenarioFile()
  const { status, stdout } = await plantmesh(['sim', 'sweep', 'small.yaml', '--over', 'policy.k=1,3', '--over', 'policy.costModel=memory,time-to-done', '--runs', '1'], dir)
  expect(status).toBe(0)
  for (const name of ['policy.k=1, policy.costModel=memory', 'policy.k=3, policy.costModel=time-to-done']) expect(stdout).toContain(name)
})

test('compare puts two policies side by side, run now or read from results', async () => {
  const { dir } = await scenarioFile()
  const now = await plantmesh(['sim', 'compare', 'small.yaml', 'small.yaml', '--b', 'policy.k=1', '--runs', '3', '--out', 'now'], dir)
  expect(now.status).toBe(0)
  expect(now.stdout).toMatch(/plants asked for an order +3 ± 0 +1 ± 0 +-2 ± 0 +B is less/)
  expect(await readFile(join(dir, 'now', 'compare.html'), 'utf8')).toContain('<svg')
  for (const k of ['1', '3']) await plantmesh(['sim', 'run', 'small.yaml', '--set', `policy.k=${k}`, '--runs', '2', '--out', `k${k}`], dir)
  const read = await plantmesh(['sim', 'compare', 'k1', 'k3', '--json'], dir)
  expect(read.status).toBe(0)
  const { rows } = JSON.parse(read.stdout) as { rows: Array<{ value: string, paired: boolean, a: { mean: number }, b: { mean: number }, difference: { mean: number } }> }
  expect(rows.find(({ value }) => value === 'askedMean')).toMatchObject({ paired: true, a: { mean: 1 }, b: { mean: 3 }, difference: { mean: 2 } })
})

test('compare tells two files of one name apart by what they say, and refuses two that say the same', async () => {
  const { dir } = await scenarioFile()
  await writeFile(join(dir, 'other.yaml'), SMALL.replace('seed: 3', 'seed: 30') + 'policy: { k: 1 }\n')
  await writeFile(join(dir, 'copy.yaml'), SMALL)
  const { status, stdout } = await plantmesh(['sim', 'compare', 'small.yaml', 'other.yaml', '--out', 'both'], dir)
  expect(status).toBe(0)
  expect(stdout).toContain('A is small, B is other\nRuns are not paired, as their seeds differ: the difference is that of the means, with Welch\'s interval.')
  expect(stdout).toMatch(/plants asked for an order +3 ± 0 +1 ± 0 +-2 ± 0 +B is less/)
  const same = await plantmesh(['sim', 'compare', 'small.yaml', 'copy.yaml'], dir)
  expect([same.status, same.stderr]).toEqual([2, expect.stringContaining('both sides are the same')])
})

test('compare says when results are those of an interrupted study', async () => {
  const { dir } = await scenarioFile()
  for (const k of ['1', '3']) await plantmesh(['sim', 'run', 'small.yaml', '--set', `policy.k=${k}`, '--out', `k${k}`], dir)
  const path = join(dir, 'k3', 'manifest.json')
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')) as object, interrupted: true, done: 2, of: 9 }))
  const { stdout } = await plantmesh(['sim', 'compare', 'k1', 'k3', '--out', 'both'], dir)
  expect(stdout).toContain('B (k3) was interrupted: it has 2 of 9 runs.')
  expect(await readFile(join(dir, 'both', 'compare.html'), 'utf8')).toContain('was interrupted')
})

test('a title does not steer the terminal, and jobs that are left out of a trace are told', async () => {
  const { dir } = await scenarioFile(SMALL.replace('title: A small one', 'title: "A \\e[31mred\\nreport: one"').replace(/orders:[\s\S]*?metrics/, `orders:
  - { kind: trace, file: jobs.csv, format: opendc, fromMs: 12000, machine: { os: linux, memoryMiB: 64, diskMiB: 512 } }
metrics`))
  await writeFile(join(dir, 'jobs.csv'), 'id,submission_time,duration,cpu_count\na,0,1000,1\nb,4000,0,2\n')
  const { status, stdout, stderr } = await plantmesh(['sim', 'run', 'small.yaml', '--runs', '1', '--out', 'out'], dir)
  expect(status).toBe(0)
  expect(stdout).toContain('A \\x1b[31mred\\x0areport: one: 1 of 1 runs')
  expect(stderr).toContain('jobs.csv: 1 job is left out')
  expect(JSON.parse(await readFile(join(dir, 'out', 'manifest.json'), 'utf8'))).toMatchObject({ leftOut: { 'jobs.csv': 1 } })
})

test.each([['run', 'small.yaml'], ['fuzz', '--seeds', '1']])('sim %s says at once that it cannot write where no directory can be made', async (...args) => {
  const { dir } = await scenarioFile()
  const { status, stderr } = await plantmesh(['sim', ...args, '--out', '/proc/plantmesh/results'], dir)
  expect(status).toBe(2)
  expect(stderr).toContain('option: --out')
  expect(stderr.match(/plantmesh:/g)).toHaveLength(1)
})

test('fuzz leaves no directory behind when no seed fails', async () => {
  const dir = await tempDir()
  await mkdir(join(dir, 'kept'))
  expect((await plantmesh(['sim', 'fuzz', '--seeds', '1', '--out', 'kept/not/these'], dir)).status).toBe(0)
  expect([existsSync(join(dir, 'kept')), existsSync(join(dir, 'kept', 'not'))]).toEqual([true, false])
})

test('a study that fails takes the directory away that it made', async () => {
  const { dir } = await scenarioFile(SMALL.replace('metrics', 'policy: { file: broken.js }\nmetrics'))
  await writeFile(join(dir, 'broken.js'), 'export function cost () { throw new Error("no") }\n')
  const { status } = await plantmesh(['sim', 'run', 'small.yaml', '--out', 'new/out'], dir)
  expect(status).not.toBe(0)
  expect(existsSync(join(dir, 'new'))).toBe(false)
})

test('Ctrl-C keeps what is done, says so, and ends with 130', async () => {
  const { dir } = await scenarioFile()
  const { status, stdout, stderr } = await plantmesh(['sim', 'run', 'small.yaml', '--runs', '40', '--workers', '1'], dir, (text, kill) => { if (text.includes('10 %') && !text.includes('interrupted')) kill('SIGINT') })
  expect(status).toBe(130)
  expect(stderr).toContain('interrupted: keeping the runs that are done')
  expect(stdout).toMatch(/interrupted: the results are those of the \d+ runs that were done/)
  expect(existsSync(join(dir, 'sim-results', 'small', 'report.html'))).toBe(true)
})

test('list names what is shipped, and the numbers of timings with their sources', async () => {
  const dir = await tempDir()
  const scenarios = JSON.parse((await plantmesh(['sim', 'list', '--json'], dir)).stdout) as Array<{ name: string, title: string }>
  expect(scenarios.map(({ name }) => name)).toEqual(expect.arrayContaining(['vmplants-creation', 'vmplants-copy', 'vmplants-thirteen', 'site-outage', 'partition-heal', 'trace-replay', 'scale']))
  expect(scenarios.every(({ title }) => title.length > 5)).toBe(true)
  expect((await plantmesh(['sim', 'list', '--timings'], dir)).stdout).toContain('storeBytesPerMs = 11750 bytes/ms (stated): 100 Mbit/s')
})
