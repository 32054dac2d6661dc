/** Real plants of which one has tiny and the other has nothing and a slow link, so that its machines start before their disk has come. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { ALL_FILES } from '../lines/whole-disk.ts'
import { until, type TestHost, type TestPlant } from './plants.ts'

/** For what has to happen on a loaded host. */
export const WAIT_MS = 120_000
/** Of tiny's 98 MiB its disk is 15: at 16 Mbit/s it comes in 8 s, after all else. */
export const SLOW = ['--download-max', '16', '--log-level', 'info']
/** What a plant logs when a machine needs it no more. */
export const SWITCHED = 'machine switched'

/** What a plant knows of tiny elsewhere and here. */
export async function tinyAt (plant: TestPlant): Promise<{ missingBytes: number, plants: string[] } | undefined> {
  const mesh = (await plant.cli(['golden', 'list', '--mesh', '--json'])).json as Array<{ name: string, missingBytes: number, plants: string[] }>
  return mesh.find(({ name }) => name === 'tiny')
}

/** Bytes of tiny that are not there; NaN while it is unknown. */
export async function missingAt (plant: TestPlant): Promise<number> { return (await tinyAt(plant))?.missingBytes ?? NaN }

/** One that has tiny, and one behind a slow link. */
export async function slowPair (host: TestHost): Promise<[TestPlant, TestPlant]> {
  const a = await host.plant()
  const b = await host.plant({ bootstrap: a.addresses, golden: false, args: SLOW })
  await until(async () => await missingAt(b) > 0, WAIT_MS, 'tiny is known')
  return [a, b]
}

/** Has a machine made on one plant, by an order id and name of its own. */
export async function createdOn (host: TestHost, shop: TestPlant, name: string, on: TestPlant, os = 'tiny'): Promise<{ vmid: string, state: string, plant: string }> {
  const path = join(host.dir, `${name}.json`)
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, software: { os, actions: [] }, requirements: `other.PeerId == "${on.peerId}"` }))
  const made = await shop.cli(['create', '-f', path, '--id', name, '--json'])
  expect(made.stdout + made.stderr).toContain('"state":"running"')
  return made.json
}

/** Of all that is on a machine's disk. */
export async function diskDigest (plant: TestPlant, vmid: string): Promise<string> {
  const read = await plant.cli(['exec', vmid, '--', 'sh', '-c', ALL_FILES])
  expect(read.stdout).toMatch(/^[0-9a-f]{32} /)
  return read.stdout
}
