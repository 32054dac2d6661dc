/**
 * Which pieces of an image that arrives are fetched before the others: of files that a machine cannot start without, the small ones and what resumes looked
 * at of its memory first; then what boots read of its disk.
 */
import { PIECE_BYTES, orderOf, placesIn, type Manifest } from '../../../protocols/image/index.ts'
import { hasBit, noBits, setBit } from '../../../storage/warehouse/bits.ts'
import type { Incoming, WantedPack } from '../../../storage/warehouse/image-store.ts'

/** A file - the one that a machine can be started without, or its memory - and the order in which machines read it (`runsOf`), when that is known. */
export interface LateFile { name: string, runs: unknown }

/**
 * By pack, the pieces of all files but the late one and the memory, then those of the memory that resumes looked at. QEMU maps the memory file, so
 * that all of it must be here before the machine starts: this order says what comes first of it, not when that is.
 */
export function startOrder (manifest: Manifest, late: string, memory: LateFile): Map<string, number[]> {
  const small = manifest.files.filter(({ name }) => name !== late && name !== memory.name)
  const order = new Map<string, number[]>()
  for (const { pack, index } of small.flatMap((file) => [...placesIn(manifest, file)])) add(order, manifest, pack, index)
  for (const [infoHash, indexes] of bootOrder(manifest, memory)) order.set(infoHash, [...order.get(infoHash) ?? [], ...indexes])
  return order
}

/** Of an image's packs what its other files need. */
export function withoutFile ({ manifest, packs }: Pick<Incoming, 'manifest' | 'packs'>, name: string): WantedPack[] {
  const needed = manifest.packs.map(({ pieces }) => noBits(pieces))
  for (const file of manifest.files) {
    if (file.name === name) continue
    for (const { pack, index } of placesIn(manifest, file)) {
      const bits = needed[pack]
      if (bits !== undefined) setBit(bits, index)
    }
  }
  return packs.map((wanted) => {
    const bits = needed[manifest.packs.findIndex(({ infoHash }) => infoHash === wanted.pack.infoHash)] ?? wanted.needed
    return { ...wanted, needed: bits, missing: () => missingOf(bits, wanted.pack) }
  })
}

function missingOf (needed: Uint8Array, pack: WantedPack['pack']): number {
  let missing = 0
  for (let index = 0; index < pack.count; index++) if (hasBit(needed, index) && !pack.has(index)) missing++
  return missing
}

/** By pack, the pieces of a file in the order in which boots read it; none when that is not known, or is no order of this file. */
export function bootOrder (manifest: Manifest, { name, runs }: LateFile): Map<string, number[]> {
  const order = new Map<string, number[]>()
  const file = manifest.files.find((one) => one.name === name)
  const positions = file === undefined ? undefined : orderOf(runs, Math.ceil(file.bytes / PIECE_BYTES))
  if (file === undefined || positions === undefined) return order
  for (const { pack, index } of placesIn(manifest, file, positions)) add(order, manifest, pack, index)
  return order
}

function add (order: Map<string, number[]>, manifest: Manifest, pack: number, index: number): void {
  const { infoHash = '' } = manifest.packs[pack] ?? {}
  const indexes = order.get(infoHash)
  if (indexes === undefined) order.set(infoHash, [index])
  else indexes.push(index)
}
