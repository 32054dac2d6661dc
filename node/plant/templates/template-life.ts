/**
 * The life cycle of templates at one plant: looks again and again, and does what the core (`storage/templates/life.ts`) says. One copy comes at a time and gives way to
 * what orders wait for; a copy goes only when as many others as there are to be have promised to keep theirs.
 */
import { asPlantError, type Cancel, type Clock, type GoldenId, type Log, type PeerId, type Random } from '../../../protocols/kit/index.ts'
import { KEPT_ASKED_MAX, KEPT_MS } from '../../../protocols/image/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { MarksView } from '../../../protocols/template/index.ts'
import type { Records } from '../../../storage/records/records.ts'
import { LifeCore, type LifeVerdict } from '../../../storage/templates/life.ts'
import { DISK_KEPT_FREE_BYTES, lookEveryMs, type LifePolicy } from '../../../storage/templates/life-policy.ts'
import { UseRates } from '../../../storage/templates/use-rate.ts'
import type { Warehouse } from '../../../storage/warehouse/warehouse.ts'
import type { HoldingsTelling, MeshGoldens } from '../images/mesh-goldens.ts'
import { LIVE_STATES } from '../instance.ts'
import type { SpareView } from '../spares/stock.ts'
import { lifeFacts, type NamedLife } from './life-facts.ts'
import type { TemplateDesk } from './template-desk.ts'

export interface TemplateLifeComponents {
  self: PeerId
  clock: Clock
  random: Random
  log: Log
  warehouse: Pick<Warehouse, 'list' | 'remove'>
  records: Pick<Records, 'machines' | 'copies' | 'noteCopy' | 'dropCopy'>
  marks: Pick<MarksView, 'of'>
  templates: Pick<TemplateDesk, 'lastUsedHereMs' | 'dispose'>
  images: Pick<MeshGoldens, 'held' | 'told' | 'keptBy' | 'fetchAhead' | 'ownBytes' | 'incoming' | 'tell' | 'hasRoom'>
  /** Other plants in view. */
  peers: () => PeerId[]
  /** Machines of it that are made before they are ordered; absent where none are. */
  spares?: (goldenId: GoldenId) => SpareView | undefined
}

/** Of one template: how it is used, what it has, and what this plant does about it. JSON-safe. */
export interface TemplateWhy {
  goldenId: GoldenId
  name: string
  here: 'no' | 'copy' | 'own'
  usesHere: number
  usesMesh: number
  holders: number
  target: number
  pins: number
  labels: number
  does: LifeVerdict['does']
  why: string
  /** Wall clock of the look. */
  lookedAtMs: number
  spares?: SpareView
}

/** A note of a copy that never came is dropped after this. */
const NOTE_LIFE_MS = 3_600_000
/** A wall clock that runs so far away from the monotonic one between two looks has been set. */
const CLOCK_STEP_MS = 60_000
/** Each pause between looks is drawn within this share of it, so that plants do not look at once. */
const JITTER_SHARE = 0.25
/** What failed is not tried again for so many looks. */
const PAUSE_LOOKS = 20

/** See the head of this file. */
export class TemplateLife implements HoldingsTelling {
  readonly policy: LifePolicy
  readonly #c: TemplateLifeComponents
  readonly #core: LifeCore
  readonly #rates = new UseRates()
  readonly #stop = new AbortController()
  /** Until when (monotonic) what was promised to others stays. */
  readonly #promisedMs = new Map<GoldenId, number>()
  /** Being given up: promised to nobody meanwhile. */
  readonly #going = new Set<GoldenId>()
  /** What failed, or was taken off by hand, until when it is left alone. */
  readonly #pausedMs = new Map<GoldenId, { untilMs: number, why: string }>()
  #copies: Map<GoldenId, number>
  #shelf = new Set<GoldenId>()
  #looked: { atMs: number, of: Map<GoldenId, TemplateWhy> } = { atMs: 0, of: new Map() }
  #clocks: { wallMs: number, monoMs: number } | undefined
  #floorMs = 0
  #copying: Promise<void> | undefined
  #cancelLook: Cancel = () => {}

