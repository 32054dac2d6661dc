/** One drawn case, run and checked after every event; then all is mended and must come together, and then all is collected and must be gone. */
import { asPlantError, type VmId } from '../../protocols/kit/index.ts'
import type { SimEvent } from '../scenario/index.ts'
import { ClientOrder } from '../world/client.ts'
import { Faults } from '../world/faults.ts'
import { SOUND_GUEST } from '../world/host/host.ts'
import type { Compose } from '../world/plant.ts'
import type { Strike } from '../world/strikes.ts'
import { usOf, type Quiet } from '../world/timeline.ts'
import type { StreamSeen } from '../world/watch.ts'
import { World } from '../world/world.ts'
import { startPlantNode } from '../../node/composition/plant-node.ts'
import { begin, BACK_MS, end, FORGOTTEN_MS, remembered } from './absence.ts'
import { AdvertTruth } from './adverts.ts'
import { Aims, aftermathMs } from './aims.ts'
import { Authority } from './authority.ts'
import { AwardsAlike } from './awards-alike.ts'
import { allCheckers } from './checkers.ts'
import { CLAIMS_HEARD, ClaimsHeld } from './claims-held.ts'
import { shelvesAreCopies } from './draw-images.ts'
import { drawCase, drawNature, TROUBLE_MS, type FuzzCase } from './draw.ts'
import { Goodbyes } from './goodbyes.ts'
import { imageCheckers } from './images.ts'
import { LinkTruth } from './link-truth.ts'
import { Lulls } from './lulls.ts'
import { NetworkTruth } from './networks.ts'
import { overheard } from './overhear.ts'
import { deadShops, placeProbes, PROBE_EVERY_MS, PROBE_MS } from './probes.ts'
import { Publishers } from './publishers.ts'
import { registrarsOf } from './registrars.ts'
import { sparesWanted } from './spares.ts'
import { problem, type Checker, type Problem, type Seen } from './seen.ts'

export interface FuzzOptions {
  quiet: Quiet
  /** The daemon's own composition by default; tests swap parts. */
  compose?: Compose
  onEvent?: (event: SimEvent) => void
  onMessage?: (seen: StreamSeen) => void
  onLog?: (plant: string, level: string, fields: Record<string, unknown>, message: string) => void
}

/** What became of one seed. */
export interface FuzzOutcome {
  seed: number
  /** The first that was found; the run ends with it. Undefined: all held. */
  problem?: Problem
  traceHash: string
  /** Kernel events, and simulated time. */
  events: number
  endedMs: number
  orders: number
  /** Orders that came to run. */
  running: number
  /** How often faults had an effect, by what they did. */
  strikes: Partial<Record<Strike, number>>
}

/** From when all is mended until it must have come together: an advert's life, two rounds of holders, back-offs, and the longest creation begun last. */
const REST_MS = 150_000
/** Guests that hang or are silent hold a creation up for so long: two starts of a minute, or an action. */
const LONGEST_CREATION_MS = 260_000
/** For orders asked again, and for collecting all. */
const ASK_MS = 40_000
const COLLECT_MS = 60_000
/** Before a rest it is looked for so long how quiet plants are. */
const LULL_MS = 10_000
/** A seed takes some ten thousand events; one that takes so many never ends. */
const EVENTS_MAX = 3_000_000

/** Runs the case of a seed. What it finds is in the outcome; it rejects only when the simulator itself is broken. */
export async function fuzzOne (seed: number, options: FuzzOptions): Promise<FuzzOutcome> {
  return new FuzzRun(drawCase(seed), options).run()
}

