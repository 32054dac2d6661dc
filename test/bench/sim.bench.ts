/**
 * The simulator at scale: `npm run bench -- sim`. Every workload runs in a process of its own; where SimGrid is installed (Debian: libsimgrid-dev) the same
 * workload runs on it in turns with ours, from the C++ programs in `simgrid/`. `--full` measures longer and more often, `--json` prints one document.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { freemem, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { compareGossip } from '../../sim/scale/index.ts'
import { ORDER_EVERY_MS, type Measured } from './sim-workload.ts'

const run = promisify(execFile)
const full = process.argv.includes('--full')
const json = process.argv.includes('--json')
const TURNS = full ? 5 : 3
/** SimGrid keeps two actors a plant, with a stack each. */
const SIMGRID_BYTES_PER_PLANT = 70_000

/** A program of `simgrid/`, for how many plants, and its arguments. */
interface Compared { program: string, plants: number, args: Array<string | number> }

/** A workload on ours, and on SimGrid with what to give its program; `aim` is the ratio of issue "simulator", line 7. */
interface Line {
  name: string
  unit: string
  ours: [workload: string, plants: number, measured: number]
  simgrid?: Compared
  aim?: number
  turns?: number
}

const long = full ? 5 : 1
const orderEveryS = ORDER_EVERY_MS / 1_000
const bidsOn = (plants: number, orders: number): Compared => ({ program: 'bids', plants, args: [plants, 1, orders / plants * orderEveryS, orderEveryS] })

const LINES: Line[] = [
  { name: 'kernel, 10k events pending, calendar', unit: 'events', ours: ['calendar', 10_000, 3e6 * long] },
  { name: 'kernel, 10k events pending, 4-ary heap', unit: 'events', ours: ['heap', 10_000, 3e6 * long] },
  { name: 'kernel, 1M events pending, calendar', unit: 'events', ours: ['calendar', 1_000_000, 3e6 * long], turns: 1 },
  { name: 'kernel, 1M events pending, 4-ary heap', unit: 'events', ours: ['heap', 1_000_000, 3e6 * long], turns: 1 },
  { name: 'gossip by messages, 1k plants', unit: 'messages', ours: ['gossip', 1_000, 3_000 * long], simgrid: { program: 'gossip', plants: 1_000, args: [1_000, 2, 100 * long] }, aim: 20 },
  { name: 'gossip by messages, 10k plants', unit: 'messages', ours: ['gossip', 10_000, 300 * long], simgrid: { program: 'gossip', plants: 10_000, args: [10_000, 1, 8 * long] }, aim: 20 },
  { name: 'gossip by messages, 100k plants', unit: 'messages', ours: ['gossip', 100_000, 20 * long], simgrid: { program: 'gossip', plants: 100_000, args: [100_000, 0.5, 1] }, aim: 20, turns: 1 },
  { name: 'bid rounds, 10k plants, the daemon\'s cores', unit: 'orders', ours: ['bids-cores', 10_000, 60_000 * long], simgrid: bidsOn(10_000, 10_000 * long), aim: 15 },
  { name: 'bid rounds, 10k plants, typed arrays', unit: 'orders', ours: ['bids-typed', 10_000, 1_000_000 * long], simgrid: bidsOn(10_000, 10_000 * long), aim: 50 },
  { name: 'bid rounds, 10k plants, typed arrays, an event a message', unit: 'orders', ours: ['bids-typed-messages', 10_000, 500_000 * long], simgrid: bidsOn(10_000, 10_000 * long) },
  { name: 'bid rounds, 100k plants, typed arrays', unit: 'orders', ours: ['bids-typed', 100_000, 1_000_000 * long], simgrid: bidsOn(100_000, 10_000), aim: 50, turns: 1 },
  { name: 'fluid flows, 200 peers', unit: 'flows', ours: ['flows', 200, 400 * long], simgrid: { program: 'flows', plants: 200, args: [200, 10 * long] }, aim: 20 },
  { name: 'fluid flows, 2k peers', unit: 'flows', ours: ['flows', 2_000, 40 * long], simgrid: { program: 'flows', plants: 2_000, args: [2_000, 1] }, aim: 20, turns: 1 },
  { name: 'a million plants placing orders, gossip in aggregate', unit: 'orders', ours: ['million', 1_000_000, 2_000_000 * long], turns: 1 }
]

/** Exactness: both programs run the same swarm to its end. */
const SAME_SWARM = { peers: 100, flowsPerSlot: 6 }

async function ours ([workload, plants, measured]: Line['ours']): Promise<Measured> {
  // A larger nursery: bids of the daemon's cores live for simulated seconds, and are not worth moving twice.
  const { stdout } = await run(process.execPath, ['--max-semi-space-size=128', join(import.meta.dirname, 'sim-workload.ts'), workload, String(plants), String(measured)])
  return JSON.parse(stdout) as Measured
}

async function simgrid (dir: string, program: string, args: Array<string | number>): Promise<Measured> {
  const { stdout } = await run(join(dir, program), ['--log=root.thres:error', ...args.map(String)])
  return JSON.parse(stdout) as Measured
}

