/**
 * The store of pieces (issue: One store): what each generation of a family of golden machines takes on the disk, and what rendering it costs, at
 * depths 0 to 8. Files as a suspended machine has them: a large memory, mostly zeros, and a disk; each child changes a part of both. The page
 * cache is warm, as it is after a publication. Ratios count, times drift.
 */
import { randomFillSync } from 'node:crypto'
import { copyFile, mkdtemp, open, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { PIECE_BYTES } from '../../protocols/image/index.ts'
import type { GoldenId } from '../../protocols/kit/index.ts'
import { openWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { sparseCopy } from '../../storage/drivers/sparse-copy.ts'

const MIB = 2 ** 20
const DEPTH = 8
const ROUNDS = 7
const RAM_BYTES = 256 * MIB
/** Of the memory, and of the disk, that is not zero. */
const FULL_PIECES = { ram: 1_400, disk: 900 }
/** Pieces that a child changes in each file: some 12 MiB. */
const CHANGED = 100

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
const quiet = { debug () {}, info () {}, warn () {}, error () {} }

async function roomOf (path: string): Promise<number> {
  const { blocks } = await stat(path)
  const entries = await readdir(path).catch(() => [])
  return (await Promise.all(entries.map(async (entry) => roomOf(join(path, entry))))).reduce((sum, room) => sum + room, blocks * 512)
}

/** Writes random pieces at random places of a file's first `among` pieces. */
async function scribble (path: string, count: number, among: number): Promise<void> {
  const file = await open(path, 'r+')
  const bytes = Buffer.alloc(PIECE_BYTES)
  for (let i = 0; i < count; i++) await file.write(randomFillSync(bytes), 0, PIECE_BYTES, (count === among ? i : Math.floor(Math.random() * among)) * PIECE_BYTES)
  await file.close()
}

async function main (): Promise<void> {
  const top = await mkdtemp(join(tmpdir(), 'pmbench-'))
  try {
    const warehouse = await openWarehouse({ dir: join(top, 'warehouse'), clock: new SystemClock(), log: quiet, crypto: new NodeCrypto(), signer: makeKey() })
    const made = { ram: join(top, 'ram'), disk: join(top, 'disk') }
    for (const [name, path] of Object.entries(made)) {
      await writeFile(path, '')
      await truncate(path, name === 'ram' ? RAM_BYTES : FULL_PIECES.disk * PIECE_BYTES)
      await scribble(path, FULL_PIECES[name as keyof typeof made], FULL_PIECES[name as keyof typeof made])
    }
    const family: Array<{ goldenId: GoldenId, room: number, commitMs: number }> = []
    for (let depth = 0; depth <= DEPTH; depth++) {
      if (depth > 0) for (const [name, path] of Object.entries(made)) await scribble(path, CHANGED, FULL_PIECES[name as keyof typeof made])
      const draft = await warehouse.draft()
      for (const [name, path] of Object.entries(made)) await sparseCopy(path, join(draft.dir, name))
      await copyFile(process.execPath, join(draft.dir, 'kernel')).then(async () => truncate(join(draft.dir, 'kernel'), 8 * MIB))
      const [before, sinceMs] = [await roomOf(join(top, 'warehouse')) - await roomOf(join(draft.dir, '..')), performance.now()]
      const from = family.at(-1)?.goldenId
      const { goldenId } = await draft.commit({ name: `g${depth}`, os: 'tiny', hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 64 }, lineFingerprint: 'f', actionsDone: [], createdAtMs: depth, ...(from !== undefined && { from }) })
      const commitMs = performance.now() - sinceMs
      // The root keeps the files that its draft wrote, until nobody uses them.
      if (depth === 0) await rm(join(top, 'warehouse', 'golden', goldenId, 'files'), { recursive: true })
      family.push({ goldenId, commitMs, room: await roomOf(join(top, 'warehouse')) - before })
    }
    const renderMs: number[][] = family.map(() => [])
    for (let round = 0; round < ROUNDS; round++) {
      // Forwards and backwards in turns, so that none is always the first.
      for (const [depth, { goldenId }] of round % 2 === 0 ? [...family.entries()] : [...family.entries()].reverse()) {
        const sinceMs = performance.now()
        const dir = await warehouse.verified(goldenId)
        renderMs[depth]?.push(performance.now() - sinceMs)
        await rm(dir, { recursive: true })
      }
    }
    const first = median(renderMs[0] ?? [])
    for (const [depth, { room, commitMs }] of family.entries()) {
      const ms = median(renderMs[depth] ?? [])
      const pieces = (await warehouse.manifestOf(family[depth]?.goldenId as GoldenId))?.packs[0]?.pieces ?? 0
      console.log(`depth ${depth}: stores ${(room / MIB).toFixed(1).padStart(6)} MiB for ${(pieces * PIECE_BYTES / MIB).toFixed(1).padStart(6)} MiB that differ, committed in ${commitMs.toFixed(0).padStart(4)} ms, rendered in ${ms.toFixed(0).padStart(4)} ms (median of ${ROUNDS}, best ${Math.min(...renderMs[depth] ?? []).toFixed(0)}) = ${(ms / first).toFixed(2)} of depth 0${depth === DEPTH ? '   (aim: at most 1.3)' : ''}`)
    }
    await warehouse.close()
  } finally {
    await rm(top, { recursive: true, force: true })
  }
}

await main()
