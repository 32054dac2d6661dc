import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readManifest } from '../../protocols/image/codec.ts'
import { MANIFEST_BYTES_MAX, PIECES_MAX, PIECE_BYTES, POSITIONS_MAX, encodeInfo, fileRoot, infoHashOf, openInfo, openManifest, pieceAt, piecesOf, placeOf, positionsOf, type Extent, type Manifest } from '../../protocols/image/index.ts'
import { VarintReader, VarintWriter } from '../../protocols/image/varints.ts'
import { encode, toHex, type GoldenId } from '../../protocols/kit/index.ts'
import { crypto, filled, hashesOf, manifestOf, publisher, redescribed, signed, type Layout } from './support.ts'

const signer = publisher()
const layout: Layout = { own: 5, inherited: [{ pieces: 9, runs: [{ count: 2, index: 1 }, { count: 1, index: 8 }] }, { pieces: 4, runs: [{ count: 4, index: 0 }] }], files: [filled(12), { bytes: 40 * PIECE_BYTES - 7, extents: [{ at: 3, count: 2, piece: 7 }, { at: 39, count: 1, piece: 0 }] }] }
const sound = (): Manifest => manifestOf(layout, signer)

/** Layouts that a publisher could make: every piece in some file, runs in order. */
const anyLayout: fc.Arbitrary<Layout> = fc.record({
  own: fc.nat(20),
  inherited: fc.array(fc.array(fc.record({ gap: fc.nat(5), count: fc.integer({ min: 1, max: 6 }) }), { minLength: 1, maxLength: 4 }), { maxLength: 4 }),
  more: fc.array(fc.record({ gap: fc.nat(9), count: fc.integer({ min: 1, max: 5 }), piece: fc.nat(1_000) }), { maxLength: 12 }),
  cut: fc.nat(PIECE_BYTES - 1)
}).map(({ own, inherited, more, cut }) => {
  const packs = inherited.map((runs) => {
    let end = 0
    const laid = runs.map(({ gap, count }) => ({ index: (end += gap + count) - count, count }))
    return { pieces: end + 2, runs: laid }
  })
  const pieces = own + packs.reduce((sum, { runs }) => sum + runs.reduce((all, { count }) => all + count, 0), 0)
  let end = 0
  const extents: Extent[] = pieces === 0 ? [] : more.map(({ gap, count, piece }) => {
    const within = Math.min(count, pieces)
    return { at: (end += gap + within) - within, count: within, piece: piece % (pieces - within + 1) }
  })
  return { own, inherited: packs, files: [{ bytes: pieces * PIECE_BYTES, extents: pieces > 0 ? [{ at: 0, count: pieces, piece: 0 }] : [] }, { bytes: Math.max(0, (end + 1) * PIECE_BYTES - cut), extents }] }
})

describe('a manifest', () => {
  test('comes back as it was signed, whatever its layout', () => {
    fc.assert(fc.property(anyLayout, (drawn) => {
      const manifest = manifestOf(drawn, signer)
      expect(openManifest(crypto, signed(manifest, signer))).toEqual(manifest)
    }), { numRuns: 300 })
  })

  test('finds piece and place of every position as a walk over extents and runs does', () => {
    fc.assert(fc.property(anyLayout, (drawn) => {
      const manifest = manifestOf(drawn, signer)
      for (const file of manifest.files) {
        const walked = new Map(file.extents.flatMap(({ at, count, piece }) => Array.from({ length: count }, (_, i) => [at + i, piece + i] as const)))
        for (let at = 0; at < positionsOf(file.bytes) + 2; at++) expect(pieceAt(file, at)).toBe(walked.get(at))
      }
      const places = manifest.places.flatMap(({ count, pack, index }) => Array.from({ length: count }, (_, i) => ({ pack, index: index + i })))
      expect(Array.from({ length: piecesOf(manifest) }, (_, piece) => placeOf(manifest, piece))).toEqual(places)
      expect(() => placeOf(manifest, places.length)).toThrow(RangeError)
    }), { numRuns: 100 })
  })

  test('is the same bytes each time, and those of the specification', () => {
    const fixed = { publicKey: new Uint8Array(32).fill(7), sign: () => new Uint8Array(64).fill(9) }
    const bytes = signed(manifestOf(layout, fixed), fixed)
    expect(bytes).toEqual(signed(manifestOf(layout, fixed), fixed))
    expect(createHash('sha256').update(bytes).digest('hex')).toMatchInlineSnapshot(`"1fb5cb20ed63a19a28574845c5deeaa5e2a37dfe966f376ff72c90f743f84a47"`)
    expect(toHex(readManifest(bytes).body.subarray(0, 64))).toMatchInlineSnapshot(`"a56566696c657382a3646e616d656566696c65306562797465731a000c000067657874656e747343000c00a3646e616d656566696c65316562797465731a0027"`)
  })

  test('is refused, and nothing else happens, when any byte is altered', () => {
    const bytes = signed(sound(), signer)
    fc.assert(fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const altered = Uint8Array.from(bytes)
      altered[at] = (altered[at] ?? 0) ^ flip
      expect(() => openManifest(crypto, altered)).toThrow('MANIFEST_INVALID')
    }), { numRuns: 500 })
  })

  test('is refused when it is rubbish', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(() => openManifest(crypto, bytes)).toThrow('MANIFEST_INVALID')
    }))
  })
})

