/** Owners who publish their machines in the middle of all that goes wrong, and have some of it removed again. What they were told must hold. */
import { asPlantError, type GoldenId } from '../../protocols/kit/index.ts'
import { NONCE_BYTES, signCall } from '../../protocols/member/index.ts'
import { signMark } from '../../protocols/template/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { versionOf } from '../../protocols/order/versions.ts'
import type { ClientOrder } from '../world/client.ts'
import { START_WALL_MS } from '../world/clock.ts'
import type { SimPlant } from '../world/plant.ts'
import { usOf } from '../world/timeline.ts'
import type { World } from '../world/world.ts'
import type { Publication } from './draw-images.ts'

/** A removal that is refused because machines are made of it, or that the network fails, is asked for again. */
const REMOVE_AGAIN_MS = 5_000
const REMOVE_TRIES_MAX = 8
/** What it is worth asking again after. */
const STOPS: readonly string[] = ['NOT_AUTHORISED', 'GOLDEN_UNKNOWN', 'MESSAGE_INVALID']

/** The owners of one run. */
export class Publishers {
  /** Golden machines whose removal somebody asked for who may. */
  readonly unwanted = new Set<GoldenId>()
  /** Those whose removal was said to be done. */
  readonly removed = new Set<GoldenId>()
  readonly #world: World
  readonly #orders: readonly ClientOrder[]

  constructor (world: World, orders: readonly ClientOrder[]) {
    this.#world = world
    this.#orders = orders
  }

  plan (publications: readonly Publication[]): void {
    for (const one of publications) this.#world.timeline.at(usOf(one.atMs), () => { this.#publish(one) })
  }

  #publish (wanted: Publication): void {
    const order = this.#orders[wanted.order]
    const shop = this.#shop()
    if (order === undefined || !order.acknowledged || shop?.life === undefined) return
    const { life } = shop
    const signed = signCall(order.key, { kind: 'publish', vmId: order.vmId, via: shop.peer, body: { name: wanted.name }, issuedAtMs: this.#wallMs(), nonce: this.#random(wanted).bytes(NONCE_BYTES) })
    this.#world.timeline.after(0, () => {
      shop.node?.shop.call(signed, {}, new AbortController().signal).then((answer) => {
        if (life.dead || answer.kind !== 'golden') return
        this.#world.strikes.add('published')
        const golden = answer.golden as unknown as Golden
        this.#world.tell('golden.published', shop.name, { golden: golden.goldenId, name: golden.name, vmId: order.vmId })
        if (wanted.removeAfterMs !== undefined) this.#world.timeline.after(usOf(wanted.removeAfterMs), () => { this.#remove(golden, order) })
      }, (error: unknown) => { if (!life.dead) this.#world.tell('golden.publishFailed', shop.name, { vmId: order.vmId, code: asPlantError(error).code }) })
    }, life)
  }

  #remove (golden: Golden, order: ClientOrder, tries = 1): void {
    const shop = this.#shop()
    const again = (): void => { if (tries < REMOVE_TRIES_MAX) this.#world.timeline.after(usOf(REMOVE_AGAIN_MS), () => { this.#remove(golden, order, tries + 1) }) }
    if (shop?.life === undefined) return again()
    const { life } = shop
    const { goldenId, name } = golden
    const mark = signMark(order.key, { by: order.key.id, goldenId, kind: 'removed', name, version: versionOf(golden), atMs: this.#wallMs() })
    this.#world.timeline.after(0, () => {
      // From here on it may go, whatever its owner is told.
      this.unwanted.add(goldenId)
      shop.node?.templates.remove([mark], new AbortController().signal).then(() => {
        if (life.dead) return
        this.#world.strikes.add('removed')
        this.removed.add(goldenId)
        this.#world.tell('golden.removed', shop.name, { golden: goldenId, name })
      }, (error: unknown) => {
        const { code } = asPlantError(error)
        if (life.dead || STOPS.includes(code)) return
        again()
      })
    }, life)
  }

  #shop (): SimPlant | undefined { return this.#world.random.fork('publisher', this.#world.timeline.nowUs).pick(this.#world.plants.filter(({ node }) => node !== undefined)) }

  #random ({ order, atMs }: Publication): ReturnType<World['random']['fork']> { return this.#world.random.fork('publication', `${order}/${atMs}`) }

  #wallMs (): number { return Math.floor(START_WALL_MS + this.#world.timeline.nowMs) }
}
