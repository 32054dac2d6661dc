import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { adAttributes } from '../../protocols/capacity/index.ts'
import { decodeAdvert, decodeViewAsk, decodeViewPart, encodeAdvert, encodeViewAsk, encodeViewPart } from '../../protocols/capacity/messages.ts'
import type { PlantAd } from '../../protocols/capacity/index.ts'
import { PlantError, encode, toHex } from '../../protocols/kit/index.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { adOf } from '../support/capacity.ts'

const by = '12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf' as PeerId
const noSignature = (): Uint8Array => new Uint8Array(64)

test('an advert and a goodbye have these bytes', () => {
  expect(toHex(encodeAdvert({ by, epoch: 1, seq: 2, ad: undefined }, noSignature))).toMatchInlineSnapshot(`"a264626f6479584ba46262797834313244334b6f6f57477a787a4b5a597665485874704736417372554a4263577848424653324873456f475478724d4c764b58746663627965f563736571026565706f636801697369676e6174757265584000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"`)
  expect(toHex(encodeAdvert({ by, epoch: 1, seq: 2, ad: adOf() }, noSignature))).toMatchInlineSnapshot(`"a264626f647959013da4626164af63697361667838365f3634646370757304646c6f61640064736974656468657265676469736b4d6942194e2068667265654370757304686d616368696e65731820696d656d6f72794d69421910006a676f6c64656e4d6f7265f46b616363656c657261746f72637463676b667265654469736b4d6942194e206c667265654d616368696e657318206c667265654e6574776f726b73046d667265654d656d6f72794d69421910006e676f6c64656e4d616368696e657381a6626f736474696e7963697361667838365f3634646370757301646e616d656474696e79676469736b4d6942190200696d656d6f72794d69421901006262797834313244334b6f6f57477a787a4b5a597665485874704736417372554a4263577848424653324873456f475478724d4c764b58746663736571026565706f636801697369676e6174757265584000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"`)
  expect(toHex(encodeViewAsk())).toMatchInlineSnapshot(`"a16361736b6476696577"`)
  expect(toHex(encodeViewPart([{ advert: Uint8Array.of(1), ageMs: 300 }]))).toMatchInlineSnapshot(`"a1676164766572747381a2656167654d7319012c666164766572744101"`)
})

const count = fc.integer({ min: 0, max: 2 ** 40 })
const text = fc.string({ maxLength: 128 })
const ads: fc.Arbitrary<PlantAd> = fc.record({
  site: text, isa: text, accelerator: text, cpus: count, freeCpus: count, memoryMiB: count, freeMemoryMiB: count, diskMiB: count, freeDiskMiB: count, machines: count,
  freeMachines: count, freeNetworks: count, load: fc.double({ min: 0, max: 1e6, noNaN: true }).map((load) => load + 0), goldenMore: fc.boolean(),
  goldenMachines: fc.array(fc.record({ name: text, os: text, isa: text, cpus: count, memoryMiB: count, diskMiB: count }), { maxLength: 32 })
})

test('an advert comes back as it went', () => {
  fc.assert(fc.property(ads, count, count, (ad, epoch, seq) => {
    expect(decodeAdvert(encodeAdvert({ by, epoch, seq, ad }, noSignature)).advert).toEqual({ by, epoch, seq, ad })
  }))
  fc.assert(fc.property(fc.array(fc.record({ advert: fc.uint8Array({ maxLength: 50 }), ageMs: count }), { maxLength: 20 }), (adverts) => {
    const back = decodeViewPart(encodeViewPart(adverts))
    expect(back.map((part) => [toHex(part.advert), part.ageMs])).toEqual(adverts.map((part) => [toHex(part.advert), part.ageMs]))
  }))
})

test('broken bytes give a PlantError or a sound message, never anything else', () => {
  const sound = encodeAdvert({ by, epoch: 1, seq: 2, ad: adOf() }, noSignature)
  const broken = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.tuple(fc.nat(sound.length - 1), fc.nat(255)).map(([at, value]) => Uint8Array.from(sound, (byte, i) => i === at ? value : byte)),
    fc.nat(sound.length).map((length) => sound.slice(0, length))
  )
  fc.assert(fc.property(broken, (bytes) => {
    for (const decodeOne of [decodeAdvert, decodeViewAsk, decodeViewPart]) {
      try {
        decodeOne(bytes)
      } catch (error) {
        expect(error).toBeInstanceOf(PlantError)
      }
    }
  }))
})

test('unknown fields are tolerated, wrong types are not', () => {
  const wrap = (inner: unknown): Uint8Array => encode({ body: encode(inner), signature: new Uint8Array(64), news: 1 })
  expect(decodeAdvert(wrap({ by, epoch: 1, seq: 1, ad: { ...adOf(), gpus: 2 }, later: true })).advert.ad).toEqual(adOf())
  for (const inner of [{ by, epoch: 1, seq: 1 }, { by, epoch: 1, seq: 1, ad: adOf(), bye: true }, { by, epoch: '1', seq: 1, bye: true }, { by, epoch: 1, seq: -1, bye: true },
    { by, epoch: 1, seq: 1, ad: { ...adOf(), cpus: 'many' } }, { by, epoch: 1, seq: 1, ad: { ...adOf(), load: -1 } }, 7, null]) {
    expect(() => decodeAdvert(wrap(inner))).toThrow(expect.objectContaining({ code: 'MESSAGE_INVALID' }))
  }
})

test('the attributes are those of the plant\'s ad in the orders\' language', () => {
  expect(adAttributes(by, adOf())).toEqual({
    PeerId: by, Site: 'here', Isa: 'x86_64', Accelerator: 'tcg', Cpus: 4, FreeCpus: 4, MemoryMiB: 4096, FreeMemoryMiB: 4096, DiskMiB: 20_000, FreeDiskMiB: 20_000,
    Machines: 32, FreeMachines: 32, FreeNetworks: 4, Load: 0, GoldenMachines: ['tiny']
  })
})
