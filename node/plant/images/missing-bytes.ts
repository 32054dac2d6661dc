/** How much of a golden machine elsewhere is not here: pieces of its packs that are here already, as parts of its bases, are not fetched. */
import type { GoldenId } from '../../../protocols/kit/index.ts'
import { PIECE_BYTES, orderOf, placesIn, type HeldImage, type Holding, type Manifest } from '../../../protocols/image/index.ts'
import type { Pack } from '../../../storage/warehouse/pack.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import { bytesOf } from '../../../storage/warehouse/warehouse.ts'
import type { LateFile } from './pieces-first.ts'

/** By its manifest: exactly. */
export function missingByManifest ({ packs, places }: Pick<Manifest, 'packs' | 'places'>, here: ReadonlyMap<string, Pack>): number {
  let missing = 0
  for (const { pack, index, count } of places) {
    const there = here.get(packs[pack]?.infoHash ?? '')
    if (there === undefined) missing += count
    else for (let i = index; i < index + count; i++) if (!there.has(i)) missing++
  }
  return missing * PIECE_BYTES
}

/**
 * By its manifest, what must come before a machine starts while its disk is coming: all other files, and what boots read of the disk. Undefined where
 * nobody knows what they read: then it is as much as all of it.
 */
export function missingToStart (manifest: Manifest, here: ReadonlyMap<string, Pack>, late: LateFile): number | undefined {
  const disk = manifest.files.find(({ name }) => name === late.name)
  const read = disk && orderOf(late.runs, Math.ceil(disk.bytes / PIECE_BYTES))
  if (disk === undefined || read === undefined) return undefined
  const missing = new Set<string>()
  const needed = [...manifest.files.filter((file) => file !== disk).flatMap((file) => [...placesIn(manifest, file)]), ...placesIn(manifest, disk, read)]
  for (const { pack, index } of needed) {
    const infoHash = manifest.packs[pack]?.infoHash ?? ''
    if (here.get(infoHash)?.has(index) !== true) missing.add(`${infoHash}.${index}`)
  }
  return missing.size * PIECE_BYTES
}

/** Bases that are looked through: an image deeper than that counts as a whole. */
const BASES_MAX = 64

/**
 * By what plants say of it, before its manifest is here: its own pack and those of its bases down to one that is here; all of it when none is. Never more
 * than its files have.
 */
export function missingByHoldings (golden: Pick<Golden, 'goldenId' | 'from' | 'files'>, mesh: { held: (id: GoldenId) => HeldImage | undefined, isHere: (id: GoldenId) => boolean }): number {
  const own = saidOf(mesh.held(golden.goldenId))
  const whole = Math.min(bytesOf(golden.files), own?.totalBytes ?? Infinity)
  let sum = own?.ownBytes ?? whole
  let base = golden.from
  for (let depth = 0; base !== undefined && depth < BASES_MAX; depth++) {
    if (mesh.isHere(base)) return Math.min(whole, sum)
    const said = saidOf(mesh.held(base))
    if (said === undefined) return whole
    sum += said.ownBytes
    base = said.base
  }
  return whole
}

/** Of several who tell of it the one who says the most: who says too little has others fetch more than they bid for. */
function saidOf (held: HeldImage | undefined): Holding | undefined {
  let most: Holding | undefined
  for (const one of held?.said.values() ?? []) if (most === undefined || one.totalBytes > most.totalBytes) most = one
  return most
}
