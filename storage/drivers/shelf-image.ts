/** An image on the shelf or on its way: its manifest, the packs it takes pieces of, and how many of those are still to come. */
import { PlantError, type Cancel, type GoldenId } from '../../protocols/kit/index.ts'
import { hashOf, type Manifest, type PackRef } from '../../protocols/image/index.ts'
import { allBits, countBits, hasBit, noBits, setBit } from '../warehouse/bits.ts'
import type { Incoming, WantedPack } from '../warehouse/image-store.ts'
import type { FsPack } from './fs-pack.ts'
import type { PackShelf } from './pack-shelf.ts'

/** One of its packs, by its number in the manifest. */
export interface ImagePack extends WantedPack { pack: FsPack, number: number }

/** Made by `attachImage`; `close` ends its listening. */
export class ShelfImage implements Incoming {
  readonly goldenId: GoldenId
  readonly manifest: Manifest
  readonly packs: ImagePack[]
  #done = settling()
  #arrived = false
  readonly #missing: Map<FsPack, number>
  readonly #cancels: Cancel[]

  constructor (manifest: Manifest, packs: Array<{ number: number, pack: FsPack, needed: Uint8Array }>, onWhole: (image: ShelfImage) => void) {
    this.goldenId = manifest.golden.goldenId
    this.manifest = manifest
    this.#missing = new Map(packs.map(({ pack, needed }) => [pack, missingOf(needed, pack)]))
    this.packs = packs.map(({ number, pack, needed }) => ({ number, pack, needed, goldenId: pack.ref.goldenId, missing: () => this.#missing.get(pack) ?? 0 }))
    this.#cancels = this.packs.map(({ pack, needed }) => pack.onHave((index) => {
      if (!hasBit(needed, index)) return
      this.#missing.set(pack, (this.#missing.get(pack) ?? 0) - 1)
      if (this.missing() === 0) onWhole(this)
    }))
  }

  get complete (): Promise<void> { return this.#done.promise }

  missing (): number { return [...this.#missing.values()].reduce((sum, count) => sum + count, 0) }

  /** A piece of a pack was found altered; whether this image needs it. */
  lost (pack: FsPack, index: number): boolean {
    const of = this.packs.find((one) => one.pack === pack)
    if (of === undefined || !hasBit(of.needed, index)) return false
    this.#missing.set(pack, (this.#missing.get(pack) ?? 0) + 1)
    if (this.#arrived) this.#done = settling()
    this.#arrived = false
    return true
  }

  /** Whether the packs' own manifests, and other images, say the same of its pieces. */
  agrees (): boolean {
    const packs = new Map(this.packs.map(({ pack }) => [pack.infoHash, pack]))
    return agreeing(this.manifest, (infoHash) => packs.get(infoHash))
  }

  /** Says again what it says of a pack. */
  sayAgain (pack: FsPack): void {
    const number = this.packs.find((one) => one.pack === pack)?.number
    for (const { first, count, pack: of, index } of number === undefined ? [] : this.manifest.places) {
      for (let i = 0; of === number && i < count; i++) pack.said(index + i, hashOf(this.manifest, first + i))
    }
  }

  /** Makes all that came durable. */
  async flush (): Promise<void> { for (const { pack } of this.packs) await pack.flush() }

  /** It is on the shelf. */
  arrived (): void {
    this.#arrived = true
    this.#done.resolve()
  }

  /** It goes, or the warehouse closes. */
  close (): void {
    for (const cancel of this.#cancels) cancel()
    this.#done.reject(new PlantError('GOLDEN_UNKNOWN', { goldenId: this.goldenId, problem: 'it was removed, or the plant stops' }))
  }
}

/** Whether what is known of packs - whose they are, how long, what their pieces are - agrees with what a manifest says of them. */
export function agreeing (manifest: Manifest, packOf: (infoHash: string) => FsPack | undefined): boolean {
  const packs = manifest.packs.map((ref, number) => ({ ref, there: number === 0 ? undefined : packOf(ref.infoHash) }))
  if (!packs.every(({ ref, there }) => there === undefined || isSame(ref, there.ref))) return false
  return manifest.places.every(({ first, count, pack, index }) => {
    const there = packs[pack]?.there
    if (there === undefined) return true
    for (let i = 0; i < count; i++) if (!there.agrees(index + i, hashOf(manifest, first + i))) return false
    return true
  })
}

/** Whether two say the same of a pack. The info hash binds what its own manifest says; what others say of it may be a lie. */
export function isSame (a: PackRef, b: PackRef): boolean { return a.infoHash === b.infoHash && a.goldenId === b.goldenId && a.pieces === b.pieces }

/**
 * Opens or makes the packs of an image, tells them its digests, and finds what is here of it already. `disputed`: others had said something else of
 * its own pack.
 */
export async function attachImage (manifest: Manifest, shelf: PackShelf, onWhole: (image: ShelfImage) => void): Promise<{ image: ShelfImage, disputed: boolean }> {
  const packs: Array<{ number: number, pack: FsPack, needed: Uint8Array }> = []
  let disputed = false
  for (const [number, ref] of manifest.packs.entries()) {
    if (ref.pieces === 0) continue
    const pack = await shelf.ensure(ref)
    packs.push({ number, pack, needed: number === 0 ? allBits(ref.pieces) : noBits(ref.pieces) })
    if (number === 0) disputed = pack.owned(manifest.hashes)
  }
  const byNumber = new Map(packs.map((one) => [one.number, one]))
  for (const { first, count, pack: number, index } of manifest.places) {
    const of = number === 0 ? undefined : byNumber.get(number)
    for (let i = 0; of !== undefined && i < count; i++) {
      setBit(of.needed, index + i)
      of.pack.said(index + i, hashOf(manifest, first + i))
    }
  }
  return { image: new ShelfImage(manifest, packs, onWhole), disputed }
}

function settling (): PromiseWithResolvers<void> {
  const settling = Promise.withResolvers<void>()
  settling.promise.catch(() => {}) // Who waits for it hears.
  return settling
}

function missingOf (needed: Uint8Array, pack: FsPack): number {
  const have = pack.bitfield()
  return countBits(needed.map((byte, i) => byte & ~(have[i] ?? 0)))
}
