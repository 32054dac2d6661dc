/** Reads from an image by its packs: zeros cost nothing, and what is missing is fetched first. */
import { PlantError } from '../../protocols/kit/index.ts'
import { PIECE_BYTES, pieceAt, placeOf, type ImageFile, type Manifest } from '../../protocols/image/index.ts'
import type { FetchPiece, LazyImage } from '../warehouse/image-store.ts'
import type { Pack } from '../warehouse/pack.ts'
import type { ShelfImage } from './shelf-image.ts'
import { LAZY_READ_BYTES_MAX } from './warehouse-limits.ts'

type Piece = ReturnType<LazyImage['pieces']>[number]

/** Over an image that the caller holds until `onClose`. */
export class FsLazyImage implements LazyImage {
  readonly manifest: Manifest
  readonly #image: ShelfImage
  readonly #files: Map<string, ImageFile>
  readonly #packs: Map<number, { pack: Pack, goldenId: Piece['goldenId'] }>
  readonly #onClose: () => void

  constructor (image: ShelfImage, onClose: () => void) {
    this.#image = image
    this.manifest = image.manifest
    this.#files = new Map(image.manifest.files.map((file) => [file.name, file]))
    this.#packs = new Map(image.packs.map(({ number, pack, goldenId }) => [number, { pack, goldenId }]))
    this.#onClose = onClose
  }

  async read (name: string, offset: number, length: number, fetch: FetchPiece, signal?: AbortSignal): Promise<Uint8Array> {
    if (length > LAZY_READ_BYTES_MAX) throw new PlantError('LIMIT', { bound: 'LAZY_READ_BYTES_MAX', bytes: length, max: LAZY_READ_BYTES_MAX })
    const file = this.#file(name)
    const end = Math.min(offset + length, file.bytes)
    const bytes = new Uint8Array(Math.max(0, end - offset))
    await Promise.all(this.#positions(file, offset, end).map(async (position) => {
      const piece = this.#piece(file, position)
      if (piece === undefined) return
      const content = await this.#content(piece, fetch, signal)
      const from = position * PIECE_BYTES
      bytes.set(content.subarray(Math.max(0, offset - from), Math.min(PIECE_BYTES, end - from)), Math.max(0, from - offset))
    }))
    return bytes
  }

  pieces (name: string, offset: number, length: number): Piece[] {
    const file = this.#file(name)
    return this.#positions(file, offset, Math.min(offset + length, file.bytes)).flatMap((position) => this.#piece(file, position) ?? [])
  }

  close (): void { this.#onClose() }

  async #content (piece: Piece, fetch: FetchPiece, signal?: AbortSignal): Promise<Uint8Array> {
    if (piece.pack.has(piece.index)) {
      try {
        return await piece.pack.read(piece.index, signal)
      } catch (error) {
        // Altered: missing from now on, so fetched like what never came.
        if (!(error instanceof PlantError) || error.code !== 'GOLDEN_CORRUPT') throw error
      }
    }
    await fetch(piece, signal)
    return piece.pack.read(piece.index, signal)
  }

  #file (name: string): ImageFile {
    const file = this.#files.get(name)
    if (file === undefined) throw new PlantError('GOLDEN_UNKNOWN', { goldenId: this.#image.goldenId, file: name })
    return file
  }

  #positions (file: ImageFile, offset: number, end: number): number[] {
    if (offset < 0 || end <= offset || offset >= file.bytes) return []
    const first = Math.floor(offset / PIECE_BYTES)
    return Array.from({ length: Math.ceil(end / PIECE_BYTES) - first }, (_, i) => first + i)
  }

  #piece (file: ImageFile, position: number): Piece | undefined {
    const piece = pieceAt(file, position)
    if (piece === undefined) return undefined
    const { pack, index } = placeOf(this.manifest, piece)
    const of = this.#packs.get(pack)
    return of === undefined ? undefined : { ...of, index }
  }
}
