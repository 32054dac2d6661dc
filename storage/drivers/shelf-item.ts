/** A golden machine in the warehouse's directory, and what is known of its files. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Golden } from '../../protocols/order/golden.ts'
import { FILES_DIR } from './build-image.ts'
import type { ShelfImage } from './shelf-image.ts'

/** `there`: only what is rendered already, so that a start renders nothing that no order asks for. `arrived`: files whose pieces are all here. */
export type Scope = 'all' | 'there' | 'arrived'

/** In the directory of a golden machine that is not on the shelf: says why. */
export const MARK_FILE = 'off-shelf'
/** Clones still use what was removed or found altered; what is incoming lacks pieces. */
export type OffShelf = 'removed' | 'corrupt' | 'incoming'

export interface Item {
  golden: Golden
  dir: string
  pins: number
  off?: OffShelf
  /** Signature of each file when it was last found right. */
  sound: Map<string, string>
  /** A verification under way, for all who wait for it; aborted when nobody does. */
  checking?: Checking
  /** Its rendered files are being taken away; whoever wants them waits, and has them made again. */
  dropping?: Promise<void>
  /** Undefined for what earlier versions kept: files with SHA-256, which lie right in `dir`. */
  image?: ShelfImage
  /** When its rendered files were last asked for, or unpinned. */
  usedAtMs: number
}

export interface Checking { done: Promise<void>, scope: Scope, waiting: number, stop: AbortController }

/** Where its files are, or will be once rendered. */
export function filesDirOf (item: Item): string { return item.image === undefined ? item.dir : join(item.dir, FILES_DIR) }

/** Room that its rendered files take; 0 when there are none, or when they cannot be dropped. */
export async function renderedBytes (item: Item): Promise<number> {
  if (item.image === undefined) return 0
  const blocks = await Promise.all(item.golden.files.map(async ({ name }) => stat(join(filesDirOf(item), name)).then(({ blocks }) => blocks, () => 0))) // Not rendered.
  return blocks.reduce((sum, count) => sum + count, 0) * 512
}
