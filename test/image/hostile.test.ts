/** What a plant may send that is small on the wire and large, or long, in memory: refused before it costs either. */
import { describe, expect, test } from 'vitest'
import { hasItemsAtMost } from '../../protocols/image/cbor-items.ts'
import { signedBytes } from '../../protocols/image/codec.ts'
import { MANIFEST_ITEMS_MAX, RUNS_MAX } from '../../protocols/image/constants.ts'
import { DESCRIPTION_SENT_ITEMS_MAX } from '../../protocols/image/holdings-limits.ts'
import { decodeDescribed, encodeDescribed } from '../../protocols/image/holdings-messages.ts'
import { Assembly, PIECE_BYTES, openManifest, type ImageTell, type Manifest } from '../../protocols/image/index.ts'
import { VarintWriter } from '../../protocols/image/varints.ts'
import { encode, type ActionDigest } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { crypto, filled, manifestOf, publisher } from './support.ts'

const signer = publisher()
const sound = manifestOf({ own: 5, files: [filled(5)] }, signer)

/** Signed by its publisher, as no honest one would write it. */
function signedBody (body: unknown): Uint8Array {
  const bytes = body instanceof Uint8Array ? body : encode(body)
  return encode({ body: bytes, signature: signer.sign(signedBytes(crypto, bytes)) })
}

function bodyOf (manifest: Manifest, change: Record<string, unknown>): Record<string, unknown> {
  return { ...manifest, places: triples(1, [5, 0, 0]), files: manifest.files.map(({ name, bytes }) => ({ name, bytes, extents: triples(1, [0, 5, 0]) })), ...change }
}

function triples (count: number, numbers: [number, number, number]): Uint8Array {
  const out = new VarintWriter()
  for (let i = 0; i < count; i++) for (const number of numbers) out.add(number)
  return out.finish()
}

function withOutputs (count: number): Golden {
  const outputs = Object.fromEntries(Array.from({ length: count }, (_, i) => [`o${i}`, '']))
  return manifestOf({ own: 5, files: [filled(5)] }, signer, { actionsDone: [{ digest: 'a'.repeat(64) as ActionDigest, id: 'x', outputs }] }).golden
}

describe('a manifest', () => {
  test('of few values is taken apart', () => { expect(openManifest(crypto, signedBody(bodyOf(sound, {})))).toEqual(sound) })

  test('is refused by its extents when each file has as many as fit, before they are in memory', () => {
    const extents = triples(RUNS_MAX / 2, [0, 1, 0])
    const files = Array.from({ length: 3 }, (_, i) => ({ name: `disk${i}`, bytes: RUNS_MAX / 2 * PIECE_BYTES, extents }))
    expect(() => openManifest(crypto, signedBody(bodyOf(sound, { files })))).toThrow(expect.objectContaining({ details: { problem: 'too many extents and places', max: RUNS_MAX } }))
  })

  test('is refused by its values before they are decoded', () => {
    const tooMany = expect.objectContaining({ details: { problem: 'too many values', max: MANIFEST_ITEMS_MAX } })
    const array = new Uint8Array(MANIFEST_ITEMS_MAX + 5)
    array.set([0x9a, 0, 2, 0, 0])
    expect(() => openManifest(crypto, signedBody(array))).toThrow(tooMany)
    expect(() => openManifest(crypto, array)).toThrow(tooMany)
    expect(() => openManifest(crypto, signedBody(bodyOf(sound, { golden: withOutputs(MANIFEST_ITEMS_MAX / 2) })))).toThrow(tooMany)
  })
})

test('values are counted as they are decoded, and what is no CBOR is left to the decoder', () => {
  const value = { a: [1, 300, 70_000, 2 ** 40, -5, 1.5, true, null], b: { c: new Uint8Array(70_000), d: 'x'.repeat(300) } }
  const items = 17
  expect([hasItemsAtMost(encode(value), items), hasItemsAtMost(encode(value), items - 1)]).toEqual([true, false])
  for (const broken of [[], [0x1c], [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], [0x9b, 1], [0x7f]]) expect(hasItemsAtMost(Uint8Array.from(broken), 3)).toBe(true)
})

test('a description of many values is not sent, and not taken apart when it comes', () => {
  const [few, many] = [withOutputs(100), withOutputs(DESCRIPTION_SENT_ITEMS_MAX / 2)]
  expect(decodeDescribed(encodeDescribed(few.goldenId, few)).golden).toEqual(few)
  expect(decodeDescribed(encodeDescribed(many.goldenId, many)).golden).toBeUndefined()
  expect(() => decodeDescribed(encode({ goldenId: many.goldenId, description: encode(many) }))).toThrow('MESSAGE_INVALID')
})

test('an answer in parts of a byte each is given up at the first', () => {
  const head: ImageTell = { t: 0, manifestBytes: 2 ** 20, infoBytes: 10 }
  const slow = new Assembly()
  slow.take(head)
  expect(() => slow.take({ t: 1, bytes: new Uint8Array(1) })).toThrow('MESSAGE_INVALID')
  const prompt = new Assembly()
  prompt.take(head)
  expect([prompt.take({ t: 1, bytes: new Uint8Array(2 ** 20) }), prompt.take({ t: 1, bytes: new Uint8Array(10) })]).toEqual([false, true])
})
