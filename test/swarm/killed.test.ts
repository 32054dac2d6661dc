/** A fetch that is killed goes on where it was: `kill -9` on a process of its own. */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { PIECE_BYTES } from '../../storage/swarm/constants.ts'
import { afterTest, meshNode } from '../support/mesh.ts'
import { MemoryPack, namesOf, pieceOf } from './packs.ts'
import { swarmOn } from './plants.ts'

const COUNT = 160

/** Runs the child until it says this; kills it then, or lets it end. */
async function run (dir: string, address: string, until: (word: string, value: number) => boolean): Promise<Map<string, number>> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'fetch-child.ts'), dir, '3', String(COUNT), address], { stdio: ['ignore', 'pipe', 'inherit'] })
  afterTest(async () => { child.kill('SIGKILL') })
  const said = new Map<string, number>()
  for await (const line of createInterface({ input: child.stdout })) {
    const [word = '', value = ''] = line.split(' ')
    said.set(word, Number(value))
    if (until(word, Number(value))) child.kill('SIGKILL')
  }
  return said
}

test('a fetch killed half-way goes on without fetching again what it had verified half a second before', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-swarm-'))
  afterTest(async () => rm(dir, { recursive: true, force: true }))
  const publisher = await swarmOn(await meshNode(), { uploadBytesPerS: 3_000_000 })
  publisher.swarm.serve(new MemoryPack(namesOf(3, COUNT), (i) => pieceOf(3, i)))
  const address = publisher.mesh.addresses()[0] ?? ''

  const first = await run(dir, address, (word, value) => word === 'have' && value >= COUNT / 2)
  expect(first.get('have')).toBeGreaterThanOrEqual(COUNT / 2)
  const sentFirst = publisher.swarm.uploadedBytes
  const second = await run(dir, address, () => false)
  const held = second.get('held') ?? 0
  // In half a second 23 pieces come at this cap.
  expect(held).toBeGreaterThan(COUNT / 2 - 40)
  expect(second.get('written')).toBe(COUNT - held)
  expect(publisher.swarm.uploadedBytes - sentFirst).toBe((COUNT - held) * PIECE_BYTES)
  const pack = await readFile(join(dir, 'pack'))
  expect(Array.from({ length: COUNT }, (_, i) => i).filter((i) => !pack.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES).equals(pieceOf(3, i)))).toEqual([])
})
