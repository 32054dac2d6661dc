/** What must come of a golden machine before a machine starts while its disk is coming. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PIECE_BYTES, type Manifest } from '../../protocols/image/index.ts'
import { missingToStart } from '../../node/plant/images/missing-bytes.ts'
import { closeAll, openAt, randomPieces, shelved } from '../storage/image-support.ts'

let dir = ''
beforeEach(async () => { dir = await mkdtemp(join(tmpdir(), 'pm-start-')) })
afterEach(async () => {
  await closeAll()
  await rm(dir, { recursive: true, force: true })
})

test('is all other files and what boots read of the disk, each piece once, without what is here', async () => {
  const warehouse = await openAt(dir)
  const ram = randomPieces(4)
  // The disk begins with a piece that the memory has too.
  const disk = Buffer.concat([ram.subarray(0, PIECE_BYTES), randomPieces(7)])
  const { goldenId } = await shelved(warehouse, 'web', { ram, disk })
  const manifest = await warehouse.manifestOf(goldenId) as Manifest
  const pieces = (runs: unknown, here = new Map()): number | undefined => {
    const bytes = missingToStart(manifest, here, { name: 'disk', runs })
    return bytes === undefined ? undefined : bytes / PIECE_BYTES
  }
  expect(pieces([[0, 1]])).toBe(4)
  expect(pieces([[5, 2], [0, 1]])).toBe(6)
  expect(pieces([])).toBe(4)
  // Nobody knows what boots read, or what is said is no order of this file.
  for (const none of [undefined, 'x', [[7, 2]], [[0, 1e12]]]) expect(pieces(none)).toBeUndefined()
  expect(pieces([[0, 8]], new Map(warehouse.packs().map((pack) => [pack.infoHash, pack])))).toBe(0)
})
