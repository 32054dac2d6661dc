/** Orders of a scenario: when each is placed, by which client, for what machine. */
import type { RandomStream } from '../kernel/index.ts'
import { plantsOf, type HoldSpec, type MachineSpec, type OrderSource, type PoissonSource, type SeriesSource } from '../scenario/index.ts'
import { ClientOrder, type OrderPlan } from './client.ts'
import type { SimPlant } from './plant.ts'
import type { World } from './world.ts'

/** Places the orders of a world's scenario. */
export class Sources {
  readonly orders: ClientOrder[] = []
  readonly #world: World
  /** Plants that take orders. */
  readonly #shopNames: ReadonlySet<string>
  /** Sources that will still place orders. */
  #going = 0

  constructor (world: World) {
    this.#world = world
    this.#shopNames = new Set([...plantsOf(world.scenario)].flatMap(({ name, group }) => group.shop ? [name] : []))
  }

  /** No order will be placed any more. */
  get ended (): boolean { return this.#going === 0 }

  plan (): void {
    for (const [at, source] of this.#world.scenario.orders.entries()) {
      const random = this.#world.random.fork('source', at)
      switch (source.kind) {
        case 'list':
          for (const [n, { atMs, holdMs, shop, machine }] of source.orders.entries()) {
            const hold = holdMs ?? holdOf(source.hold, random)
            this.#later(atMs + source.fromMs, () => this.#place(at, String(n), {
              machine: { ...source.machine, ...machine } as MachineSpec,
              ...(hold !== undefined && { holdMs: hold }),
              shops: this.#shops(source, shop)
            }))
          }
          break
        case 'series': this.#series(source, at, random); break
        case 'poisson': this.#poissonAll(source, at, random); break
        case 'trace':
          for (const job of source.jobs) {
            this.#later(source.fromMs + job.submitMs * source.intervalScale, () => this.#place(at, job.id, {
              machine: { ...source.machine, cpus: Math.min(job.cpus, source.cpusMax), ...(job.memoryMiB !== undefined && { memoryMiB: job.memoryMiB }) },
              holdMs: job.runMs,
              ...(job.requestedMs !== undefined && { requestedMs: job.requestedMs }),
              shops: this.#shops(source)
            }))
          }
          break
      }
    }
  }

  #series (source: SeriesSource, at: number, random: RandomStream): void {
    let left = source.count
    let number = 0
    const next = (afterMs: number): void => {
      if (left-- <= 0) return
      this.#later(this.#world.timeline.nowMs + afterMs, () => {
        const hold = holdOf(source.hold, random)
        this.#going++
        this.#place(at, String(number++), {
          machine: source.machine,
          ...(hold !== undefined && { holdMs: hold }),
          shops: this.#shops(source),
          onAnswered: () => {
            next(source.thinkMs)
            this.#going--
          }
        })
      })
    }
    for (let client = 0; client < source.clients; client++) next(source.fromMs)
  }

  #poissonAll (source: PoissonSource, at: number, random: RandomStream): void {
    const left = { count: source.count ?? Infinity, number: 0 }
    if (source.per === 'mesh') this.#poisson(source, at, random, this.#shops(source), left)
    else for (const shop of this.#shops(source)) this.#poisson(source, at, random.fork('plant', shop.name), [shop], left)
  }

  #poisson (source: PoissonSource, at: number, random: RandomStream, shops: SimPlant[], left: { count: number, number: number }): void {
    const next = (fromMs: number): void => {
      const atMs = fromMs + random.exponential(source.meanIntervalMs)
      if (left.count <= 0 || atMs > (source.toMs ?? Infinity)) return
      this.#later(atMs, () => {
        if (left.count-- <= 0) return
        const hold = holdOf(source.hold, random)
        this.#place(at, String(left.number++), { machine: source.machine, ...(hold !== undefined && { holdMs: hold }), shops })
        next(atMs)
      })
    }
    next(source.fromMs)
  }

  #later (atMs: number, fn: () => void): void {
    this.#going++
    this.#world.timeline.at(Math.round(atMs * 1_000), () => {
      fn()
      this.#going--
    })
  }

  #place (at: number, id: string, plan: Omit<OrderPlan, 'sequence' | 'source' | 'id' | 'atMs'>): void {
    const order = new ClientOrder(this.#world, { ...plan, sequence: this.orders.length + 1, source: at, id, atMs: this.#world.timeline.nowMs })
    this.orders.push(order)
    order.place()
  }

  #shops (source: OrderSource, plant = source.shop.plant): SimPlant[] {
    const { site } = source.shop
    const fitting = this.#world.plants.filter(({ name, host }) => plant === undefined ? (site === undefined || host.site === site) && this.#shopNames.has(name) : name === plant)
    if (fitting.length === 0) throw new Error('no plant takes the order, though the scenario was checked')
    return fitting
  }
}

function holdOf (hold: HoldSpec, random: RandomStream): number | undefined {
  if (hold.kind === 'forever') return undefined
  return hold.kind === 'fixed' ? hold.ms : random.exponential(hold.meanMs)
}