  constructor (components: TemplateLifeComponents, policy: LifePolicy) {
    this.#c = components
    this.policy = policy
    this.#core = new LifeCore(policy)
    this.#copies = new Map(components.records.copies().map(({ goldenId, atMs }) => [goldenId, atMs]))
  }

  start (): void { this.#later() }

  async stop (): Promise<void> {
    this.#stop.abort(new Error('the plant stops'))
    this.#cancelLook()
    await this.#copying
  }

  /** A machine is made from it. */
  used (goldenId: GoldenId): void { this.#rates.note(goldenId, this.#c.clock.monotonicMs()) }

  /** It is about to be fetched: a copy from now on. That this cannot be written down keeps nobody from fetching; it only stays for good then. */
  onBegin (goldenId: GoldenId): void {
    const atMs = this.#c.clock.nowMs()
    try {
      this.#c.records.noteCopy(goldenId, atMs)
      this.#copies.set(goldenId, atMs)
    } catch (error) {
      this.#c.log.warn({ goldenId, code: asPlantError(error).code }, 'that a golden machine is a copy could not be written down')
    }
  }

  /** Promises to keep it for a while; false when it is about to go. */
  keeps (golden: Golden): boolean {
    if (this.#going.has(golden.goldenId)) return false
    this.#promisedMs.set(golden.goldenId, this.#c.clock.monotonicMs() + KEPT_MS)
    return true
  }

  uses (goldenId: GoldenId): number { return this.#rates.of(goldenId, this.#c.clock.monotonicMs()) }

  kept (): (golden: Golden) => boolean {
    const inUse = new Set<GoldenId>([...this.#machines(), ...this.#c.warehouse.list().flatMap(({ from }) => from ?? [])])
    return ({ goldenId, publisher }) => !this.#copies.has(goldenId) || publisher as string === this.#c.self || inUse.has(goldenId)
  }

  /** What the plant would still take ahead of use. */
  roomBytes (): number {
    if (!this.#c.images.hasRoom(DISK_KEPT_FREE_BYTES)) return 0
    let bytes = this.policy.copyBytesMax
    for (const { goldenId } of this.#c.warehouse.list()) if (this.#copies.has(goldenId)) bytes -= this.#c.images.ownBytes(goldenId) ?? 0
    return Math.max(0, bytes)
  }

  /** As of the last look; without an id, of all. */
  why (goldenIds?: readonly GoldenId[]): { lookedAtMs: number, roomBytes: number, policy: LifePolicy, templates: TemplateWhy[] } {
    const all = [...this.#looked.of.values()].filter(({ goldenId }) => goldenIds === undefined || goldenIds.includes(goldenId))
    return {
      lookedAtMs: this.#looked.atMs,
      roomBytes: this.roomBytes(),
      policy: this.policy,
      templates: all.map((one) => {
        const spares = this.#c.spares?.(one.goldenId)
        return { ...one, ...(spares !== undefined && { spares }) }
      })
    }
  }

  #later (): void {
    const jitter = 1 + JITTER_SHARE * (this.#c.random.int(2_001) / 1_000 - 1)
    this.#cancelLook = this.#c.clock.after(lookEveryMs(this.policy) * jitter, () => {
      this.#look().catch((error: unknown) => { this.#c.log.warn({ code: asPlantError(error).code, error: String(error) }, 'templates could not be looked at; tried again') }).finally(() => { if (!this.#stop.signal.aborted) this.#later() })
    })
  }

  async #look (): Promise<void> {
    const { clock, images, self } = this.#c
    const nowMs = clock.monotonicMs()
    this.#readClocks(nowMs)
    this.#tidy(nowMs)
    const facts = this.#facts()
    const ownRoom = this.roomBytes()
    const roomBytes = new Map<PeerId, number>([[self, ownRoom], ...this.#c.peers().map((peer): [PeerId, number] => {
      const told = images.told(peer)
      // Who holds more than it tells may hold this, too.
      return [peer, told === undefined || told.more ? 0 : told.roomMiB * 2 ** 20]
    })])
    const verdicts = this.#core.look(nowMs, { self, roomBytes, templates: facts })
    this.#keepWhy(facts, verdicts, nowMs)
    const able = verdicts.filter(({ goldenId }) => !this.#pausedMs.has(goldenId))
    const bytesOf = new Map(facts.map(({ goldenId, bytes }) => [goldenId, bytes]))
    // The files that machines run from come beside the pieces.
    this.#copy(able.filter(({ does, goldenId }) => does === 'copy' && images.hasRoom(DISK_KEPT_FREE_BYTES + 2 * (bytesOf.get(goldenId) ?? 0))))
    for (const verdict of able.filter(({ does }) => does === 'giveUp')) await this.#giveUp(verdict)
    const due = new Set(able.flatMap(({ goldenId, does }) => does === 'dispose' ? goldenId : []))
    for (const one of facts) if (due.has(one.goldenId)) await this.#dispose(one)
    images.tell()
  }

  #facts (): NamedLife[] {
    const { clock, warehouse, images, marks, templates, self } = this.#c
    return lifeFacts({
      self, marks, nowMs: clock.nowMs(), floorMs: this.#floorMs, held: images.held(), shelf: warehouse.list(), copies: this.#copies,
      machines: this.#machines(),
      uses: (goldenId) => this.uses(goldenId),
      lastUsedHereMs: (goldenId) => templates.lastUsedHereMs(goldenId),
      ownBytes: (goldenId) => images.ownBytes(goldenId)
    })
  }

  /** What live machines here are made from. */
  #machines (): Set<GoldenId> {
    return new Set(this.#c.records.machines(LIVE_STATES).flatMap(({ plan }) => plan === undefined ? [] : plan.goldenId as GoldenId))
  }

  /** After a jump ahead of the wall clock everything would seem to be unused for long. */
  #readClocks (monoMs: number): void {
    const wallMs = this.#c.clock.nowMs()
    if (this.#clocks !== undefined && wallMs - this.#clocks.wallMs - (monoMs - this.#clocks.monoMs) > CLOCK_STEP_MS) {
      this.#c.log.warn({ aheadMs: wallMs - this.#clocks.wallMs }, 'the clock was set ahead: templates count as used now')
      this.#floorMs = wallMs
    }
    this.#clocks = { wallMs, monoMs }
  }

  /** Forgets what is over: promises, pauses, notes of what is not here. What was taken off by hand is not fetched again at once. */
  #tidy (nowMs: number): void {
    for (const [goldenId, untilMs] of this.#promisedMs) if (untilMs <= nowMs) this.#promisedMs.delete(goldenId)
    for (const [goldenId, { untilMs }] of this.#pausedMs) if (untilMs <= nowMs) this.#pausedMs.delete(goldenId)
    const shelf = new Set(this.#c.warehouse.list().map(({ goldenId }) => goldenId))
    for (const goldenId of this.#shelf) if (!shelf.has(goldenId)) this.#pausedMs.set(goldenId, { untilMs: nowMs + this.policy.coolDownMs, why: 'it was taken off the shelf here' })
    this.#shelf = shelf
    const coming = new Set(this.#c.images.incoming())
    const wallMs = this.#c.clock.nowMs()
    for (const [goldenId, atMs] of this.#copies) if (!shelf.has(goldenId) && !coming.has(goldenId) && wallMs - atMs > NOTE_LIFE_MS) this.#forget(goldenId)
  }

  #keepWhy (facts: readonly NamedLife[], verdicts: readonly LifeVerdict[], nowMs: number): void {
    const lookedAtMs = this.#c.clock.nowMs()
    const factOf = new Map(facts.map((one) => [one.goldenId, one]))
    this.#looked = {
      atMs: lookedAtMs,
      of: new Map(verdicts.flatMap(({ goldenId, meshUses, holders, target, does, why }) => {
        const fact = factOf.get(goldenId)
        const paused = does === 'leave' || does === 'wait' ? undefined : this.#pausedMs.get(goldenId)
        if (fact === undefined) return []
        const { name, here, uses, pins, labels } = fact
        return [[goldenId, {
          goldenId, name, here, usesHere: tenths(uses), usesMesh: tenths(meshUses), holders, target, pins, labels, lookedAtMs,
          does: paused === undefined ? does : 'wait',
          why: paused === undefined ? why : `${why}; not now: ${paused.why}, tried again in ${Math.ceil((paused.untilMs - nowMs) / 1_000)} s`
        }]]
      }))
    }
  }

  /** One at a time: what was begun goes on before others. */
  #copy (wanted: readonly LifeVerdict[]): void {
    const begun = new Set(this.#c.images.incoming())
    const next = wanted.find(({ goldenId }) => begun.has(goldenId)) ?? wanted[0]
    if (next === undefined || this.#copying !== undefined) return
    const { goldenId, why } = next
    this.#c.log.info({ goldenId, why }, 'a copy is taken ahead of use')
    this.#copying = this.#c.images.fetchAhead(goldenId, this.#stop.signal).then(() => {}, (error: unknown) => {
      const { code } = asPlantError(error)
      if (this.#stop.signal.aborted) return
      this.#c.log.info({ goldenId, code }, 'a copy could not be taken ahead of use; tried again')
      // What gave way to an order goes on as soon as that is over.
      if (code !== 'LIMIT') this.#pause(goldenId, `the last attempt ended with ${code}`)
    }).finally(() => { this.#copying = undefined })
  }

  async #giveUp ({ goldenId, target, ask, why }: LifeVerdict): Promise<void> {
    if (this.#promisedMs.has(goldenId)) return
    this.#going.add(goldenId)
    try {
      const kept = await this.#c.images.keptBy(ask.slice(0, KEPT_ASKED_MAX), goldenId, this.#stop.signal)
      if (kept.length < target) return this.#pause(goldenId, `only ${kept.length} others say to keep theirs`)
      // It may have been ordered while the others were asked.
      const golden = this.#c.warehouse.list().find((one) => one.goldenId === goldenId)
      if (golden === undefined || this.kept()(golden) || this.uses(goldenId) >= 1) return
      await this.#takeOff(goldenId)
      this.#c.log.info({ goldenId, name: golden.name, why, kept: kept.length }, 'a copy was given up')
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#pause(goldenId, `it could not be given up (${asPlantError(error).code})`)
    } finally {
      this.#going.delete(goldenId)
    }
  }

  /** Where it was made a mark takes all copies; elsewhere this plant's own goes. */
  async #dispose ({ goldenId, name, publishedHere }: NamedLife): Promise<void> {
    this.#going.add(goldenId)
    try {
      if (publishedHere) await this.#c.templates.dispose(goldenId, this.#stop.signal)
      else await this.#takeOff(goldenId)
      this.#c.log.info({ goldenId, name }, 'a template that nobody used was disposed of')
    } catch (error) {
      if (this.#stop.signal.aborted) return
      this.#pause(goldenId, `it could not be disposed of (${asPlantError(error).code})`)
    } finally {
      this.#going.delete(goldenId)
    }
  }

  async #takeOff (goldenId: GoldenId): Promise<void> {
    await this.#c.warehouse.remove(goldenId)
    this.#shelf.delete(goldenId)
    this.#forget(goldenId)
  }

  #forget (goldenId: GoldenId): void {
    this.#copies.delete(goldenId)
    try {
      this.#c.records.dropCopy(goldenId)
    } catch (error) {
      this.#c.log.debug({ goldenId, error: String(error) }, 'the note of a copy stays; it is looked at again after a restart')
    }
  }

  #pause (goldenId: GoldenId, why: string): void {
    this.#pausedMs.set(goldenId, { untilMs: this.#c.clock.monotonicMs() + PAUSE_LOOKS * lookEveryMs(this.policy), why })
  }
}

function tenths (value: number): number { return Math.round(value * 10) / 10 }
