/**
 * The life cycle of templates at one plant (SO-MVDS, "Template life cycle"): what it copies, gives up and disposes of, and why. Pure: what is known and the
 * (monotonic) time go in, a plan comes out. Remembers only since when each template has had too few copies or too many.
 *
 * Of one template, as this plant sees it:
 *
 *   enough --too few for the hold-off, this plant's turn--> copied --> enough
 *   enough --too many for the hold-off, beyond the target in rank, idle here for the cool-down--> given up, once as many others as the target promise to keep theirs
 *   idle everywhere for the time of disposal, unpinned, unlabelled, without children, and seen so for an hour --> disposed of
 */
import type { GoldenId, PeerId } from '../../protocols/kit/index.ts'
import { disposalHoldMs, holdOffMs, targetOf, USES_COUNTED_MAX, type LifePolicy } from './life-policy.ts'
import { hashOfPeer, ranked, rankOf } from './rendezvous.ts'

/** What a holder says of it. */
export interface HolderSaid { uses: number, kept: boolean }

/** A template as this plant knows of it. `here`: on the shelf as a copy of another's (it may be given up), or as its own (made here or imported). */
export interface TemplateLife {
  goldenId: GoldenId
  /** What a copy would take here. */
  bytes: number
  here: 'no' | 'copy' | 'own'
  /** Other holders in view. */
  others: ReadonlyMap<PeerId, HolderSaid>
  /** Uses an hour at this plant. */
  uses: number
  /** Since its last use at this plant, or since it came here, whichever is later. */
  idleHereMs: number
  /** Since its last use anywhere, or since it was made. */
  idleMs: number
  pinned: boolean
  labelled: boolean
  /** Another template that is known of is made from it. */
  derived: boolean
  /** Machines or templates here are made from it. */
  busyHere: boolean
  /** Made at this plant: it may dispose of all copies. */
  publishedHere: boolean
}

export interface LifeView {
  self: PeerId
  /** Plants in view, this one included, and what each would still take ahead of use. */
  roomBytes: ReadonlyMap<PeerId, number>
  templates: readonly TemplateLife[]
}

/** `leave`: nothing to be done; `wait`: something will be, unless others do it. */
export type LifeDeed = 'leave' | 'wait' | 'copy' | 'giveUp' | 'dispose'

export interface LifeVerdict {
  goldenId: GoldenId
  /** Uses an hour in the mesh, as far as they count. */
  meshUses: number
  holders: number
  target: number
  does: LifeDeed
  /** One sentence, for people. */
  why: string
  /** Who is asked to keep theirs before this plant gives up its own. */
  ask: PeerId[]
}

/** Where it is used so often it stays. */
const USED_PER_HOUR = 1

/** How often the next plants in rank may join in when the first do nothing: a copy of gigabytes takes longer than a hold-off. */
const STAGGER = 4

/** See the head of this file. */
export class LifeCore {
  readonly policy: LifePolicy
  /** Since when there are too few, or too many. */
  readonly #since = new Map<GoldenId, { few: boolean, sinceMs: number }>()
  /** Since when each has been due for disposal. */
  readonly #dueSinceMs = new Map<GoldenId, number>()

  constructor (policy: LifePolicy) { this.policy = policy }

  /** What to do about each; those to copy come with the ones that have the smallest share of their copies first. */
  look (nowMs: number, view: LifeView): LifeVerdict[] {
    const known = new Set(view.templates.map(({ goldenId }) => goldenId))
    for (const kept of [this.#since, this.#dueSinceMs]) for (const goldenId of kept.keys()) if (!known.has(goldenId)) kept.delete(goldenId)
    const hashes = new Map([...view.roomBytes.keys()].map((peer) => [peer, hashOfPeer(peer)]))
    const hashOf = (peer: PeerId): number => hashes.get(peer) ?? hashOfPeer(peer)
    return view.templates.map((one) => this.#verdict(nowMs, view, one, hashOf))
      .sort((a, b) => a.holders * b.target - b.holders * a.target || (a.goldenId < b.goldenId ? -1 : 1))
  }

  #verdict (nowMs: number, view: LifeView, one: TemplateLife, hashOf: (peer: PeerId) => number): LifeVerdict {
    const { goldenId, others, here } = one
    // As others count: a plant that has it no longer tells no uses of it.
    const meshUses = [...others.values()].reduce((sum, { uses }) => sum + Math.min(uses, USES_COUNTED_MAX), here === 'no' ? 0 : Math.min(one.uses, USES_COUNTED_MAX))
    const holders = others.size + Number(here !== 'no')
    const target = targetOf(meshUses, view.roomBytes.size, this.policy)
    const lastedMs = this.#lasted(nowMs, goldenId, holders < target ? true : holders > target ? false : undefined)
    const verdict = (does: LifeDeed, why: string, ask: PeerId[] = []): LifeVerdict => ({ goldenId, meshUses, holders, target, does, why, ask })
    if (this.#isOver(one)) {
      if (here === 'no') return verdict('leave', `nobody used it for ${hoursText(one.idleMs)}: it is not copied`)
      return this.#disposal(nowMs, one, verdict)
    }
    this.#dueSinceMs.delete(goldenId)
    const least = meshUses / this.policy.usesPerCopy <= this.policy.copiesMin
    const wanted = `${holders} of ${target} ${target === 1 ? 'copy' : 'copies'}${least ? '' : ` for ${Math.round(meshUses)} uses an hour`}`
    if (here === 'no') return this.#copyOrNot(view, one, { target, holders, lastedMs, wanted, verdict, hashOf })
    return this.#giveUpOrNot(view, one, { target, holders, lastedMs, wanted, verdict, hashOf })
  }

  /** Whether its time is over, wherever it is. */
  #isOver ({ idleMs, idleHereMs, pinned, labelled, derived, here, uses }: TemplateLife): boolean {
    const { disposeAfterMs } = this.policy
    return disposeAfterMs !== undefined && idleMs >= disposeAfterMs && !pinned && !labelled && !derived && (here === 'no' || (idleHereMs >= disposeAfterMs && uses < 1))
  }

  #disposal (nowMs: number, { goldenId, busyHere, idleMs }: TemplateLife, verdict: Considered['verdict']): LifeVerdict {
    const sinceMs = this.#dueSinceMs.get(goldenId) ?? nowMs
    this.#dueSinceMs.set(goldenId, sinceMs)
    if (busyHere) return verdict('leave', 'it is due for disposal, and something here is made from it')
    const unused = `nobody used, pinned or labelled it, or made anything from it, for ${hoursText(idleMs)}`
    const leftMs = disposalHoldMs(this.policy) - (nowMs - sinceMs)
    return leftMs > 0 ? verdict('wait', `${unused}; it goes if that is so for ${secondsText(leftMs)} more`) : verdict('dispose', unused)
  }

