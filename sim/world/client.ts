/**
 * Clients: they place orders with shops, ask again when a shop goes away or cannot say, and collect their machines when they have had them
 * long enough. A client is no plant: no fault strikes it, and its clock is true.
 */
import { PlantError, asPlantError, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import type { Decision } from '../../protocols/bid/index.ts'
import type { MachineView } from '../../protocols/machine/index.ts'
import { NONCE_BYTES, signCall, type Call } from '../../protocols/member/index.ts'
import { vmIdOf } from '../../protocols/order/index.ts'
import type { RandomStream } from '../kernel/index.ts'
import type { JobResult, MachineSpec } from '../scenario/index.ts'
import { START_WALL_MS } from './clock.ts'
import type { SimKey } from './crypto.ts'
import { decisionKey } from './host/record-store.ts'
import { actionTimes, documentOf } from './orders.ts'
import type { SimPlant } from './plant.ts'
import { usOf } from './timeline.ts'
import type { World } from './world.ts'

export interface OrderPlan {
  sequence: number
  source: number
  id: string
  machine: MachineSpec
  atMs: number
  holdMs?: number
  requestedMs?: number
  /** The plants that may act as its shop: one is drawn each time it is asked. */
  shops: readonly SimPlant[]
  /** Told when it has ended, however it did: for clients that order in sequence. */
  onAnswered?: () => void
  /** The client goes away so long after it asked, and asks anew elsewhere: a person who loses patience. */
  patienceMs?: number
}

/** A client asks again after this when its shop went away or could not say. */
const ASK_AGAIN_MS = 1_000
/** So often at most, then the order has failed: about as long as a person tries. */
const ASKS_MAX = 40
/** What is worth asking again for: nothing was decided. */
const AGAIN = ['STREAM_RESET', 'STREAM_TIMEOUT', 'STREAM_TRUNCATED', 'PEER_UNREACHABLE', 'API_UNREACHABLE', 'MESH_CUT', 'CLAIM_LOST', 'VM_UNKNOWN', 'INTERRUPTED', 'LIMIT', 'BID_EXPIRED']

/** One order and the client that waits for it. */
export class ClientOrder {
  readonly result: JobResult
  readonly vmId: VmId
  readonly key: SimKey
  readonly plan: OrderPlan
  /** The client has seen its machine run, and not asked for it to be collected: from then on it must not be lost. */
  acknowledged = false
  /** How its last auction went, as its shop wrote it down. */
  decision: Decision | undefined
  collecting = false
  readonly #world: World
  readonly #random: RandomStream
  readonly #document: Record<string, unknown>
  #asks = 0
  #stop: AbortController | undefined

  constructor (world: World, plan: OrderPlan) {
    this.#world = world
    this.plan = plan
    this.#random = world.random.fork('client', plan.sequence)
    const { machine } = plan
    // One client a domain: plants tell domains apart by name and the key that speaks for them, and one without grants is its owner's.
    this.key = world.newKey(`client/${machine.domain}`)
    this.#document = documentOf(machine, `m${plan.sequence}`)
    this.vmId = vmIdOf({ owner: this.key.id, domain: machine.domain, orderId: this.orderId, documentIndex: 0, copyIndex: 0 })
    world.actionTimes.set(this.vmId, actionTimes(machine))
    this.result = {
      sequence: plan.sequence, source: plan.source, id: plan.id, shop: '', domain: machine.domain, os: machine.os, cpus: machine.cpus, memoryMiB: machine.memoryMiB,
      submittedMs: plan.atMs, end: 'open', phasesMs: {},
      ...(plan.holdMs !== undefined && { holdMs: plan.holdMs }),
      ...(plan.requestedMs !== undefined && { requestedMs: plan.requestedMs })
    }
  }

  get orderId (): string { return `order-${this.plan.sequence}` }

  /** The order was refused, has failed, or runs; nothing more is asked. */
  get answered (): boolean { return this.result.end !== 'open' }

  /** Plans the order. */
  place (): void {
    this.#world.timeline.at(usOf(this.plan.atMs), () => {
      this.result.submittedMs = this.#world.timeline.nowMs
      this.#ask()
    })
  }

  /** Asks for what became of it, once more, after it was answered: whoever asks must be told the same machine. */
  async askAgain (shop: SimPlant): Promise<MachineView> {
    const node = shop.node
    if (node === undefined) throw new Error('bug: this shop is down')
    return node.shop.create(this.#order(shop.peer), { strict: this.plan.machine.strict }, {}, new AbortController().signal)
  }

  /** Has the machine collected through one of its shops, or the one that is named; tries until one has done it. */
  collect (through?: SimPlant): void {
    this.collecting = true
    this.acknowledged = false
    const world = this.#world
    const shop = through ?? this.#shop()
    this.#through(shop, async (plant) => plant.node?.shop.call(this.#sign({ kind: 'collect', vmId: this.vmId, via: plant.peer, body: {} }), {}, this.#patience().signal), () => { this.#ended(world.timeline.nowMs) }, (error) => {
      const { code } = asPlantError(error)
      world.tell('order.collectFailed', shop?.name, { sequence: this.plan.sequence, code })
      if (this.#asks++ < 2 * ASKS_MAX) world.timeline.after(usOf(ASK_AGAIN_MS), () => { this.collect(through) })
    })
  }

  /** Signed anew for each shop that is asked: it stays the same order. */
  #order (via: PeerId): Uint8Array {
    return this.#sign({ kind: 'order', via, body: { orderId: this.orderId, documentIndex: 0, copyIndex: 0, order: this.#document } })
  }

  #sign (call: Omit<Call, 'issuedAtMs' | 'nonce'>): Uint8Array {
    return signCall(this.key, { ...call, issuedAtMs: Math.floor(START_WALL_MS + this.#world.timeline.nowMs), nonce: this.#random.bytes(NONCE_BYTES) })
  }

  /** One that takes orders, where there is one. */
  #shop (): SimPlant | undefined {
    const ready = this.plan.shops.filter((plant) => plant.node !== undefined)
    return this.#random.pick(ready) ?? this.#random.pick(this.plan.shops)
  }

  #patience (): AbortController {
    const stop = new AbortController()
    this.#stop = stop
    return stop
  }

  #ask (): void {
    const world = this.#world
    const { sequence, patienceMs, machine } = this.plan
    const shop = this.#shop()
    this.#asks++
    if (shop !== undefined) this.result.shop = shop.name
    world.tell('order.placed', shop?.name, { sequence, vmId: this.vmId, asked: this.#asks })
    const stop = this.#patience()
    if (patienceMs !== undefined && this.#asks < ASKS_MAX / 2) world.timeline.after(usOf(patienceMs), () => { if (!this.answered && this.#stop === stop) this.#leave() })
    this.#through(shop, async (plant) => plant.node?.shop.create(this.#order(plant.peer), { strict: machine.strict }, {}, stop.signal), (view) => {
      if (this.#stop === stop) this.#onAnswer(shop, view)
    }, (error) => { if (this.#stop === stop) this.#onFailure(shop, error) })
  }

  /** The client goes away in the middle and comes back at another shop. */
  #leave (): void {
    this.#world.tell('order.clientLeft', this.result.shop, { sequence: this.plan.sequence })
    const stop = this.#stop
    this.#stop = undefined
    const shop = this.#world.plant(this.result.shop)
    // The API notices that its client is gone as an event of its own.
    if (shop?.life !== undefined) this.#world.timeline.after(usOf(1), () => { stop?.abort(new Error('the client has gone')) }, shop.life)
    this.#world.timeline.after(usOf(ASK_AGAIN_MS), () => { this.#ask() })
  }

  /** Over the API of a plant: what it answers, or that it went away. */
  #through<T> (shop: SimPlant | undefined, call: (plant: SimPlant) => Promise<T | undefined>, then: (answer: T) => void, failed: (error: unknown) => void): void {
    const { timeline } = this.#world
    const life = shop?.life
    const gone = (): void => { timeline.after(usOf(ASK_AGAIN_MS), () => { failed(new PlantError('API_UNREACHABLE')) }) }
    if (shop?.node === undefined || life === undefined) return gone()
    let over = false
    const once = (fn: () => void): void => {
      if (over) return
      over = true
      shop.offDeath(onDeath)
      fn()
    }
    const onDeath = (): void => { once(gone) }
    shop.onDeath(onDeath)
    timeline.after(0, () => {
      call(shop).then((answer) => {
        if (!life.dead && answer !== undefined) timeline.after(0, () => { once(() => { then(answer) }) })
      }, (error: unknown) => {
        if (!life.dead) timeline.after(0, () => { once(() => { failed(error) }) })
      })
    }, life)
  }

  #onAnswer (shop: SimPlant | undefined, view: MachineView): void {
    const world = this.#world
    const { result, plan } = this
    world.tell('order.answered', shop?.name, { sequence: plan.sequence, vmId: this.vmId, state: view.state, plant: world.nameOf(view.plant as PeerId), ...(view.provisional === true && { provisional: true }) })
    if (view.state !== 'running') {
      result.end = 'failed'
      result.error = view.error?.code ?? `state ${view.state}`
      this.#ended(world.timeline.nowMs)
      plan.onAnswered?.()
      return
    }
    this.acknowledged = !this.collecting
    result.end = 'running'
    result.plant = world.nameOf(view.plant as PeerId)
    result.runningMs = world.timeline.nowMs
    if (view.provisional === true) result.provisional = true
    const { bid, fetch = 0, plan: planned = 0, resize = 0, identity, configure } = view.phasesMs
    Object.assign(result.phasesMs, { ...(bid !== undefined && { bid }), fetch: fetch + planned, ...(resize > 0 && { boot: resize }), ...(identity !== undefined && { identity }), ...(configure !== undefined && { actions: configure }) })
    this.#decided(shop)
    if (plan.holdMs !== undefined) world.timeline.after(usOf(plan.holdMs), () => { if (this.acknowledged) this.collect() })
    plan.onAnswered?.()
  }

  #onFailure (shop: SimPlant | undefined, error: unknown): void {
    const world = this.#world
    const { code, details } = asPlantError(error)
    world.tell('order.failed', shop?.name, { sequence: this.plan.sequence, vmId: this.vmId, code, ...(code === 'INTERNAL' && { problem: String(details['problem']) }) })
    if (AGAIN.includes(code) && this.#asks < ASKS_MAX) {
      world.timeline.after(usOf(ASK_AGAIN_MS), () => { this.#ask() })
      return
    }
    this.result.end = code === 'ORDER_REFUSED' ? 'refused' : 'failed'
    this.result.error = code
    this.#decided(shop)
    this.#ended(world.timeline.nowMs)
    this.plan.onAnswered?.()
  }

  #ended (atMs: number): void { this.result.endedMs ??= atMs }

  /** What the shop wrote down of its decision. */
  #decided (shop: SimPlant | undefined): void {
    const kept = shop?.host.records.decisions.get(decisionKey(this.key.id, this.orderId))?.decision['attempts'] as Array<{ decision: Decision }> | undefined
    const decision = kept?.at(-1)?.decision
    if (decision === undefined) return
    const won = decision.attempts.findLast((attempt) => attempt.outcome === 'granted')
    const bids = decision.answers.filter(({ kind }) => kind === 'bid')
    const winner = bids.find(({ bid }) => bid?.bidId === won?.bidId)?.bid
    Object.assign(this.result, {
      asked: decision.candidates.length,
      bids: bids.length,
      ...(winner !== undefined && { cost: winner.total, costItems: winner.items.map(({ item, cost }) => ({ item, cost })) })
    })
    this.decision = decision
  }

}
