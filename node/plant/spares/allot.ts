/** Which spares there may be: the room goes to those that are the likeliest to be taken. Pure. */
import type { GoldenId } from '../../../protocols/kit/index.ts'

/** What spares take, and what there is for them. */
export interface Room { memoryMiB: number, diskMiB: number, machines: number }

/** One golden machine: how many spares of it there should be and are, and what one takes. */
export interface Wish { goldenId: GoldenId, target: number, have: number, useful: readonly number[], each: Room }

/** How many of each there may be, in the order in which they should be made. A spare too many stays while one more is expected at all and nothing better needs its room: it would only be made again. */
export function allot (wishes: readonly Wish[], room: Room): Map<GoldenId, number> {
  const left = { ...room }
  const counts = new Map<GoldenId, number>()
  const candidates = wishes.flatMap((wish) => Array.from({ length: wish.target }, (_, k) => ({ wish, share: wish.useful[k] ?? 0 })))
  candidates.sort((a, b) => b.share - a.share || a.wish.each.memoryMiB - b.wish.each.memoryMiB || (a.wish.goldenId < b.wish.goldenId ? -1 : 1))
  for (const { wish } of candidates) give(wish, left, counts)
  for (const wish of wishes) if (wish.target > 0) for (let k = wish.target; k < wish.have; k++) give(wish, left, counts)
  return counts
}

/** Whether all of this is there. */
export function fits (takes: Room, room: Room): boolean {
  return takes.memoryMiB <= room.memoryMiB && takes.diskMiB <= room.diskMiB && takes.machines <= room.machines
}

function give ({ goldenId, each }: Wish, left: Room, counts: Map<GoldenId, number>): void {
  if (!fits(each, left)) return
  left.memoryMiB -= each.memoryMiB
  left.diskMiB -= each.diskMiB
  left.machines -= each.machines
  counts.set(goldenId, (counts.get(goldenId) ?? 0) + 1)
}
