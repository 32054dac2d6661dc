/** One plant's templates: what there is here and elsewhere, marks on it, uses, and removal. */
import { PlantError, keyIdOf, type Clock, type GoldenId, type KeyId, type Log, type PeerId, type Signer, type VmId } from '../../../protocols/kit/index.ts'
import type { MeshImages } from '../../../protocols/image/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import { versionName, versionOf } from '../../../protocols/order/versions.ts'
import { decodeMark, mayRemove, signMark, type Marks, type SignedMark } from '../../../protocols/template/index.ts'
import type { Records, TemplateUse } from '../../../storage/records/records.ts'
import { templatesOf, type KnownGolden, type MarksOfGolden, type Template } from '../../../storage/templates/template.ts'
import { bytesOf, type Warehouse } from '../../../storage/warehouse/warehouse.ts'
import { LIVE_STATES } from '../instance.ts'
import { soughtNames, type TemplateFacts } from '../resolve.ts'
import { templatesElsewhere, usedElsewhereMs, type Elsewhere } from './elsewhere.ts'
import { ReliedKeys } from './relied-keys.ts'
import { searchTemplates } from './search.ts'
import { viewOfTemplate, type TemplateView } from './template-view.ts'

export interface TemplateDeskComponents {
  /** The plant's own key: it removes what its administrator built. */
  signer: Signer
  clock: Clock
  log: Log
  warehouse: Pick<Warehouse, 'list' | 'remove' | 'onChange'>
  records: Pick<Records, 'noteUse' | 'templateUses' | 'machines'>
  marks: Marks
  /** Other plants in view. */
  peers: () => PeerId[]
  /** What other plants hold; absent where nothing is fetched. */
  mesh?: Pick<MeshImages, 'held' | 'describe'>
}

/** Golden machines that one removal takes off: all sizes of all versions of a series are fewer. */
export const REMOVED_AT_ONCE_MAX = 64
/** Plants that an error names. */
const SAID_BY_MAX = 16

/** Plants that an error names. */
const SILENT_NAMED_MAX = 8

/** `silent`: plants that did not say whether they use it. */
export interface Removed { removed: string[], silent: PeerId[] }

/** See the head of this file. */
export class TemplateDesk {
  readonly facts: TemplateFacts
  /** Whose marks keep their room here. */
  readonly relied: ReliedKeys
  readonly #c: TemplateDeskComponents
  readonly #self: KeyId
  readonly #uses: Map<string, TemplateUse>
  readonly #onUse = new Set<(goldenId: GoldenId) => void>()
  #sweeping: Promise<void> = Promise.resolve()

  constructor (components: TemplateDeskComponents) {
    this.#c = components
    this.relied = new ReliedKeys(components)
    this.#self = keyIdOf(components.signer.publicKey)
    this.#uses = new Map(components.records.templateUses().map((one) => [one.goldenId, one]))
    const { marks } = components
    this.facts = {
      labelled: (label) => marks.view.labelled(label),
      lastUsedMs: (golden) => this.#lastUsedMs(golden),
      isRemoved: (golden) => this.#isRemoved(golden)
    }
  }