  #copyOrNot (view: LifeView, { goldenId, bytes, others }: TemplateLife, c: Considered): LifeVerdict {
    const missing = c.target - c.holders
    if (missing <= 0) return c.verdict('leave', `others have ${c.wanted}`)
    if (c.holders === 0) return c.verdict('leave', 'no plant in view has it')
    if ((view.roomBytes.get(view.self) ?? 0) < bytes) return c.verdict('leave', `others have ${c.wanted}; this plant has no room for one more ahead of use`)
    const rank = rankOf(goldenId, view.self, ableOf(view.roomBytes, bytes, others), c.hashOf)
    const turn = Math.floor(rank / missing)
    const leftMs = holdOffMs(this.policy) * (1 + STAGGER * turn) - c.lastedMs
    if (leftMs > 0) return c.verdict('wait', `others have ${c.wanted}; ${turn === 0 ? 'this plant takes one' : `${rank} other plants come first; this one takes one`} if that lasts for ${secondsText(leftMs)} more`)
    return c.verdict('copy', `others have ${c.wanted}, and it is this plant's turn to take one`)
  }

  #giveUpOrNot (view: LifeView, one: TemplateLife, c: Considered): LifeVerdict {
    const { goldenId, others, here, busyHere, idleHereMs, uses } = one
    if (here === 'own') return c.verdict('leave', `it was made or imported here; the mesh has ${c.wanted}`)
    if (c.holders <= c.target) return c.verdict('leave', `the mesh has ${c.wanted}, this one among them`)
    if (busyHere) return c.verdict('leave', 'machines or templates here are made from it')
    if (idleHereMs < this.policy.coolDownMs) return c.verdict('leave', `the mesh has ${c.wanted}, and this one came or was used within the cool-down of ${hoursText(this.policy.coolDownMs)}`)
    if (uses >= USED_PER_HOUR) return c.verdict('leave', `it is used ${Math.round(uses)} times an hour here`)
    // Those that would not be given up stand first: the others go by rank.
    const kept = [...others].filter(([, said]) => said.kept || said.uses >= USED_PER_HOUR).map(([peer]) => peer)
    const rest = ranked(goldenId, [view.self, ...others.keys()].filter((peer) => !kept.includes(peer)), c.hashOf)
    if (kept.length + rest.indexOf(view.self) < c.target) return c.verdict('leave', `the mesh has ${c.wanted}; others give up theirs`)
    const leftMs = holdOffMs(this.policy) - c.lastedMs
    if (leftMs > 0) return c.verdict('wait', `the mesh has ${c.wanted}; this one goes if that lasts for ${secondsText(leftMs)} more`)
    return c.verdict('giveUp', `the mesh has ${c.wanted}, and nobody used this one for ${hoursText(idleHereMs)}`, [...kept, ...rest.filter((peer) => peer !== view.self)])
  }

  /** How long it has had too few (true) or too many (false). */
  #lasted (nowMs: number, goldenId: GoldenId, few: boolean | undefined): number {
    if (few === undefined) {
      this.#since.delete(goldenId)
      return 0
    }
    const before = this.#since.get(goldenId)
    if (before?.few === few) return nowMs - before.sinceMs
    this.#since.set(goldenId, { few, sinceMs: nowMs })
    return 0
  }
}

interface Considered {
  target: number
  holders: number
  lastedMs: number
  /** `1 of 2 copies` */
  wanted: string
  verdict: (does: LifeDeed, why: string, ask?: PeerId[]) => LifeVerdict
  hashOf: (peer: PeerId) => number
}

/** Those that could take one. */
function * ableOf (roomBytes: ReadonlyMap<PeerId, number>, bytes: number, others: ReadonlyMap<PeerId, unknown>): Generator<PeerId> {
  for (const [peer, room] of roomBytes) if (room >= bytes && !others.has(peer)) yield peer
}

function hoursText (ms: number): string {
  if (ms < 120_000) return secondsText(ms)
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`
}

function secondsText (ms: number): string { return `${Math.max(1, Math.ceil(ms / 1_000))} s` }
