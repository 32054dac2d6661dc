/** Which pieces of an image that arrives are fetched before the others: those of files that a machine cannot start without, then those that boots read. */
import { PIECE_BYTES, placesIn, type Manifest } from '../../../protocols/image/index.ts'
import { orderOf } from '../../../storage/nbd/boot-trace.ts'
import { hasBit, noBits, setBit } from '../../../storage/warehouse/bits.ts'
import type { Incoming, WantedPack } from '../../../storage/warehouse/image-store.ts'

/** The one file that a machine can be started without, and the order in which boots read it (`runsOf`), when that is known. */
export interface LateFile { name: string, runs: unknown }

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
  for (const { pack, index } of placesIn(manifest, file, positions)) {
    const { infoHash = '' } = manifest.packs[pack] ?? {}
    const indexes = order.get(infoHash)
    if (indexes === undefined) order.set(infoHash, [index])
    else indexes.push(index)
  }
  return order
}
