/**
 * Faults that are aimed: they strike when something is just under way, which one drawn at a time of the clock hardly ever hits. Where and when that is they
 * see by looking at the world after every event.
 */
import type { RandomStream } from '../kernel/index.ts'
import type { ClientOrder } from '../world/client.ts'
import type { SimPlant } from '../world/plant.ts'
import { usOf } from '../world/timeline.ts'
import type { World } from '../world/world.ts'
import { strikeImages, type ImageAim } from './image-aims.ts'
import { registrarsOf } from './registered.ts'
import { isLive } from './seen.ts'

/** Each strikes once, at the first occasion from then on. */
export type Aim =
  | ImageAim
  /** A plant stands still while it asks the registrars about an award, for longer than a lease lives. */
  | { kind: 'stillInGrant', fromMs: number, forMs: number }
  /** A process dies while it collects a machine. */
  | { kind: 'crashInCollect', fromMs: number, restartAfterMs: number }
  /** A VMM ends, and the process dies while it clears away what is left of it. */
  | { kind: 'crashInBurial', fromMs: number, restartAfterMs: number }
  /** The registrars of a machine that runs die together and start again, its plant stands still, and the order is asked again elsewhere. */
  | { kind: 'registrarsCrash', fromMs: number }
  /** A client has its machine collected while its golden machine is made at another size. */
  | { kind: 'regretInResize', fromMs: number }

/** Aims strike before this, so that the longest is over when all must have come together. */
const FROM_MS_MAX = 45_000
const STRIKE_MS_MAX = 65_000
/** LEASE_TTL_MS by a clock that is five in a hundred slow is 126 s. */
const STILL_MS_MIN = 130_000
const RESTART_MS = 300
/** The plant of the machine is silent until the order was asked again, twice: registrars have started and know the mesh by then. */
const HOLDER_STILL_MS = 25_000
const AGAIN_MS: readonly number[] = [7_000, 11_000]

/** The aims of a case; most have none. */
export function drawAims (random: RandomStream): Aim[] {
  const fromMs = (): number => 4_000 + random.int(FROM_MS_MAX - 4_000)
  return [
    ...(random.chance(0.12) ? [{ kind: 'stillInGrant' as const, fromMs: fromMs(), forMs: STILL_MS_MIN + random.int(15_000) }] : []),
    ...(random.chance(0.12) ? [{ kind: 'crashInCollect' as const, fromMs: fromMs(), restartAfterMs: random.int(4_000) }] : []),
    ...(random.chance(0.1) ? [{ kind: 'crashInBurial' as const, fromMs: fromMs(), restartAfterMs: random.int(4_000) }] : []),
    ...(random.chance(0.1) ? [{ kind: 'registrarsCrash' as const, fromMs: fromMs() }] : []),
    ...(random.chance(0.35) ? [{ kind: 'regretInResize' as const, fromMs: fromMs() }] : [])
  ]
}

/** How much longer than others a case with these aims takes to come together. */
export function aftermathMs (aims: readonly Aim[]): number {
  return Math.max(0, ...aims.map((aim) => aim.kind === 'stillInGrant' ? STRIKE_MS_MAX + aim.forMs - 150_000 : 0))
}

/** The aims that have not struck yet. */
export class Aims {
  readonly #world: World
  readonly #orders: readonly ClientOrder[]
  #waiting: Aim[]
  #killed = false

  constructor (world: World, orders: readonly ClientOrder[], aims: readonly Aim[]) {
    this.#world = world
    this.#orders = orders
    this.#waiting = [...aims]
  }

