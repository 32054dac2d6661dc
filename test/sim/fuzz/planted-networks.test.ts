/** Bugs planted in tenant networks are found by the checker that is for them. */
import { expect, test } from 'vitest'
import { fuzzSeed } from '../../../sim/drivers/fuzz.ts'
import { drawCase } from '../../../sim/fuzz/draw.ts'
import type { Problem } from '../../../sim/fuzz/seen.ts'
import { addressesUnclaimed, addressesUnguarded, guardOff, splitHorizonOff, stationsThatStay } from './broken-networks.ts'

/** Of the cases with several machines on one network. */
const SEEDS_MAX = 60

/** The most machines that were ordered on one network. */
function crowd (seed: number): number {
  const counts = new Map<string, number>()
  for (const source of drawCase(seed).scenario.orders) {
    if (source.kind !== 'list') continue
    for (const { machine } of source.orders) if (machine?.network !== undefined) counts.set(machine.domain ?? '', (counts.get(machine.domain ?? '') ?? 0) + 1)
  }
  return Math.max(0, ...counts.values())
}

async function firstFound (): Promise<{ problem: Problem, tried: number }> {
  for (let seed = 1, tried = 0; tried < SEEDS_MAX; seed++) {
    if (crowd(seed) < 4) continue
    tried++
    const { problem } = await fuzzSeed(seed)
    if (problem !== undefined) return { problem, tried }
  }
  throw new Error(`nothing was found in ${SEEDS_MAX} seeds`)
}

test.each([
  ['what came out of a tunnel going into others', splitHorizonOff, /hears itself|twice/],
  ['everybody speaking in everybody\'s name', guardOff, /in another's name/],
  ['machines speaking from any address', addressesUnguarded, /in another's name/],
  ['addresses that are given without being claimed', addressesUnclaimed, /have the same address/],
  ['stations that stay when their machine has gone', stationsThatStay, /has no machine of it|knows \d+ stations/]
] as const)('the checker of networks catches %s', async (_name, plant, text) => {
  const mend = plant()
  try {
    const { problem } = await firstFound()
    expect(problem).toMatchObject({ checker: 'networks', text: expect.stringMatching(text) })
  } finally {
    mend()
  }
})