  /** Takes off the shelf whatever is removed somewhere, from now on; returns what ends that. */
  start (): () => void {
    const cancels = [this.#c.marks.onChange(() => { this.sweep() }), this.#c.warehouse.onChange(() => { this.sweep() })]
    this.sweep()
    return () => { for (const cancel of cancels) cancel() }
  }

  /** Looks for what is removed and used no longer. Called after each change of machines, too; cheap where nothing is removed. */
  sweep (): void { void this.#sweep() }

  /** What plants may be looked for by that have something for this `software.os`: a hint, whoever orders. */
  sought (os: string): string[] {
    return [...soughtNames(os, {}, this.facts), ...[...this.facts.labelled(os)].map(({ goldenId }) => goldenId)]
  }

  /** Called at each use. */
  onUse (fn: (goldenId: GoldenId) => void): void { this.#onUse.add(fn) }

  /** A machine is made from it. That it cannot be written down does not keep the machine from being made. */
  used (goldenId: GoldenId): void {
    const atMs = this.#c.clock.nowMs()
    const before = this.#uses.get(goldenId)
    try {
      this.#c.records.noteUse(goldenId, atMs)
    } catch (error) {
      this.#c.log.warn({ goldenId, error: String(error) }, 'the use of a golden machine could not be written down')
    }
    this.#uses.set(goldenId, { goldenId, uses: (before?.uses ?? 0) + 1, lastMs: Math.max(before?.lastMs ?? 0, atMs) })
    for (const fn of this.#onUse) fn(goldenId)
  }

  /** Wall clock of its last use at this plant. */
  lastUsedHereMs (goldenId: GoldenId): number | undefined { return this.#uses.get(goldenId)?.lastMs }

  /**
   * Removes what this plant made from every plant, as its own decision. Throws GOLDEN_UNKNOWN, TEMPLATE_IN_USE, also when a plant in view does not say whether it uses
   * it, or as `Marks.publish`.
   */
  async dispose (goldenId: GoldenId, signal: AbortSignal): Promise<void> {
    const known = (await this.#known(signal)).map(({ golden }) => golden)
    const golden = known.find((one) => one.goldenId === goldenId && one.publisher === this.#self)
    if (golden === undefined) throw new PlantError('GOLDEN_UNKNOWN', { goldenId })
    const silent = await this.#refuseInUse([golden], known, signal)
    if (silent.length > 0) throw new PlantError('TEMPLATE_IN_USE', { templates: [versionName(golden)], silent: silent.slice(0, SILENT_NAMED_MAX) })
    this.#c.marks.publish(signMark(this.#c.signer, { by: this.#self, goldenId, kind: 'removed', name: golden.name, version: versionOf(golden), atMs: this.#c.clock.nowMs() }))
    await this.#sweep()
  }

  /** Templates here and elsewhere, those that are removed left out; with an expression, those that it holds for. Throws EXPRESSION_INVALID, LIMIT. */
  async list (find: string | undefined, signal: AbortSignal): Promise<TemplateView[]> {
    const templates = await this.#templates(signal)
    return (find === undefined ? templates : await searchTemplates(templates, find, this.#c.clock, signal)).map(viewOfTemplate)
  }

  /** Keeps a mark that a client signed and tells the mesh; a removal has a way of its own. Throws as `Marks.publish`. */
  mark (signed: Uint8Array): void {
    const { kind, by } = decodeMark(signed)
    if (kind === 'removed') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'a removal is asked for at /v1/templates/remove' })
    this.#c.marks.check(signed)
    this.relied.marks(by)
    this.#c.marks.publish(signed)
  }

  /** Golden machines of this name here and elsewhere, also those that are removed but in use. */
  async named (name: string, signal: AbortSignal): Promise<Golden[]> {
    const elsewhere = this.#c.mesh === undefined ? [] : await templatesElsewhere(this.#c.mesh, name, this.#c.warehouse.list(), signal)
    return [...this.#c.warehouse.list(), ...elsewhere.map(({ golden }) => golden)]
  }

  /** The highest version of a series that this key has removed; 0 for none. */
  removedVersion (name: string, by: KeyId): number {
    let highest = 0
    for (const mark of this.#c.marks.view.all()) if (mark.kind === 'removed' && mark.name === name && mark.by === by) highest = Math.max(highest, mark.version)
    return highest
  }

  /**
   * Removes golden machines by marks that a client signed. Throws GOLDEN_UNKNOWN, NOT_AUTHORISED, TEMPLATE_IN_USE with machines and templates that are made
   * from them, here or at plants that answer, or as `Marks.publish`; then nothing was removed.
   */
  async remove (signed: readonly Uint8Array[], signal: AbortSignal): Promise<Removed> {
    if (signed.length > REMOVED_AT_ONCE_MAX) throw new PlantError('LIMIT', { bound: 'REMOVED_AT_ONCE_MAX', max: REMOVED_AT_ONCE_MAX })
    const known = new Map((await this.#known(signal)).map((one) => [one.golden.goldenId, one.golden]))
    const orders = signed.map((bytes) => {
      const mark = decodeMark(bytes)
      const golden = known.get(mark.goldenId)
      if (mark.kind !== 'removed') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'not a removal' })
      if (golden === undefined) throw new PlantError('GOLDEN_UNKNOWN', { goldenId: mark.goldenId })
      return { golden, publish: this.#authorised(golden, mark) }
    })
    // All that may be wrong with any of them before the first is gone.
    for (const { publish } of orders) if (publish !== undefined) this.#c.marks.check(publish)
    const silent = await this.#refuseInUse(orders.map(({ golden }) => golden), [...known.values()], signal)
    for (const { publish } of orders) {
      if (publish === undefined) continue
      this.relied.marks(decodeMark(publish).by)
      this.#c.marks.publish(publish)
    }
    // Those that nobody's mark can remove elsewhere were kept by an earlier version, and are only here.
    for (const { golden, publish } of orders) if (publish === undefined) await this.#takeOff(golden)
    await this.#sweep()
    return { removed: orders.map(({ golden }) => versionName(golden)), silent }
  }

  /** What is made here from these: answered to who wants to remove them. */
  usesOf (goldenIds: readonly GoldenId[]): { vmIds: VmId[], templates: string[] } {
    const ids = new Set<string>(goldenIds)
    return {
      vmIds: this.#c.records.machines(LIVE_STATES).filter(({ plan }) => plan !== undefined && ids.has(plan.goldenId)).map(({ vmId }) => vmId),
      templates: this.#childrenOf(ids, this.#c.warehouse.list())
    }
  }

  /** The mark to publish: the client's own, or the plant's for what its administrator built; undefined: no mark is needed. Throws NOT_AUTHORISED. */
  #authorised (golden: Golden, mark: SignedMark): Uint8Array | undefined {
    if (mayRemove(golden, mark.by)) return mark.signed
    // Who can open the API's socket is this plant's administrator; what domains published is theirs all the same.
    if (golden.publishedBy === undefined && golden.publisher === undefined) return undefined
    if (golden.publishedBy === undefined && golden.publisher === this.#self) {
      const { goldenId, name } = golden
      return signMark(this.#c.signer, { by: this.#self, goldenId, kind: 'removed', name, version: versionOf(golden), atMs: this.#c.clock.nowMs() })
    }
    throw new PlantError('NOT_AUTHORISED', { call: 'template remove', template: versionName(golden), by: mark.by, allowed: [golden.publishedBy?.domainKey, golden.publisher].filter((key) => key !== undefined), ...(golden.publishedBy === undefined && { problem: 'a plant built it: its administrator removes it there' }) })
  }

  async #refuseInUse (goldens: readonly Golden[], known: readonly Golden[], signal: AbortSignal): Promise<PeerId[]> {
    const goldenIds = goldens.map(({ goldenId }) => goldenId)
    const told = await this.#c.marks.usesAt(this.#c.peers(), goldenIds, signal)
    const here = this.usesOf(goldenIds)
    const vmids = [...new Set([...here.vmIds, ...told.flatMap(({ uses }) => uses?.vmIds ?? [])])]
    const children = [...new Set([...this.#childrenOf(new Set(goldenIds), known), ...told.flatMap(({ uses }) => uses?.templates ?? [])])]
    if (vmids.length + children.length > 0) {
      // Another plant's word is all that there is for what it makes: who doubts it is told whose word that is.
      const saidBy = told.flatMap(({ peer, uses }) => uses !== undefined && uses.vmIds.length + uses.templates.length > 0 ? [peer] : [])
      throw new PlantError('TEMPLATE_IN_USE', { templates: [...new Set(goldens.map(versionName))], vmids, children, ...(saidBy.length > 0 && { saidBy: saidBy.slice(0, SAID_BY_MAX) }) })
    }
    return told.filter(({ uses }) => uses === undefined).map(({ peer }) => peer)
  }

  /** Here or elsewhere, so that all plants choose alike; nobody's clock counts beyond this plant's own. */
  #lastUsedMs (golden: Golden): number | undefined {
    const said = this.#c.mesh?.held(golden.goldenId).flatMap((held) => [...held.said.values()].map(({ usedS }) => usedS)) ?? []
    const elsewhere = usedElsewhereMs(golden, said)
    const used = [this.#uses.get(golden.goldenId)?.lastMs, elsewhere === undefined ? undefined : Math.min(elsewhere, this.#c.clock.nowMs())].filter((ms) => ms !== undefined)
    return used.length === 0 ? undefined : Math.max(...used)
  }

  #childrenOf (ids: ReadonlySet<string>, goldens: readonly Golden[]): string[] {
    return [...new Set(goldens.filter((golden) => golden.from !== undefined && ids.has(golden.from) && !ids.has(golden.goldenId) && !this.#isRemoved(golden)).map(versionName))]
  }

  async #templates (signal: AbortSignal): Promise<Template[]> {
    const known = (await this.#known(signal)).filter(({ golden }) => !this.#isRemoved(golden))
    return templatesOf(known, (goldenId) => this.#marksOf(goldenId))
  }

  async #known (signal: AbortSignal): Promise<KnownGolden[]> {
    const elsewhere = this.#c.mesh === undefined ? [] : await templatesElsewhere(this.#c.mesh, undefined, this.#c.warehouse.list(), signal)
    const told = new Map(elsewhere.map((one) => [one.golden.goldenId, one]))
    const here = this.#c.warehouse.list()
    const ids = new Set(here.map(({ goldenId }) => goldenId))
    return [...here.map((golden) => this.#knownOf(golden, told.get(golden.goldenId), true)), ...elsewhere.filter(({ golden }) => !ids.has(golden.goldenId)).map((one) => this.#knownOf(one.golden, one, false))]
  }

  #knownOf (golden: Golden, told: Elsewhere | undefined, here: boolean): KnownGolden {
    const use = this.#uses.get(golden.goldenId)
    const used = [use?.lastMs, told?.lastUsedMs].filter((ms) => ms !== undefined)
    const bytes = bytesOf(golden.files)
    const others = told?.holders.filter((peer) => peer !== this.#self as string).length ?? 0
    return { golden, here, holders: others + Number(here), bytes, ownBytes: told?.ownBytes ?? bytes, uses: use?.uses ?? 0, ...(used.length > 0 && { lastUsedMs: Math.max(...used) }) }
  }

  #marksOf (goldenId: GoldenId): MarksOfGolden {
    const found: MarksOfGolden = { labels: [], pinnedBy: [] }
    for (const mark of this.#c.marks.view.of(goldenId)) {
      if (mark.kind === 'label') found.labels.push({ label: mark.label, by: mark.by, atMs: mark.atMs, goldenId })
      if (mark.kind === 'pin') found.pinnedBy.push(mark.by)
    }
    return found
  }

  #isRemoved (golden: Golden): boolean {
    for (const mark of this.#c.marks.view.of(golden.goldenId)) if (mark.kind === 'removed' && mayRemove(golden, mark.by)) return true
    return false
  }

  async #sweep (): Promise<void> {
    this.#sweeping = this.#sweeping.then(async () => {
      const removed = this.#c.warehouse.list().filter((golden) => this.#isRemoved(golden))
      // Not while a machine here stands on it: after a restart nothing is pinned before its machine was adopted. No order gets it meanwhile.
      for (const golden of removed) if (this.usesOf([golden.goldenId]).vmIds.length === 0) await this.#takeOff(golden)
    })
    return this.#sweeping
  }

  /** Its files go once nothing uses them. */
  async #takeOff (golden: Golden): Promise<void> {
    try {
      await this.#c.warehouse.remove(golden.goldenId)
      this.#c.log.info({ goldenId: golden.goldenId, name: golden.name }, 'a golden machine that was removed is off the shelf')
    } catch (error) {
      this.#c.log.warn({ goldenId: golden.goldenId, error: String(error) }, 'a golden machine that was removed could not be taken off the shelf; tried again')
    }
  }
}
