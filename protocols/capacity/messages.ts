/** Adverts and views as bytes (README.md). */
import { z } from 'zod'
import { fromString } from 'uint8arrays'
import { decode, encode } from '../kit/index.ts'
import type { PeerId } from '../kit/index.ts'
import { ADVERT_BYTES_MAX, ADVERT_CONTEXT, GOLDEN_LISTED_MAX, TEXT_CHARS_MAX } from './constants.ts'

const text = z.string().max(TEXT_CHARS_MAX)
const count = z.number().int().min(0).max(2 ** 48)

const goldenSummary = z.object({ name: text, os: text, isa: text, cpus: count, memoryMiB: count, diskMiB: count })

const plantAd = z.object({
  site: text,
  isa: text,
  accelerator: text,
  cpus: count,
  freeCpus: count,
  memoryMiB: count,
  freeMemoryMiB: count,
  diskMiB: count,
  freeDiskMiB: count,
  machines: count,
  freeMachines: count,
  freeNetworks: count,
  load: z.number().min(0).max(1e6),
  goldenMachines: z.array(goldenSummary).max(GOLDEN_LISTED_MAX),
  goldenMore: z.boolean(),
  behind: text.transform((value) => value as PeerId).exactOptional()
})

/** One golden machine as an ad names it. */
export type GoldenSummary = z.output<typeof goldenSummary>

/**
 * What a plant says of itself: CONTRACT.md, "Plant's ad", without PeerId, which is the author. `cpus`, `memoryMiB`, `diskMiB` and `machines`
 * are what it may use in all, `free…` what no lease holds; `load` is per processor. `behind` is the peer id of the gateway by which alone the plant
 * can be reached.
 */
export type PlantAd = z.output<typeof plantAd>

const peerId = z.string().min(1).max(TEXT_CHARS_MAX)
const body = z.object({ by: peerId, epoch: count, seq: count, ad: plantAd.optional(), bye: z.literal(true).optional() })
  .refine((value) => (value.ad === undefined) !== (value.bye === undefined), { message: 'either ad or bye', path: ['ad'] })
const bytes = z.instanceof(Uint8Array)
const envelope = z.object({ body: bytes, signature: bytes })
const viewAsk = z.object({ ask: z.literal('view') })
const viewPart = z.object({ adverts: z.array(z.object({ advert: bytes, ageMs: count })) })

/** An advert (`ad` set) or a goodbye, decoded and not yet verified. */
export interface Advert {
  by: PeerId
  epoch: number
  seq: number
  /** Undefined in a goodbye. */
  ad: PlantAd | undefined
}

export interface SignedAdvert { advert: Advert, signed: Uint8Array, signature: Uint8Array }

/** An advert as it is handed on: the bytes its author signed, and how long ago they were heard. */
export interface AgedAdvert { advert: Uint8Array, ageMs: number }

/** Encodes and signs an advert, or a goodbye when it has no ad. The ad must fit: see `fitAd`. */
export function encodeAdvert (advert: Advert, sign: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const inner = encode({ by: advert.by, epoch: advert.epoch, seq: advert.seq, ...(advert.ad === undefined ? { bye: true } : { ad: advert.ad }) })
  return encode({ body: inner, signature: sign(signedBytes(inner)) })
}

/** Throws PlantError MESSAGE_INVALID. The signature is the caller's to verify. */
export function decodeAdvert (message: Uint8Array): SignedAdvert {
  const outer = decode(envelope, message)
  const inner = decode(body, outer.body)
  return { advert: { by: inner.by as PeerId, epoch: inner.epoch, seq: inner.seq, ad: inner.ad }, signed: signedBytes(outer.body), signature: outer.signature }
}

/** The question for a neighbour's view as bytes. */
export function encodeViewAsk (): Uint8Array { return encode({ ask: 'view' }) }

/** Checks the question for a view; throws MESSAGE_INVALID. */
export function decodeViewAsk (message: Uint8Array): void { decode(viewAsk, message) }

/** A part of a view as bytes. */
export function encodeViewPart (adverts: AgedAdvert[]): Uint8Array { return encode({ adverts }) }

/** A part of a view from bytes; throws MESSAGE_INVALID. Each advert in it is still to be verified. */
export function decodeViewPart (message: Uint8Array): AgedAdvert[] { return decode(viewPart, message).adverts }

/** The ad with as many golden machines as an advert may carry; `goldenMore` says when some were left out. Texts are cut, figures made whole. */
export function fitAd (ad: PlantAd): PlantAd {
  const whole = (value: number): number => Math.min(2 ** 48, Math.max(0, Math.floor(Number.isFinite(value) ? value : 0)))
  const cut = (value: string): string => value.slice(0, TEXT_CHARS_MAX)
  const fitted: PlantAd = {
    site: cut(ad.site),
    isa: cut(ad.isa),
    accelerator: cut(ad.accelerator),
    cpus: whole(ad.cpus),
    freeCpus: whole(ad.freeCpus),
    memoryMiB: whole(ad.memoryMiB),
    freeMemoryMiB: whole(ad.freeMemoryMiB),
    diskMiB: whole(ad.diskMiB),
    freeDiskMiB: whole(ad.freeDiskMiB),
    machines: whole(ad.machines),
    freeMachines: whole(ad.freeMachines),
    freeNetworks: whole(ad.freeNetworks),
    load: Math.min(1e6, Math.max(0, Number.isFinite(ad.load) ? ad.load : 0)),
    goldenMachines: ad.goldenMachines.slice(0, GOLDEN_LISTED_MAX).map((golden) => ({
      name: cut(golden.name), os: cut(golden.os), isa: cut(golden.isa), cpus: whole(golden.cpus), memoryMiB: whole(golden.memoryMiB), diskMiB: whole(golden.diskMiB)
    })),
    goldenMore: ad.goldenMore || ad.goldenMachines.length > GOLDEN_LISTED_MAX,
    ...(ad.behind !== undefined && { behind: cut(ad.behind) as PeerId })
  }
  // Room for the wrapping: two maps, peer id, epoch, seq and signature come to some 250 bytes.
  while (fitted.goldenMachines.length > 0 && encode(fitted).length > ADVERT_BYTES_MAX - 512) {
    fitted.goldenMachines.pop()
    fitted.goldenMore = true
  }
  return fitted
}

/** The ad under the attribute names of CONTRACT.md, for ClassAd expressions and for people. */
export function adAttributes (peer: PeerId, ad: PlantAd): Record<string, string | number | string[]> {
  return {
    PeerId: peer,
    Site: ad.site,
    Isa: ad.isa,
    Accelerator: ad.accelerator,
    Cpus: ad.cpus,
    FreeCpus: ad.freeCpus,
    MemoryMiB: ad.memoryMiB,
    FreeMemoryMiB: ad.freeMemoryMiB,
    DiskMiB: ad.diskMiB,
    FreeDiskMiB: ad.freeDiskMiB,
    Machines: ad.machines,
    FreeMachines: ad.freeMachines,
    FreeNetworks: ad.freeNetworks,
    Load: ad.load,
    ...(ad.behind !== undefined && { Gateway: ad.behind }),
    GoldenMachines: [...new Set(ad.goldenMachines.map((golden) => golden.name))]
  }
}

function signedBytes (inner: Uint8Array): Uint8Array {
  const context = fromString(ADVERT_CONTEXT, 'ascii')
  const signed = new Uint8Array(context.length + inner.length)
  signed.set(context)
  signed.set(inner, context.length)
  return signed
}
