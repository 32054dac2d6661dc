/** The warehouse's port: where a plant keeps golden machines (VMPlants 3.2). Implemented in `storage/drivers/`. */
import type { Golden, GoldenFile } from '../../protocols/order/golden.ts'
import type { GoldenId } from '../../protocols/kit/index.ts'

/** A place in which a golden machine's files are made; it becomes visible only when committed, whole. */
export interface GoldenDraft {
  /** Absolute path of the directory to put files into. */
  readonly dir: string
  /** Hashes the files, makes them read-only and durable, and puts the golden machine on the shelf in one rename. */
  commit (description: Omit<Golden, 'goldenId' | 'files'>, signal?: AbortSignal): Promise<Golden>
  /** Removes the draft. Drafts that a crash left are removed when the warehouse is opened. */
  discard (): Promise<void>
}

export interface Warehouse {
  list (): Golden[]
  get (id: GoldenId): Golden | undefined
  /** Absolute directory of a golden machine that passed verification; throws GOLDEN_UNKNOWN or GOLDEN_CORRUPT (and takes it off the shelf). */
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