describe('a forged manifest, signed by whom its description names,', () => {
  const problem = (manifest: Manifest, by = signer): unknown => {
    try {
      openManifest(crypto, signed(manifest, by))
      return 'taken'
    } catch (error) {
      return (error as { details?: { problem?: unknown } }).details?.problem
    }
  }
  const altered = (how: (manifest: Manifest) => Manifest): unknown => problem(redescribed(how(sound()), signer))
  const [own, ...rest] = sound().places

  test('is refused when the signature is another\'s', () => {
    expect(problem(sound())).toBe('taken')
    expect(problem(sound(), publisher())).toBe('the signature is not that of the publisher')
    const { publisher: _, ...nobody } = sound().golden
    expect(problem({ ...sound(), golden: nobody })).toBe('the id is not the digest of the description')
  })

  test('is refused when the id or a root is another', () => {
    const { golden, ...manifest } = sound()
    expect(problem({ ...manifest, golden: { ...golden, goldenId: 'ab'.repeat(16) as GoldenId } })).toBe('the id is not the digest of the description')
    expect(problem({ ...manifest, golden: { ...golden, name: 'other' } })).toBe('the id is not the digest of the description')
    const swapped = Uint8Array.from(manifest.hashes)
    swapped[40] = (swapped[40] ?? 0) ^ 1
    expect(problem({ ...manifest, golden, hashes: swapped })).toBe('a root is not that of the pieces')
  })

  test('is refused when extents overlap, leave the file or the table, or leave a piece out', () => {
    const second = (extents: Extent[]): unknown => altered((manifest) => ({ ...manifest, files: manifest.files.map((file, i) => i === 1 ? { ...file, extents } : file) }))
    expect(second([{ at: 39, count: 1, piece: 0 }])).toBe('taken')
    // The wire has no negative gap: what overlaps does not come through as what it was.
    expect(second([{ at: 3, count: 4, piece: 0 }, { at: 5, count: 1, piece: 0 }])).not.toBe('taken')
    expect(second([{ at: 39, count: 2, piece: 0 }])).toBe('extents overlap or leave the file')
    expect(second([{ at: 0, count: 2, piece: 11 }])).toBe('an extent leaves the table')
    expect(altered((manifest) => ({ ...manifest, files: [{ ...manifest.files[0], extents: [{ at: 0, count: 11, piece: 0 }] } as Manifest['files'][number], manifest.files[1] as Manifest['files'][number]] }))).toBe('a piece is in no file')
  })

  test('is refused when places leave their pack, overlap, miss some of the table, or do not begin with its own', () => {
    const places = (all: Manifest['places']): unknown => altered((manifest) => ({ ...manifest, places: all }))
    if (own === undefined) throw new Error('has its own')
    expect(places([own, ...rest])).toBe('taken')
    expect(places([own, { first: 5, count: 2, pack: 1, index: 8 }, ...rest.slice(1)])).toBe('a place is beyond its pack')
    expect(places([own, ...rest.map((run, i) => i === 1 ? { ...run, index: 2 } : run)])).toBe('places are not in order')
    expect(places([own, ...rest.slice(0, -1)])).toBe('places do not cover the table')
    expect(places([{ first: 0, count: 3, pack: 0, index: 0 }, { first: 3, count: 2, pack: 0, index: 3 }, ...rest])).toBe('its own pieces do not come first')
    expect(altered((manifest) => ({ ...manifest, packs: manifest.packs.map((pack, i) => i === 0 ? { ...pack, pieces: 6 } : pack) }))).toBe('its own pieces do not come first')
  })

  test('is refused when a pack is named twice, is not its own, or is idle', () => {
    expect(altered((manifest) => ({ ...manifest, packs: manifest.packs.map((pack, i) => i === 2 ? { ...pack, infoHash: manifest.packs[1]?.infoHash ?? '' } : pack) }))).toBe('a pack is named twice')
    expect(altered((manifest) => ({ ...manifest, packs: manifest.packs.map((pack, i) => i === 2 ? { ...pack, goldenId: manifest.packs[1]?.goldenId as GoldenId } : pack) }))).toBe('a pack is named twice')
    expect(altered((manifest) => ({ ...manifest, packs: [...manifest.packs, { goldenId: 'cd'.repeat(16) as GoldenId, infoHash: 'cd'.repeat(20), pieces: 1 }] }))).toBe('a pack is named that nothing is taken of')
    const { packs, ...manifest } = sound()
    expect(problem({ ...manifest, packs: packs.toReversed() })).toBe('the first pack is not its own')
  })

  test('is refused before anything is allocated when it claims more than the bounds, up to 10^12 pieces', () => {
    const claims: Array<(manifest: Manifest) => Manifest> = [
      (manifest) => ({ ...manifest, packs: manifest.packs.map((pack) => ({ ...pack, pieces: 1e12 })) }),
      (manifest) => ({ ...manifest, places: [{ first: 0, count: 1e12, pack: 0, index: 0 }] }),
      (manifest) => ({ ...manifest, files: manifest.files.map((file) => ({ ...file, extents: [{ at: 0, count: 1e12, piece: 0 }] })) }),
      (manifest) => ({ ...manifest, files: manifest.files.map((file) => ({ ...file, extents: [{ at: 1e12, count: 1, piece: 0 }] })) }),
      (manifest) => ({ ...manifest, files: manifest.files.map((file) => ({ ...file, bytes: 1e12 * PIECE_BYTES })) }),
      (manifest) => ({ ...manifest, files: manifest.files.map((file) => ({ ...file, bytes: POSITIONS_MAX * PIECE_BYTES })), golden: { ...manifest.golden, files: manifest.golden.files.map((file) => ({ ...file, bytes: POSITIONS_MAX * PIECE_BYTES })) } })
    ]
    for (const claim of claims) {
      const bytes = signed(claim(sound()), signer)
      const before = process.memoryUsage().arrayBuffers
      expect(() => openManifest(crypto, bytes)).toThrow('MANIFEST_INVALID')
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000)
    }
    expect(() => openManifest(crypto, new Uint8Array(MANIFEST_BYTES_MAX + 1))).toThrow('MANIFEST_INVALID')
    expect(() => openManifest(crypto, encode({ body: encode({ ...sound(), hashes: new Uint8Array((PIECES_MAX + 1) * 32) }), signature: new Uint8Array(64) }))).toThrow('MANIFEST_INVALID')
  })
})

