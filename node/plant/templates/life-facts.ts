/** What a plant knows of its templates and the mesh's, as the life cycle looks at it. */
import type { GoldenId, PeerId } from '../../../protocols/kit/index.ts'
import type { HeldImage, Holding } from '../../../protocols/image/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import { mayRemove, type MarksView } from '../../../protocols/template/index.ts'
import type { HolderSaid, TemplateLife } from '../../../storage/templates/life.ts'

export interface LifeFactsOf {
  self: PeerId
  nowMs: number
  /** Nothing counts as longer unused than since then. */
  floorMs: number
  held: readonly HeldImage[]
  shelf: readonly Golden[]
  /** When copies were begun to be fetched. */
  copies: ReadonlyMap<GoldenId, number>
  marks: Pick<MarksView, 'of'>
  /** Live machines, by what they are made from. */
  machines: ReadonlySet<GoldenId>
  uses: (goldenId: GoldenId) => number
  lastUsedHereMs: (goldenId: GoldenId) => number | undefined
  ownBytes: (goldenId: GoldenId) => number | undefined
}

/** Of each what the core looks at, with a name for people. */
export type NamedLife = TemplateLife & { name: string, labels: number, pins: number }

/** Templates that one look takes in: those here, then others in the order in which they are held. */
export const TEMPLATES_LOOKED_AT_MAX = 8_192

/** Those here that can be offered, and those of others; removed ones are left out. */
export function lifeFacts (c: LifeFactsOf): NamedLife[] {
  const here = new Map(c.shelf.filter(({ publisher }) => publisher !== undefined).map((golden) => [golden.goldenId, golden]))
  const held = new Map<GoldenId, HeldImage['said']>(c.held.map(({ goldenId, said }) => [goldenId, said]))
  const bases = new Set<GoldenId>([...c.shelf.flatMap(({ from }) => from ?? []), ...c.held.flatMap(({ said }) => [...said.values()].flatMap(({ base }) => base ?? []))])
  const basesHere = new Set(c.shelf.flatMap(({ from }) => from ?? []))
  const ids = [...new Set([...here.keys(), ...held.keys()])].slice(0, TEMPLATES_LOOKED_AT_MAX)
  return ids.flatMap((goldenId) => lifeOf(c, goldenId, here.get(goldenId), held.get(goldenId) ?? new Map<PeerId, Holding>(), { bases, basesHere }) ?? [])
}

function lifeOf (c: LifeFactsOf, goldenId: GoldenId, golden: Golden | undefined, said: HeldImage['said'], { bases, basesHere }: { bases: Set<GoldenId>, basesHere: Set<GoldenId> }): NamedLife | undefined {
  const others = [...said].filter(([peer]) => peer !== c.self)
  const [first] = others.map(([, holding]) => holding)
  if (golden === undefined && first === undefined) return undefined
  const marks = [...c.marks.of(goldenId)]
  const owner = golden ?? { ...(first?.publisher !== undefined && { publisher: first.publisher }), ...(first?.domainKey !== undefined && { publishedBy: { domainKey: first.domainKey } }) }
  if (marks.some((mark) => mark.kind === 'removed' && mayRemove(owner, mark.by))) return undefined
  const usedHereMs = c.lastUsedHereMs(goldenId)
  const copiedMs = c.copies.get(goldenId)
  // Nobody's clock counts beyond this plant's own; what was never used is told with the time of its making.
  const usedMs = Math.max(usedHereMs ?? 0, golden?.createdAtMs ?? 0, ...others.map(([, { usedS }]) => usedS * 1_000))
  const idle = (sinceMs: number): number => Math.max(0, c.nowMs - Math.max(sinceMs, c.floorMs))
  const shipped = first === undefined ? 0 : first.base !== undefined && c.shelf.some((one) => one.goldenId === first.base) ? first.ownBytes : first.totalBytes
  return {
    goldenId,
    name: golden?.name ?? first?.name ?? '',
    bytes: golden === undefined ? shipped : c.ownBytes(goldenId) ?? 0,
    here: golden === undefined ? 'no' : copiedMs === undefined || golden.publisher as string === c.self ? 'own' : 'copy',
    others: new Map(others.map(([peer, { uses = 0, kept = false }]): [PeerId, HolderSaid] => [peer, { uses, kept }])),
    uses: c.uses(goldenId),
    idleHereMs: idle(Math.max(usedHereMs ?? 0, copiedMs ?? golden?.createdAtMs ?? 0)),
    idleMs: idle(usedMs),
    pins: marks.filter(({ kind }) => kind === 'pin').length,
    labels: marks.filter(({ kind }) => kind === 'label').length,
    pinned: marks.some(({ kind }) => kind === 'pin'),
    labelled: marks.some(({ kind }) => kind === 'label'),
    derived: bases.has(goldenId),
    busyHere: c.machines.has(goldenId) || basesHere.has(goldenId),
    publishedHere: golden !== undefined && golden.publisher as string === c.self
  }
}
