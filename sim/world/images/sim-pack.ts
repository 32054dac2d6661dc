/** The port Pack of one life of a plant: what is written is checked against the manifests' digests and is on the disk when the call returns. */
import { PlantError, type Cancel, type Crypto } from '../../../protocols/kit/index.ts'
import type { Pack } from '../../../storage/warehouse/pack.ts'
import { noBits, setBit } from '../../../storage/warehouse/bits.ts'
import { never, type Life } from '../life.ts'
import type { SimHost } from '../host/host.ts'
import type { ImageDisk, PackOnDisk } from './image-disk.ts'

/** See the head of this file. */
export class SimPack implements Pack {
  readonly infoHash: string
  readonly count: number
  readonly onDisk: PackOnDisk
  readonly #disk: ImageDisk
  readonly #host: SimHost
  readonly #life: Life
  readonly #crypto: Crypto
  readonly #listeners = new Set<(index: number) => void>()

  constructor (onDisk: PackOnDisk, { disk, host, life, crypto }: { disk: ImageDisk, host: SimHost, life: Life, crypto: Crypto }) {
    this.infoHash = onDisk.ref.infoHash
    this.count = onDisk.ref.pieces
    this.onDisk = onDisk
    this.#disk = disk
    this.#host = host
    this.#life = life
    this.#crypto = crypto
  }

  has (index: number): boolean { return this.onDisk.pieces[index] !== undefined }

  bitfield (): Uint8Array {
    const bits = noBits(this.count)
    for (let i = 0; i < this.count; i++) if (this.has(i)) setBit(bits, i)
    return bits
  }

  async read (index: number): Promise<Uint8Array> { return this.piece(index) }

  /** What lies there, for the model of the swarm. */
  piece (index: number): Uint8Array {
    const piece = this.onDisk.pieces[index]
    if (piece === undefined) throw new PlantError('IMAGE_INCOMPLETE', { infoHash: this.infoHash, piece: index })
    return piece
  }

  async write (index: number, bytes: Uint8Array): Promise<boolean> {
    const digest = this.onDisk.digests[index]
    if (digest === undefined || !sameBytes(this.#crypto.sha256(bytes), digest)) return false
    return this.keep(index, bytes)
  }

  /** Puts it on the disk, whatever it is. */
  async keep (index: number, bytes: Uint8Array): Promise<boolean> {
    if (this.#life.dead) return never()
    if (this.#host.refusesWrite()) throw new PlantError('DISK_FULL', { path: `/${this.#host.name}/warehouse` })
    if (this.has(index)) return true
    this.onDisk.pieces[index] = bytes
    this.#disk.written.set(this.infoHash, (this.#disk.written.get(this.infoHash) ?? 0) + 1)
    for (const fn of this.#listeners) fn(index)
    return true
  }

  onHave (fn: (index: number) => void): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }
}

/** Byte by byte. */
export function sameBytes (a: Uint8Array, b: Uint8Array): boolean { return a.length === b.length && a.every((byte, i) => byte === b[i]) }