describe('a file\'s root', () => {
  test('changes with its length, its pieces and where zeros are', () => {
    const hashes = hashesOf(4)
    const root = (bytes: number, extents: Extent[]): string => fileRoot(crypto, { bytes, extents }, hashes)
    const one = { at: 0, count: 1, piece: 0 }
    const all = [root(2 * PIECE_BYTES, [one]), root(2 * PIECE_BYTES - 1, [one]), root(PIECE_BYTES, [one]), root(2 * PIECE_BYTES, [{ ...one, at: 1 }]), root(2 * PIECE_BYTES, [{ ...one, count: 2 }]), root(2 * PIECE_BYTES, []), root(0, [])]
    expect(new Set(all).size).toBe(all.length)
    expect(root(2 * PIECE_BYTES, [{ ...one, count: 2 }])).toBe(root(2 * PIECE_BYTES, [one, { at: 1, count: 1, piece: 1 }]))
  })
})

describe('a pack\'s info dictionary', () => {
  const sha1s = new Uint8Array(Buffer.concat(Array.from({ length: 3 }, (_, i) => createHash('sha1').update(`${i}`).digest())))
  const goldenId = 'ab'.repeat(16) as GoldenId
  const info = encodeInfo(goldenId, sha1s)
  const pack = { goldenId, infoHash: createHash('sha1').update(info).digest('hex'), pieces: 3 }

  test('is bencoded with its keys in order, and named by its SHA-1', () => {
    expect(Buffer.from(info).toString('latin1')).toBe(`d6:lengthi196608e4:name37:${goldenId}.pack12:piece lengthi65536e6:pieces60:${Buffer.from(sha1s).toString('latin1')}e`)
    expect(infoHashOf(info)).toBe(pack.infoHash)
    expect(openInfo(pack, info)).toEqual(sha1s)
  })

  test('is refused when it is another\'s, cut, longer or altered', () => {
    const refused = (how: Uint8Array, of = pack): void => { expect(() => openInfo(of, how)).toThrow('MANIFEST_INVALID') }
    refused(info.subarray(0, -1))
    refused(new Uint8Array([...info, 0x65]))
    refused(info, { ...pack, pieces: 4 })
    refused(info, { ...pack, pieces: 1e12 })
    refused(info, { ...pack, goldenId: 'ba'.repeat(16) as GoldenId })
    for (let at = 0; at < info.length; at++) refused(info.map((byte, i) => i === at ? byte ^ 1 : byte))
  })
})

test('numbers come back as they were written, and only in their shortest form', () => {
  fc.assert(fc.property(fc.array(fc.maxSafeNat()), (numbers) => {
    const writer = new VarintWriter()
    for (const value of numbers) writer.add(value)
    const reader = new VarintReader(writer.finish())
    expect(numbers.map(() => reader.next())).toEqual(numbers)
    expect([reader.ended, reader.next()]).toEqual([true, undefined])
  }))
  for (const bytes of [[0x80, 0x00], [0x80], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]]) expect(new VarintReader(Uint8Array.from(bytes)).next()).toBeUndefined()
})
