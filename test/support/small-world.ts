/** A few of the daemon's plants in a virtual world, for what the simulator found once and must not find again. */
import { microtaskQuiet } from '../../sim/drivers/quiet.ts'
import { scenarioFile, type MachineSpec, type Scenario } from '../../sim/scenario/index.ts'
import type { Capacity } from '../../node/plant/capacity.ts'
import { ClientOrder } from '../../sim/world/client.ts'
import type { SimPlant } from '../../sim/world/plant.ts'
import { World, type WorldInit } from '../../sim/world/world.ts'

export class SmallWorld {
  readonly world: World
  #orders = 0
  #nowMs = 0

  /** With `holders` plants fetch golden machines of each other, and only the first so many have one. */
  constructor (plants: number, options: { holders?: number, spareMemoryMiB?: number, capacity?: Partial<Capacity>, life?: WorldInit['life'] } = {}) {
    const file = scenarioFile.parse({
      apiVersion: 'plantmesh-sim/v1', kind: 'Scenario', name: 'small',
      plants: Array.from({ length: plants }, (_, at) => ({ name: `p${at + 1}`, ...(options.capacity !== undefined && { capacity: options.capacity }), ...(at >= (options.holders ?? plants) && { golden: [] }) })), timings: { set: 'measured', vary: false }, golden: [{ name: 'linux', memoryMiB: 64, diskMiB: 64 }]
    })
    this.world = new World({ scenario: { ...file, orders: [] } as Scenario, seed: 1, quiet: microtaskQuiet(), ...(options.holders !== undefined && { images: { bytesPerMs: 12_500 } }), ...(options.spareMemoryMiB !== undefined && { spareMemoryMiB: options.spareMemoryMiB }), ...(options.life !== undefined && { life: options.life }) })
    this.world.start()
  }

  plant (name: string): SimPlant {
    const plant = this.world.plant(name)
    if (plant === undefined) throw new Error(`there is no ${name}`)
    return plant
  }

  async pass (ms: number): Promise<void> {
    this.#nowMs += ms
    await this.world.run(this.#nowMs)
  }

  /** A client asks now, at that shop. */
  order (shop: string, more: Partial<MachineSpec> = {}): ClientOrder {
    const machine: MachineSpec = { os: 'linux', cpus: 1, memoryMiB: 64, diskMiB: 64, domain: 'default', actions: [], requirements: 'true', strict: false, ...more }
    const order = new ClientOrder(this.world, { sequence: ++this.#orders, source: 0, id: String(this.#orders), machine, atMs: this.#nowMs, shops: [this.plant(shop)] })
    order.place()
    return order
  }

  cut (from: string[], to: string[]): void {
    this.world.network.cut({ from: new Set(from.map((name) => this.plant(name).peer)), to: new Set(to.map((name) => this.plant(name).peer)) }, false)
  }
}
