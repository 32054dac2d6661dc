import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HASH_BYTES, PACKS_MAX, PIECE_BYTES, hashOf, pieceAt, piecesOf, placeOf, type Manifest, type PackRef } from '../../protocols/image/index.ts'
import type { GoldenId } from '../../protocols/kit/index.ts'
import { allBits, clearBit, countBits, hasBit, noBits, setBit } from '../../storage/warehouse/bits.ts'
import { HashIndex } from '../../storage/warehouse/hash-index.ts'
import { layOut, type CutFile } from '../../storage/warehouse/layout.ts'
import { toDrop, type Rendered } from '../../storage/warehouse/rendered-cache.ts'

/** The digest of a piece by what it holds; 0 is zeros. */
const digest = (content: number): Uint8Array => content === 0 ? new Uint8Array(HASH_BYTES) : new Uint8Array(createHash('sha256').update(`${content}`).digest())
const cut = (contents: number[][]): CutFile[] => contents.map((file, i) => ({ name: `f${i}`, bytes: file.length * PIECE_BYTES, hashes: new Uint8Array(Buffer.concat(file.map(digest))) }))

/** A chain of golden machines, each from the one before, with what each pack holds. */
function chain (generations: number[][][], has = (_infoHash: string, _index: number): boolean => true): Array<{ manifest: Manifest, layout: ReturnType<typeof layOut> }> {
  const made: Array<{ manifest: Manifest, layout: ReturnType<typeof layOut> }> = []
  for (const [n, contents] of generations.entries()) {
    const layout = layOut(cut(contents), made.map(({ manifest }) => manifest).toReversed(), has)
    const own: PackRef = { goldenId: n.toString(16).padStart(32, '0') as GoldenId, infoHash: n.toString(16).padStart(40, '0'), pieces: layout.own.length }
    made.push({ layout, manifest: { golden: {} as Manifest['golden'], hashes: layout.hashes, places: layout.places, packs: [own, ...layout.basePacks], files: layout.files } })
  }
  return made
}

describe('a layout', () => {
  const contents = fc.array(fc.array(fc.nat(30), { maxLength: 25 }), { minLength: 1, maxLength: 3 })

  test('has every piece where its file has it, in the pack that holds it, once, and zeros nowhere', () => {
    fc.assert(fc.property(fc.array(contents, { minLength: 1, maxLength: 5 }), (generations) => {
      const packs = new Map<string, Uint8Array[]>()
      for (const [n, { manifest, layout }] of chain(generations).entries()) {
        const files = generations[n] ?? []
        packs.set(manifest.packs[0]?.infoHash ?? '', layout.own.map(({ file, position }) => digest(files[file]?.[position] ?? 0)))
        for (const [i, file] of manifest.files.entries()) {
          for (const [position, content] of (files[i] ?? []).entries()) {
            const piece = pieceAt(file, position)
            if (piece === undefined) {
              expect(content).toBe(0)
              continue
            }
            const { pack, index } = placeOf(manifest, piece)
            expect(packs.get(manifest.packs[pack]?.infoHash ?? '')?.[index]).toEqual(digest(content))
            expect(hashOf(manifest, piece)).toEqual(digest(content))
          }
        }
        expect(piecesOf(manifest)).toBe(new Set(files.flat().filter((content) => content !== 0)).size)
        // Whatever any base has is not stored again.
        const before = new Set(generations.slice(0, n).flat(2))
        expect(layout.own.length).toBe(new Set(files.flat().filter((content) => content !== 0 && !before.has(content))).size)
      }
    }), { numRuns: 300 })
  })

  test('takes nothing of a pack that is not here', () => {
    const [, child] = chain([[[1, 2, 3, 4]], [[4, 3, 9]]], (_infoHash, index) => index !== 3)
    expect(child?.layout.own).toEqual([{ file: 0, position: 0 }, { file: 0, position: 2 }])
    expect(child?.manifest.places).toEqual([{ first: 0, count: 2, pack: 0, index: 0 }, { first: 2, count: 1, pack: 1, index: 2 }])
  })

  test('stores for itself what the least used packs would give when there are too many', () => {
    const generations = Array.from({ length: PACKS_MAX + 5 }, (_, n) => [Array.from({ length: n + 1 }, (_, i) => 1 + i)])
    const deepest = chain(generations).at(-1)
    expect(deepest?.manifest.packs).toHaveLength(PACKS_MAX)
    // Generations before it did the same: what they stored again is taken of them.
    expect(deepest?.layout.own.length).toBeGreaterThan(1)
    expect(deepest?.layout.own.length).toBeLessThanOrEqual(6)
  })
})

test('an index of digests numbers each once, in the order in which they came', () => {
  fc.assert(fc.property(fc.array(fc.nat(2_000), { maxLength: 3_000 }), (values) => {
    const index = new HashIndex()
    const order = [...new Set(values)]
    for (const value of values) expect(index.add(digest(value + 1))).toBe(order.indexOf(value))
    expect([index.count, index.find(digest(9_999))]).toEqual([order.length, undefined])
    expect(Buffer.compare(index.hashes, Buffer.concat(order.map((value) => digest(value + 1))))).toBe(0)
  }), { numRuns: 20 })
})

test('bits are those that were set, the highest of a byte first', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 100 }).chain((count) => fc.tuple(fc.constant(count), fc.uniqueArray(fc.nat(count - 1)))), ([count, set]) => {
    const [bits, rest] = [noBits(count), allBits(count)]
    for (const at of set) setBit(bits, at)
    for (const at of set) clearBit(rest, at)
    expect([countBits(bits), countBits(rest)]).toEqual([set.length, count - set.length])
    for (let at = 0; at < count; at++) expect([hasBit(bits, at), hasBit(rest, at)]).toEqual([set.includes(at), !set.includes(at)])
  }))
  expect(allBits(11)).toEqual(Uint8Array.of(0xff, 0b1110_0000))
})

test('of rendered files go the idle ones, and of the others the longest unused until the rest has room', () => {
  const one = (name: string, bytes: number, usedAtMs: number): Rendered => ({ goldenId: name as GoldenId, bytes, usedAtMs })
  const all = [one('c', 10, 70), one('a', 10, 0), one('b', 10, 50)]
  expect(toDrop(all, 0, 100, { idleMs: 60, bytesMax: 100 })).toEqual(['a'])
  expect(toDrop(all, 0, 100, { idleMs: 60, bytesMax: 10 })).toEqual(['a', 'b'])
  expect(toDrop(all, 15, 100, { idleMs: 60, bytesMax: 10 })).toEqual(['a', 'b', 'c'])
  expect(toDrop(all, 0, 100, { idleMs: 1_000, bytesMax: 30 })).toEqual([])
})