/** Builds the comparators; undefined where SimGrid or a compiler is not installed. */
async function build (dir: string): Promise<string | undefined> {
  try {
    await run('g++', ['-x', 'c++', '-E', '-include', 'simgrid/s4u.hpp', '/dev/null'], { maxBuffer: 2 ** 28 })
  } catch {
    return undefined // Its absence is said in the output.
  }
  for (const program of ['gossip', 'bids', 'flows']) {
    await run('g++', ['-O2', '-std=c++17', '-o', join(dir, program), join(import.meta.dirname, 'simgrid', `${program}.cpp`), '-lsimgrid'])
  }
  return dir
}

const rate = ({ count, seconds }: Measured): number => count / seconds
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
const short = (value: number): string => value >= 1e6 ? `${(value / 1e6).toFixed(2)}M` : value >= 1e3 ? `${(value / 1e3).toFixed(1)}k` : value.toFixed(1)
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`

interface Figure { name: string, unit: string, perSecond: number, eventsPerSecond?: number, bytesPerPlant?: number, maxRssBytes: number, simgridPerSecond?: number, ratio?: number, aim?: number }

async function figureOf (line: Line, dir: string | undefined): Promise<Figure> {
  const found: Measured[] = []
  const theirs: Measured[] = []
  const compared = dir !== undefined && line.simgrid !== undefined && line.simgrid.plants * SIMGRID_BYTES_PER_PLANT < freemem() / 2
  for (let turn = 0; turn < (line.turns ?? TURNS); turn++) {
    found.push(await ours(line.ours))
    if (compared && line.simgrid !== undefined) theirs.push(await simgrid(dir, line.simgrid.program, line.simgrid.args))
  }
  const perSecond = median(found.map(rate))
  const events = found.flatMap(({ events, seconds }) => events === undefined ? [] : [events / seconds])
  const simgridPerSecond = median(theirs.map(rate))
  return {
    name: line.name,
    unit: line.unit,
    perSecond,
    maxRssBytes: Math.max(...found.map(({ maxRssBytes }) => maxRssBytes ?? 0)),
    ...(events.length > 0 && { eventsPerSecond: median(events) }),
    ...(line.ours[0] !== 'bids-cores' && found[0]?.bytes !== undefined && { bytesPerPlant: found[0].bytes / line.ours[1] }),
    ...(theirs.length > 0 && { simgridPerSecond, ratio: perSecond / simgridPerSecond }),
    ...(line.aim !== undefined && { aim: line.aim })
  }
}

function print ({ name, unit, perSecond, eventsPerSecond, bytesPerPlant, maxRssBytes, simgridPerSecond, ratio, aim }: Figure, absent: boolean): void {
  const events = eventsPerSecond === undefined ? '' : `, ${short(eventsPerSecond)} events/s`
  const memory = bytesPerPlant === undefined ? '' : `, ${bytesPerPlant.toFixed(0)} bytes ${name.startsWith('kernel') ? 'an event' : name.startsWith('fluid') ? 'a peer' : 'a plant'}`
  const theirs = ratio !== undefined && simgridPerSecond !== undefined ? `; SimGrid ${short(simgridPerSecond)}, ${ratio.toFixed(1)} times` : aim === undefined ? '' : absent ? '; SimGrid absent' : '; SimGrid skipped'
  console.log(`${name}: ${short(perSecond)} ${unit}/s${events}${memory}, at most ${mib(maxRssBytes)} resident${theirs}${aim === undefined ? '' : ` (aim ${aim})`}`)
}

async function main (): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-bench-'))
  try {
    const built = await build(dir)
    const figures: Figure[] = []
    for (const line of LINES) {
      const figure = await figureOf(line, built)
      figures.push(figure)
      if (!json) print(figure, built === undefined)
    }
    const gossip = [1_000, 10_000].map((plants) => compareGossip({ seed: 1, plants }))
    const swarm = await ours(['flows', SAME_SWARM.peers, SAME_SWARM.flowsPerSlot])
    const theirs = built === undefined ? undefined : await simgrid(built, 'flows', [SAME_SWARM.peers, SAME_SWARM.flowsPerSlot])
    const off = theirs?.simulatedSeconds === undefined || swarm.simulatedSeconds === undefined ? undefined : Math.abs(swarm.simulatedSeconds / theirs.simulatedSeconds - 1)
    if (json) {
      console.log(JSON.stringify({ figures, gossip, swarm: { oursSeconds: swarm.simulatedSeconds, simgridSeconds: theirs?.simulatedSeconds, deviationShare: off } }))
      return
    }
    for (const { plants, spreadDeviation, ageDeviation } of gossip) {
      console.log(`aggregate gossip against messages, ${short(plants)} plants: a rumour's spread deviates by ${(100 * spreadDeviation).toFixed(2)} %, the ages of entries by ${(100 * ageDeviation).toFixed(2)} %`)
    }
    console.log(`one swarm to its end, ${SAME_SWARM.peers} peers: ${swarm.simulatedSeconds?.toFixed(6) ?? '-'} simulated s; SimGrid ${theirs?.simulatedSeconds?.toFixed(6) ?? 'absent'}${off === undefined ? '' : `, a share of ${off.toExponential(1)} apart`}`)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main()
