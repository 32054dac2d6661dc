import { createHash } from 'node:crypto'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { fuzzSeed } from '../../../sim/drivers/fuzz.ts'
import { drawCase } from '../../../sim/fuzz/draw.ts'

const MAIN = new URL('../../../node/main.ts', import.meta.url).pathname

test('one seed is one run: the same trace, here, again, and in another process', async () => {
  const seeds = [7, 8, 9]
  const digest = createHash('sha256')
  for (const seed of seeds) {
    const [once, again] = [await fuzzSeed(seed), await fuzzSeed(seed)]
    expect(again).toEqual(once)
    digest.update(`${once.traceHash}\n`)
  }
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'sim', 'fuzz', '--seeds', '3', '--first', '7', '--json'])
  expect(JSON.parse(stdout)).toMatchObject({ seeds: 3, digest: digest.digest('hex'), failures: [] })
})

/**
 * What three seeds come to on every machine: worked out on x86-64 and on arm64. Whoever changes what plants, worlds or draws do writes the new one here, and a machine
 * that has another finds out.
 */
const EVERYWHERE = 'e0d734efc92ff9e78a7a17aa6547dbe4d7648d1aea3922a1e753986052151acd'

test('one seed is one run on every machine', async () => {
  const digest = createHash('sha256')
  for (const seed of [7, 8, 9]) digest.update(`${(await fuzzSeed(seed)).traceHash}\n`)
  expect(digest.digest('hex')).toBe(EVERYWHERE)
})

test('another seed is another run', async () => {
  expect((await fuzzSeed(7)).traceHash).not.toBe((await fuzzSeed(8)).traceHash)
})

test('seeds draw every kind of trouble', () => {
  const kinds = new Set<string>()
  for (let seed = 1; seed <= 200; seed++) {
    const { scenario, extra, twins, flawedShare, patienceMs, aims, early, endedKept, straysMs, absence, images, publications, spareMemoryMiB } = drawCase(seed)
    for (const fault of scenario.faults) kinds.add(fault.kind === 'partition' && fault.oneWay ? 'one-way partition' : fault.kind === 'hostDown' && fault.diskLost ? 'disk lost' : fault.kind)
    for (const fault of extra) kinds.add(fault.kind === 'lie' ? `lie ${fault.lie}` : fault.kind)
    for (const { kind } of aims) kinds.add(kind)
    if (early) kinds.add('early orders')
    if (endedKept !== undefined) kinds.add('small records')
    if (images !== undefined) kinds.add('golden machines of the mesh')
    if (images?.life !== undefined) kinds.add('copies that come and go')
    if (spareMemoryMiB !== undefined) kinds.add('spares')
    if (publications.length > 0) kinds.add('publications')
    if (publications.some(({ removeAfterMs }) => removeAfterMs !== undefined)) kinds.add('removals')
    if (twins.length > 0) kinds.add('asked twice')
    if (straysMs.length > 0) kinds.add('strangers')
    if (absence !== undefined) kinds.add(absence.witness === undefined ? 'absence' : 'absence with a witness')
    if (flawedShare > 0) kinds.add('flawed guests')
    if (patienceMs.some((ms) => ms !== undefined)) kinds.add('impatient clients')
  }
  expect([...kinds].sort()).toEqual([
    'absence', 'absence with a witness', 'asked twice', 'clockDrift', 'clockStep', 'copies that come and go', 'crash', 'crashAtEffect', 'crashInBurial', 'crashInCollect', 'crashInFetch', 'disk lost', 'diskFull', 'early orders', 'flawed guests', 'fullInFetch', 'golden machines of the mesh', 'holderGone', 'hostDown', 'impatient clients', 'keeperGone',
    'lie capacity', 'lie forge', 'lie holds', 'lie lowball', 'lie repeat', 'lie replay', 'lie silence', 'lie stalls', 'lie verdicts', 'lie wrongPieces', 'machineDeath', 'one-way partition', 'partition', 'publications', 'registrarsCrash',
    'regretInResize', 'removals', 'siteOutage', 'slowLink', 'small records', 'spares', 'standStill', 'stillInGrant', 'stop', 'strangers'
  ])
})
