/** Small scenarios for the tests of commands and results. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A directory that goes with the test. */
export async function tempDir (): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-sim-test-'))
  onTestFinished(async () => rm(dir, { recursive: true, force: true }))
  return dir
}

/** Three plants and six orders, a second or so of simulated work. */
export const SMALL = `apiVersion: plantmesh-sim/v1
kind: Scenario
name: small
title: A small one
description: "<script>alert(1)</script> & more"
plants: [{ name: p, count: 3 }]
timings: { set: measured }
golden: [{ name: linux, memoryMiB: 64, diskMiB: 512 }]
orders:
  - { kind: series, count: 6, fromMs: 12000, machine: { os: linux, memoryMiB: 64, diskMiB: 512, actions: [{ id: user }] } }
metrics: [creation, clone, cloneBySequence, placement, bids]
seed: 3
runs: 2
`

/** Writes a scenario into a directory of its own. */
export async function scenarioFile (text = SMALL, name = 'small.yaml'): Promise<{ dir: string, path: string }> {
  const dir = await tempDir()
  const path = join(dir, name)
  await writeFile(path, text)
  return { dir, path }
}
