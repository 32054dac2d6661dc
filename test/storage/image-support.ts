/** Golden machines of drawn pieces, and plants' warehouses between which pieces are carried by hand. */
import { randomFillSync } from 'node:crypto'
import { open, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PIECE_BYTES } from '../../protocols/image/index.ts'
import type { GoldenId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { openWarehouse, type FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import type { Incoming } from '../../storage/warehouse/image-store.ts'
import { FakeStandingClock, descriptionOf, keys, quietLog } from './records-support.ts'

/** A clock that the test turns, and that calls what is due. */
export class FakeTurnedClock extends FakeStandingClock {
  #alarms: Array<{ atMs: number, fn: () => void }> = []
  override after (ms = 0, fn: () => void = () => {}): () => void {
    const alarm = { atMs: this.ms + ms, fn }
    this.#alarms.push(alarm)
    return () => { this.#alarms = this.#alarms.filter((other) => other !== alarm) }
  }

  turn (ms: number): void {
    this.ms += ms
    const due = this.#alarms.filter(({ atMs }) => atMs <= this.ms)
    this.#alarms = this.#alarms.filter(({ atMs }) => atMs > this.ms)
    for (const { fn } of due) fn()
  }
}

const opened: FsWarehouse[] = []

/** Opens a warehouse, also one that is open: what a kill leaves is then what the other has not written. */
export async function openAt (dir: string, clock = new FakeTurnedClock(), more: { renderedBytesMax?: number } = {}): Promise<FsWarehouse> {
  const warehouse = await openWarehouse({ dir, clock, log: quietLog, ...keys, ...more })
  opened.push(warehouse)
  return warehouse
}

/** Closes all that were opened, at the end of a test. */
export async function closeAll (): Promise<void> { for (const warehouse of opened.splice(0)) await warehouse.close().catch(() => undefined) } // Its directory may be another's by now.

/** So many random pieces. */
export const randomPieces = (count: number): Buffer => randomFillSync(Buffer.alloc(count * PIECE_BYTES))

/** A golden machine of these files. A number stands for a hole of so many bytes. */
export async function shelved (warehouse: FsWarehouse, name: string, files: Record<string, Buffer | number>, from?: GoldenId): Promise<Golden> {
  const draft = await warehouse.draft()
  try {
    for (const [file, content] of Object.entries(files)) {
      await writeFile(join(draft.dir, file), typeof content === 'number' ? '' : content)
      if (typeof content === 'number') await truncate(join(draft.dir, file), content)
    }
    return await draft.commit(descriptionOf(name, from))
  } catch (error) {
    await draft.discard()
    throw error
  }
}

/** What another plant is told. */
export async function offered (warehouse: FsWarehouse, id: GoldenId): Promise<{ manifest: Uint8Array, info: Uint8Array }> {
  const signed = await warehouse.signedManifest(id)
  if (signed === undefined) throw new Error('it is offered')
  return signed
}

/** Carries what an image lacks from another warehouse, at most `max` pieces; returns how many. */
export async function carry (from: FsWarehouse, image: Incoming, max = Infinity): Promise<number> {
  let carried = 0
  for (const { pack, needed } of image.packs) {
    const source = from.packs().find(({ infoHash }) => infoHash === pack.infoHash)
    for (let index = 0; index < pack.count && carried < max; index++) {
      if (((needed[index >> 3] ?? 0) & (0x80 >> (index & 7))) === 0 || pack.has(index) || source?.has(index) !== true) continue
      if (await pack.write(index, await source.read(index))) carried++
    }
  }
  return carried
}

/** Room that a directory takes on the disk. */
export async function roomOf (path: string): Promise<number> {
  const { blocks } = await stat(path)
  const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
  const inner = await Promise.all(entries.map(async (entry) => roomOf(join(path, entry.name))))
  return inner.reduce((sum, room) => sum + room, blocks * 512)
}

/** Alters one byte, whatever the mode. */
export async function alterByte (path: string, at: number): Promise<void> {
  const file = await open(path, 'r+')
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
  await file.write(Uint8Array.of((buffer[0] ?? 0) ^ 0xff), 0, 1, at)
  await file.close()
}