/** One case under way, as checkers see it. To be run once. */
export class FuzzRun implements Seen {
  readonly world: World
  readonly orders: ClientOrder[] = []
  readonly excused = new Set<VmId>()
  readonly liars = new Set<string>()
  readonly lulls = new Lulls()
  /** Told of each order before it is placed. */
  onOrder: ((order: ClientOrder) => void) | undefined
  readonly #case: FuzzCase
  readonly #goodbyes = new Goodbyes()
  readonly #claims = new ClaimsHeld(this.#goodbyes)
  readonly #awards = new AwardsAlike()
  readonly #adverts = new AdvertTruth()
  readonly #networks = new NetworkTruth()
  readonly #publishers: Publishers
  readonly #checkers: Checker[]
  readonly #aims: Aims
  readonly #faults: Faults
  readonly #links: LinkTruth
  readonly #authority: Authority
  #problem: Problem | undefined
  #looked = -1
  #mended = false
  #struck: FuzzOutcome['strikes'] | undefined

  constructor (drawn: FuzzCase, options: FuzzOptions) {
    this.#case = drawn
    this.world = new World({
      scenario: drawn.scenario,
      seed: drawn.seed,
      quiet: options.quiet,
      nature: (_host, random) => {
        const nature = drawNature(random, this.#mended ? 0 : drawn.flawedShare)
        if (nature !== SOUND_GUEST) this.world.strikes.add('flawedGuest')
        return nature
      },
      onEvent: (event) => {
        this.#note(event)
        options.onEvent?.(event)
      },
      ...(drawn.images !== undefined && { images: drawn.images, ...(drawn.images.life !== undefined && { life: drawn.images.life }) }),
      ...(drawn.spareMemoryMiB !== undefined && { spareMemoryMiB: drawn.spareMemoryMiB }),
      ...(drawn.endedKept !== undefined && { endedKept: drawn.endedKept }),
      compose: overheard(this.#awards.heard(options.compose ?? startPlantNode), CLAIMS_HEARD, (said) => { this.#claims.onSaid(this, said) }),
      onSigned: (by, bytes) => { this.#adverts.onSigned(by, bytes, this.world.timeline.nowMs) },
      onHeard: (machine, heard) => { this.#networks.onHeard(this, machine, heard) },
      onGossip: (at, gossip, verdict) => { this.#adverts.onTaken(this.world.at(at), gossip, verdict) },
      ...(options.onMessage !== undefined && { onMessage: options.onMessage }),
      onLog: (plant, level, fields, message) => {
        options.onLog?.(plant, level, fields, message)
        if (level === 'error') this.#onErrorLog(plant, fields, message)
      }
    })
    if (drawn.images?.life !== undefined) shelvesAreCopies(this.world)
    this.#publishers = new Publishers(this.world, this.orders)
    this.#checkers = [this.#claims.checker(), this.#awards.checker(), ...allCheckers(this.#goodbyes), this.#adverts, this.#networks, ...imageCheckers(this.#publishers), sparesWanted(drawn.spareMemoryMiB ?? 0)]
    this.#faults = new Faults(this.world)
    this.#aims = new Aims(this.world, this.orders, drawn.aims)
    this.#links = new LinkTruth(this.world, drawn.scenario.faults, (text) => { this.blame('links', text) })
    this.world.network.links.watch = this.#links
    this.#authority = new Authority(this, (text, vmId) => { this.blame('authority', text, vmId) })
    for (const fault of drawn.extra) if (fault.kind === 'lie') this.liars.add(fault.plant)
  }

  async run (): Promise<FuzzOutcome> {
    const { world } = this
    world.start()
    this.#placeOrders()
    this.#faults.plan([...this.#case.scenario.faults, ...this.#case.extra])
    this.#publishers.plan(this.#case.publications)
    for (const strayMs of this.#case.straysMs) world.timeline.at(usOf(strayMs), () => { this.#authority.stray() })
    let atMs = TROUBLE_MS
    await this.#until(atMs)
    if (this.#goesOn()) {
      this.#mend()
      await this.#until(atMs += REST_MS + aftermathMs(this.#case.aims) + (this.#case.flawedShare > 0 ? LONGEST_CREATION_MS : 0))
      this.#rest('atRest')
    }
    if (this.#goesOn()) {
      this.#askAgain()
      this.#authority.peace()
      await this.#until(atMs += ASK_MS)
      this.#authority.finish()
      this.#rest('atRest')
    }
    if (this.#goesOn()) {
      this.#collectOthers()
      for (const order of this.orders) if (order.acknowledged) order.collect()
      await this.#until(atMs += COLLECT_MS)
      this.#rest('atEnd')
    }
    if (this.#goesOn()) {
      const probes = placeProbes(world, this.#case.scenario, { atMs, first: this.orders.length + 1 })
      await this.#until(atMs += PROBE_EVERY_MS * probes.length + PROBE_MS)
      const [dead] = deadShops(probes)
      if (dead !== undefined) this.blame('alive', dead.text, dead.vmId)
    }
    await this.#absence(atMs)
    return {
      seed: this.#case.seed,
      ...(this.#problem !== undefined && { problem: this.#problem }),
      traceHash: world.trace.digest(),
      events: world.timeline.handled,
      endedMs: world.timeline.nowMs,
      orders: this.orders.length,
      running: this.orders.filter(({ result }) => result.end === 'running').length,
      strikes: this.#struck ?? this.#strikes()
    }
  }

  /** Found by somebody who is no checker: an error that nobody caught, say. */
  blame (checker: string, text: string, vmId?: VmId): void {
    this.#problem ??= problem(checker, this, text, vmId)
  }

  #goesOn (): boolean { return this.#problem === undefined }

  async #until (untilMs: number): Promise<void> {
    try {
      this.lulls.begin()
      await this.world.run(untilMs, () => {
        if (this.world.timeline.nowMs > untilMs - LULL_MS) this.lulls.look(this.world.plants)
        return this.#check()
      })
    } catch (error) {
      // What throws into the event loop ends the daemon.
      this.blame('escape', `an error reached the event loop: ${error instanceof Error ? error.stack ?? error.message : String(error)}`)
    }
  }

  /** After every event; hosts that have not changed need not be looked at again. */
  #check (): boolean {
    const { world } = this
    if (!this.#mended) this.#aims.look()
    if (world.timeline.handled > EVENTS_MAX) this.blame('endless', `${EVENTS_MAX} events and no end`)
    if (world.changes !== this.#looked || world.timeline.handled % 64 === 0) {
      this.#looked = world.changes
      for (const checker of this.#checkers) {
        const found = checker.afterEvent?.(this)
        if (found === undefined || this.#isPardoned(found)) continue
        this.#problem ??= found
        break
      }
    }
    return this.#goesOn()
  }

  /** Three registrars stand no liar among them: two shops may each get the honest one's word and the liar's. It must come right in the end. */
  #isPardoned ({ checker, vmId }: Problem): boolean {
    if (checker !== 'one-machine' || vmId === undefined) return false
    return this.#case.extra.some((fault) => fault.kind === 'lie' && fault.lie === 'verdicts' && registrarsOf(this.world, vmId).some(({ name }) => name === fault.plant))
  }

  #rest (when: 'atRest' | 'atEnd'): void {
    if (!this.#goesOn()) return
    for (const checker of this.#checkers) this.#problem ??= checker[when]?.(this)[0]
  }

  #placeOrders (): void {
    const { world } = this
    const [source] = this.#case.scenario.orders
    if (source?.kind !== 'list') return
    for (const [at, { atMs, holdMs, shop, machine }] of source.orders.entries()) {
      const patienceMs = this.#case.patienceMs[at]
      const only = shop === undefined ? undefined : world.plant(shop)
      const order = new ClientOrder(world, {
        sequence: at + 1, source: 0, id: String(at), atMs,
        machine: { ...source.machine, ...machine } as typeof source.machine,
        shops: only === undefined ? world.plants : [only],
        ...(holdMs !== undefined && { holdMs }),
        ...(patienceMs !== undefined && { patienceMs })
      })
      this.orders.push(order)
      this.onOrder?.(order)
      order.place()
    }
    for (const { order, atMs } of this.#case.twins) {
      world.timeline.at(usOf(atMs), () => {
        const shop = world.random.fork('twin', order).pick(world.plants.filter(({ node }) => node !== undefined))
        const asked = this.orders[order]
        if (shop?.life === undefined || asked === undefined) return
        world.tell('order.askedTwice', shop.name, { sequence: order + 1, vmId: asked.vmId })
        world.timeline.after(0, () => { asked.askAgain(shop).catch(() => {}) }, shop.life) // The first asker hears of failures.
      })
    }
  }

  async #absence (fromMs: number): Promise<void> {
    const { absence } = this.#case
    if (absence === undefined || !this.#goesOn()) return
    begin(this, absence)
    await this.#until(fromMs + FORGOTTEN_MS)
    this.#problem ??= remembered(this, absence)[0]
    if (!this.#goesOn()) return
    end(this, absence)
    await this.#until(fromMs + FORGOTTEN_MS + BACK_MS)
    this.#rest('atEnd')
  }

  #mend (): void {
    this.#struck = this.#strikes()
    this.#mended = true
    this.#faults.endAll()
    this.#links.ended()
    const { world } = this
    // As time servers do once they can be reached.
    for (const { host } of world.plants) host.clock.setRight()
  }

  /** Everybody who asks again is told of the machine that there is. */
  #askAgain (): void {
    const { world } = this
    for (const order of this.orders) {
      if (!order.acknowledged || this.excused.has(order.vmId) || !world.plants.some(({ host }) => host.machines.has(order.vmId))) continue
      const shop = world.random.fork('again', order.plan.sequence).pick(world.plants)
      const life = shop?.life
      if (shop === undefined || life === undefined) continue
      const expected = [...world.plants].find(({ host }) => host.machines.get(order.vmId)?.alive === true)
      world.timeline.after(usOf(order.plan.sequence), () => {
        order.askAgain(shop).then((view) => {
          if (this.excused.has(order.vmId) || !order.acknowledged) return
          if (view.state !== 'running' || view.plant !== expected?.peer) this.blame('same-answer', `order ${order.plan.sequence}, asked again at ${shop.name}, is said to be ${view.state} on ${world.nameOf(view.plant as never)}, and runs on ${expected?.name}`, order.vmId)
        }, (error: unknown) => {
          if (order.acknowledged && !this.excused.has(order.vmId)) this.blame('same-answer', `order ${order.plan.sequence} runs on ${expected?.name}, and asked again at ${shop.name} it ends in ${asPlantError(error).code}`, order.vmId)
        })
      }, life)
    }
  }

  /** Machines that no client waits for (it gave up, or collected the other one of two that were made in a cut mesh): somebody clears up. */
  #collectOthers (): void {
    for (const order of this.orders) {
      if (order.acknowledged) continue
      // Where it is: another shop may be answered by the plant that had the other one, that it was collected.
      const there = this.world.plants.find(({ host }) => host.machines.has(order.vmId))
      if (there !== undefined) order.collect(there)
    }
  }

  #strikes (): FuzzOutcome['strikes'] {
    const { strikes, timeline } = this.world
    strikes.add('standStill', timeline.waited)
    return Object.fromEntries([...strikes.counts].filter(([, times]) => times > 0))
  }

  #note (event: SimEvent): void {
    if (event.kind === 'order.askedTwice') this.world.strikes.add('askedTwice')
    if (event.kind === 'order.clientLeft') this.world.strikes.add('clientLeft')
    if (event.kind !== 'machine.died' || event['reason'] === 'it was ended by its plant') return
    this.excused.add(event['vmId'] as VmId)
  }

  #onErrorLog (plant: string, fields: Record<string, unknown>, message: string): void {
    const text = JSON.stringify(fields)
    if (/TypeError|ReferenceError|RangeError|bug:|illegal transition|booked twice/.test(text)) this.blame('errors', `${plant} says: ${message} ${text.slice(0, 600)}`)
  }
}
