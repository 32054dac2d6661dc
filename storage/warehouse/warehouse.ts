/** The warehouse's port: where a plant keeps golden machines (VMPlants 3.2). Implemented in `storage/drivers/`. */
import type { Golden, GoldenFile } from '../../protocols/order/golden.ts'
import type { GoldenId } from '../../protocols/kit/index.ts'

/** A place in which a golden machine's files are made; it becomes visible only when committed, whole. */
export interface GoldenDraft {
  /** Absolute path of the directory to put files into. */
  readonly dir: string
  /** Makes the files read-only, keeps what of them the base (`from`) has not, and puts the golden machine on the shelf in one rename. */
  commit (description: Omit<Golden, 'goldenId' | 'files' | 'publisher'>, signal?: AbortSignal): Promise<Golden>
  /** Removes the draft. Drafts that a crash left are removed when the warehouse is opened. */
  discard (): Promise<void>
}

export interface Warehouse {
  list (): Golden[]
  get (id: GoldenId): Golden | undefined
  /**
   * Absolute directory of the files of a golden machine, found right or made anew from its pieces; they stay while it is pinned. Throws GOLDEN_UNKNOWN,
   * GOLDEN_CORRUPT (and takes it off the shelf), IMAGE_INCOMPLETE or DISK_FULL.
   */
  verified (id: GoldenId, signal?: AbortSignal): Promise<string>
  draft (): Promise<GoldenDraft>
  /** Takes it off the shelf; its files go once no clone uses them any more (`pin`). */
  remove (id: GoldenId): Promise<void>
  /** Holds the files for a clone; released by the returned function. Pins of adopted machines are taken anew after a restart. */
  pin (id: GoldenId): () => void
  /** Called after each change of what is on the shelf. */
  onChange (fn: () => void): () => void
}

/** The total size of a golden machine's files. */
export function bytesOf (files: GoldenFile[]): number {
  return files.reduce((sum, file) => sum + file.bytes, 0)
}