  /** After every event. */
  look (): void {
    const { nowMs } = this.#world.timeline
    if (this.#waiting.length === 0) return
    this.#waiting = nowMs > STRIKE_MS_MAX ? [] : this.#waiting.filter((aim) => nowMs < aim.fromMs || !this.#strikes(aim))
  }

  #strikes (aim: Aim): boolean {
    switch (aim.kind) {
      case 'stillInGrant': return this.#stillInGrant(aim.forMs)
      case 'crashInCollect': return this.#crashInClearing('crashInCollect', 'collected', aim.restartAfterMs)
      case 'crashInBurial':
        this.#killed ||= this.#kill()
        return this.#killed && this.#crashInClearing('crashInBurial', 'failed', aim.restartAfterMs)
      case 'registrarsCrash': return this.#registrarsCrash()
      case 'regretInResize': return this.#regretInResize()
      default: {
        const struck = strikeImages(this.#world, aim)
        if (struck !== undefined) this.#tell(aim.kind, struck)
        return struck !== undefined
      }
    }
  }

  #stillInGrant (ms: number): boolean {
    const plant = this.#world.plants.find(({ host, node }) => node?.ledger.leases().some(({ vmId }) => !host.records.machines.has(vmId)))
    if (plant === undefined) return false
    this.#tell('stillInGrant', plant)
    plant.standStill(ms)
    return true
  }

  #kill (): boolean {
    const plant = this.#world.plants.find(({ host, node }) => node !== undefined && [...host.machines.values()].some(({ vmId, alive, made }) => alive && made && host.records.machines.get(vmId)?.state === 'running'))
    const machine = [...plant?.host.machines.values() ?? []].find(({ vmId, alive, made }) => alive && made && plant?.host.records.machines.get(vmId)?.state === 'running')
    if (plant === undefined || machine === undefined) return false
    plant.host.kill(machine, 'the VMM was killed')
    return true
  }

  #crashInClearing (kind: Aim['kind'], state: 'collected' | 'failed', restartAfterMs: number): boolean {
    const plant = this.#world.plants.find(({ host, life }) => life !== undefined && [...host.machines.keys()].some((vmId) => host.records.machines.get(vmId)?.state === state))
    if (plant === undefined) return false
    this.#tell(kind, plant)
    plant.crash()
    this.#startAfter(plant, restartAfterMs)
    return true
  }

  #registrarsCrash (): boolean {
    const world = this.#world
    for (const order of this.#orders) {
      if (!order.acknowledged) continue
      const holder = world.plants.find(({ host, node }) => node !== undefined && host.machines.get(order.vmId)?.alive === true && host.records.machines.get(order.vmId)?.provisional === false)
      const registrars = registrarsOf(world, order.vmId).flatMap((peer) => world.at(peer) ?? []).filter((plant) => plant !== holder && plant.node !== undefined)
      if (holder === undefined || registrars.length < 2) continue
      this.#tell('registrarsCrash', holder, order)
      for (const plant of registrars) {
        plant.crash()
        this.#startAfter(plant, RESTART_MS)
      }
      holder.standStill(HOLDER_STILL_MS)
      for (const ms of AGAIN_MS) world.timeline.after(usOf(ms), () => { this.#askAgain(order, holder) })
      return true
    }
    return false
  }

  #askAgain (order: ClientOrder, holder: SimPlant): void {
    const shop = this.#world.plants.find((plant) => plant !== holder && plant.node !== undefined)
    if (shop?.life === undefined) return
    this.#world.timeline.after(0, () => { order.askAgain(shop).catch(() => {}) }, shop.life) // Its plant does not answer: that may be told.
  }

  #regretInResize (): boolean {
    const plant = this.#world.plants.find(({ host, life }) => life !== undefined && host.drafts.size > 0)
    const order = plant && this.#orders.find(({ vmId, collecting, plan }) => {
      const record = plant.host.records.machines.get(vmId)
      return !collecting && plan.source === 0 && record !== undefined && isLive(record) && record.state === 'creating' && !plant.host.machines.has(vmId)
    })
    if (plant === undefined || order === undefined) return false
    this.#tell('regretInResize', plant, order)
    order.collect(plant)
    return true
  }

  #startAfter (plant: SimPlant, ms: number): void { this.#world.timeline.after(usOf(ms), () => { plant.start() }) }

  #tell (aim: Aim['kind'], plant: SimPlant, order?: ClientOrder): void {
    this.#world.strikes.add(`aim ${aim}`)
    this.#world.tell(`fault.${aim}`, plant.name, order === undefined ? {} : { vmId: order.vmId })
  }
}
