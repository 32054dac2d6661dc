/**
 * Lays files out as an image: which pieces its own pack must have, and which it takes from the packs of its bases. Zeros take nothing, and
 * what occurs twice is kept once.
 */
import { HASH_BYTES, PACKS_MAX, hashOf, type Extent, type ImageFile, type Manifest, type PackRef, type PlaceRun } from '../../protocols/image/index.ts'
import { HashIndex } from './hash-index.ts'

/** A file cut into pieces: 32 bytes for each position, zero bytes for zeros. */
export interface CutFile { name: string, bytes: number, hashes: Uint8Array }

export interface Layout {
  hashes: Uint8Array
  places: PlaceRun[]
  /** Those of bases; its own stands before them as number 0. */
  basePacks: PackRef[]
  files: ImageFile[]
  /** For each of its own pieces, in their order, where it is first: number of the file, position. */
  own: Array<{ file: number, position: number }>
}

interface Found { pack: number, index: number }

/** `bases` nearest first; `has` says whether a piece of a pack is here now. Pieces of packs beyond PACKS_MAX become its own. */
export function layOut (files: CutFile[], bases: Manifest[], has: (infoHash: string, index: number) => boolean): Layout {
  const base = new BasePieces(bases, has)
  const seen = new HashIndex()
  const firsts: Array<{ file: number, position: number, found: Found | undefined }> = []
  // Numbers of what occurs where, in the order of first occurrence; -1 for zeros.
  const occurs = files.map(({ hashes }, file) => {
    const numbers = new Int32Array(hashes.length / HASH_BYTES)
    for (let position = 0; position < numbers.length; position++) {
      const hash = hashes.subarray(position * HASH_BYTES, (position + 1) * HASH_BYTES)
      numbers[position] = isZero(hash) ? -1 : seen.add(hash)
      if (seen.count > firsts.length) firsts.push({ file, position, found: base.find(hash) })
    }
    return numbers
  })
  const taken = mostUsed(firsts.flatMap(({ found }) => found?.pack ?? []), PACKS_MAX - 1)
  const own = firsts.flatMap((first, number) => first.found === undefined || !taken.has(first.found.pack) ? [{ ...first, number }] : [])
  const inherited = firsts.flatMap(({ found }, number) => found !== undefined && taken.has(found.pack) ? [{ ...found, pack: taken.get(found.pack) ?? 0, number }] : [])
    .sort((a, b) => a.pack - b.pack || a.index - b.index)
  const order = [...own, ...inherited].map(({ number }) => number)
  const pieceOf = new Int32Array(order.length)
  order.forEach((number, piece) => { pieceOf[number] = piece })
  const all = seen.hashes
  const hashes = new Uint8Array(all.length)
  order.forEach((number, piece) => { hashes.set(all.subarray(number * HASH_BYTES, (number + 1) * HASH_BYTES), piece * HASH_BYTES) })
  return {
    hashes,
    places: placesOf(own.length, inherited),
    basePacks: [...taken.keys()].flatMap((pack) => base.packs[pack] ?? []),
    files: files.map(({ name, bytes }, file) => ({ name, bytes, extents: extentsOf(occurs[file] ?? new Int32Array(0), pieceOf) })),
    own: own.map(({ file, position }) => ({ file, position }))
  }
}

/** What the bases have, found by digest. */
class BasePieces {
  readonly packs: PackRef[] = []
  readonly #index = new HashIndex()
  readonly #found: Found[] = []

  constructor (bases: Manifest[], has: (infoHash: string, index: number) => boolean) {
    const known = new Map<string, number>()
    for (const manifest of bases) {
      for (const { first, count, pack, index } of manifest.places) {
        const ref = manifest.packs[pack]
        if (ref === undefined) continue
        const number = known.get(ref.infoHash) ?? this.packs.push(ref) - 1
        known.set(ref.infoHash, number)
        for (let i = 0; i < count; i++) {
          if (!has(ref.infoHash, index + i)) continue
          if (this.#index.add(hashOf(manifest, first + i)) === this.#found.length) this.#found.push({ pack: number, index: index + i })
        }
      }
    }
  }

  find (hash: Uint8Array): Found | undefined {
    const number = this.#index.find(hash)
    return number === undefined ? undefined : this.#found[number]
  }
}

/** The values that occur most, numbered from 1 in the order in which they first occur. */
function mostUsed (values: number[], max: number): Map<number, number> {
  const uses = new Map<number, number>()
  for (const value of values) uses.set(value, (uses.get(value) ?? 0) + 1)
  const least = [...uses.entries()].sort((a, b) => b[1] - a[1]).slice(max)
  for (const [value] of least) uses.delete(value)
  return new Map([...uses.keys()].map((value, i) => [value, i + 1]))
}

function placesOf (own: number, inherited: Found[]): PlaceRun[] {
  const places: PlaceRun[] = own > 0 ? [{ first: 0, count: own, pack: 0, index: 0 }] : []
  inherited.forEach(({ pack, index }, i) => {
    const last = places.at(-1)
    if (last?.pack === pack && last.index + last.count === index) last.count++
    else places.push({ first: own + i, count: 1, pack, index })
  })
  return places
}

function extentsOf (occurs: Int32Array, pieceOf: Int32Array): Extent[] {
  const extents: Extent[] = []
  occurs.forEach((number, at) => {
    if (number < 0) return
    const piece = pieceOf[number] ?? 0
    const last = extents.at(-1)
    if (last !== undefined && last.at + last.count === at && last.piece + last.count === piece) last.count++
    else extents.push({ at, count: 1, piece })
  })
  return extents
}

function isZero (hash: Uint8Array): boolean {
  for (const byte of hash) if (byte !== 0) return false
  return true
}
