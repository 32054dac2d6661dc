/** How quiet each plant was at its quietest: what it has planned at any one moment may be one question's, what it always has is what it keeps. */
import type { SimPlant } from '../world/plant.ts'

/** The fewest timers each plant had planned since the lull began. */
export class Lulls {
  readonly #least = new Map<string, number>()

  begin (): void { this.#least.clear() }

  /** After an event. */
  look (plants: readonly SimPlant[]): void {
    for (const { name, life } of plants) if (life !== undefined) this.#least.set(name, Math.min(life.timers, this.#least.get(name) ?? Infinity))
  }

  of (name: string): number { return this.#least.get(name) ?? 0 }
}
