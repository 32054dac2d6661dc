/** Which rendered files may go: they can be made again from packs, in less than a second for most. */
import type { GoldenId } from '../../protocols/kit/index.ts'

/** A golden machine whose files are rendered and that nobody has pinned. */
export interface Rendered { goldenId: GoldenId, bytes: number, usedAtMs: number }

export interface RenderedLimits { idleMs: number, bytesMax: number }

/** Those that nobody used for `idleMs`, and of the others the longest unused until what stays is within `bytesMax` (pinned bytes count, and stay). */
export function toDrop (unpinned: Rendered[], pinnedBytes: number, nowMs: number, { idleMs, bytesMax }: RenderedLimits): GoldenId[] {
  let bytes = pinnedBytes + unpinned.reduce((sum, one) => sum + one.bytes, 0)
  return unpinned.toSorted((a, b) => a.usedAtMs - b.usedAtMs).flatMap((one) => {
    if (nowMs - one.usedAtMs < idleMs && bytes <= bytesMax) return []
    bytes -= one.bytes
    return [one.goldenId]
  })
}
