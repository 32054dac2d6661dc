/** Bugs planted in plants are found by the checker that is for them, with what it takes to see why. */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fuzzSeed, writeEvidence } from '../../../sim/drivers/fuzz.ts'
import { microtaskQuiet } from '../../../sim/drivers/quiet.ts'
import { drawCase } from '../../../sim/fuzz/draw.ts'
import { FuzzRun, type FuzzOutcome } from '../../../sim/fuzz/run.ts'
import type { Compose } from '../../../sim/world/plant.ts'
import {
  clonesWithOneAddress, copiesGivenUpUnasked, directoriesThatKeep, fetchesThatAreDoubled, fetchesThatWait, machinesThatStay, packsThatKeepAnything, plantsThatBelieveSignatures, plantsThatForgetCalls, plantsThatOvercommit, recordsThatLag, registrarsThatForget,
  registrarsThatGrantAll, registrarsThatStartAnew, shelvesThatAreCleared, shelvesThatAreKeptQuiet, timersThatStay
} from './broken-parts.ts'

/** The first seed that finds something; none within these is a checker that does not look. */
const SEEDS_MAX = 60

/** Where only cases count in which plants fetch, a quarter of all, as many of those. */
async function firstFound (compose: Compose, counts: (seed: number) => boolean = () => true): Promise<FuzzOutcome> {
  for (let seed = 1, tried = 0; tried < SEEDS_MAX; seed++) {
    if (!counts(seed)) continue
    tried++
    const outcome = await fuzzSeed(seed, { compose })
    if (outcome.problem !== undefined) return outcome
  }
  throw new Error(`nothing was found in ${SEEDS_MAX} seeds`)
}

test.each([
  ['registrars that grant whatever they are asked', registrarsThatGrantAll, ['registered']],
  ['plants that take themselves for twice as big', plantsThatOvercommit, ['capacity']],
  ['records that are not durable when they say so', recordsThatLag, ['acknowledged', 'leaks', 'one-machine']],
  ['machines that are not gone when they were destroyed', machinesThatStay, ['leaks', 'capacity', 'one-machine']],
  ['registrars that write nothing down', registrarsThatForget, ['registered']],
  ['registrars that start again and remember nothing', registrarsThatStartAnew, ['one-machine']],
  ['directories that are not told of what is gone', directoriesThatKeep, ['directory']],
  ['a timer for each award that stays', timersThatStay, ['peace']],
  ['clones that have one address', clonesWithOneAddress, ['identities']],
  ['plants that check no signature', plantsThatBelieveSignatures, ['authority', 'adverts']],
  ['plants that take a call twice', plantsThatForgetCalls, ['authority']]
] as const)('checkers catch %s', async (_name, compose, checkers) => {
  const { problem } = await firstFound(compose)
  expect(checkers).toContain(problem?.checker)
})

test.each([
  ['pieces that are kept as they come', packsThatKeepAnything, ['verified']],
  ['shelves that are cleared of what nobody else has', shelvesThatAreCleared, ['copies']],
  ['fetches that wait for ever', fetchesThatWait, ['fetches', 'awards']],
  ['packs that are fetched twice at once', fetchesThatAreDoubled, ['fetches']],
  ['shelves of which nobody is told', shelvesThatAreKeptQuiet, ['holdings']],
  ['copies that are given up without asking others to keep theirs', copiesGivenUpUnasked, ['copies']]
] as const)('checkers catch %s, where golden machines are fetched', async (_name, compose, checkers) => {
  const { problem } = await firstFound(compose, (seed) => drawCase(seed).images !== undefined)
  expect(checkers).toContain(problem?.checker)
})

test.each([
  ['cuts one way only go both ways', ({ world: { network } }: FuzzRun) => {
    const cut = network.cut.bind(network)
    network.cut = (sides) => cut(sides, false)
  }],
  ['slow links are no slower', ({ world: { network: { links } } }: FuzzRun) => { links.slow = () => () => {} }]
] as const)('the network is held to the drawn faults: found when %s', async (_name, plant) => {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const run = new FuzzRun(drawCase(seed), { quiet: microtaskQuiet() })
    plant(run)
    const { problem } = await run.run()
    if (problem === undefined) continue
    expect(problem.checker).toBe('links')
    return
  }
  throw new Error(`nothing was found in ${SEEDS_MAX} seeds`)
})

test('a failing seed leaves its trace and a diagram of its order, and both are of that run', async () => {
  const outcome = await firstFound(registrarsThatGrantAll)
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-fuzz-'))
  try {
    const { traceFile = '', diagramFile = '' } = await writeEvidence(outcome, dir, { compose: registrarsThatGrantAll })
    const trace = await readFile(traceFile, 'utf8')
    expect(createHash('sha256').update(`${trace}${outcome.events}\n`).digest('hex')).toBe(outcome.traceHash)
    const diagram = await readFile(diagramFile, 'utf8')
    const [, name = ''] = /^(p\d) begins/.exec(outcome.problem?.text ?? '') ?? []
    expect(diagram).toMatch(/^---\ntitle: .*\n---\nsequenceDiagram\n/)
    expect(diagram).toMatch(new RegExp(`participant ${name}\\n[\\s\\S]*Note over ${name}: machine\\.begun`))
    expect(diagram).toMatch(/->>p\d: award /)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})
