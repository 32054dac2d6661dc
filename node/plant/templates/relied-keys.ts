/**
 * Keys whose marks this plant goes by: of those who made or published what is on its shelf, of those whose machines it runs, of those who mark through its API.
 * Others can be made by the thousand for nothing; these cannot, so theirs keep their room when marks are many.
 */
import type { Clock, KeyId } from '../../../protocols/kit/index.ts'
import type { Records } from '../../../storage/records/records.ts'
import type { Warehouse } from '../../../storage/warehouse/warehouse.ts'
import { LIVE_STATES } from '../instance.ts'

export interface ReliedKeysComponents {
  clock: Pick<Clock, 'monotonicMs'>
  warehouse: Pick<Warehouse, 'list'>
  records: Pick<Records, 'machines'>
}

/** They are gathered anew after so long: it is asked for each mark when there is no room. */
const FRESH_MS = 10_000
/** Keys that marked through the API and are remembered, the latest. */
export const MARKERS_MAX = 1_024

/** See the head of this file. */
export class ReliedKeys {
  readonly #c: ReliedKeysComponents
  readonly #markers = new Set<KeyId>()
  #keys: ReadonlySet<KeyId> = new Set()
  #gatheredMs = -Infinity

  constructor (components: ReliedKeysComponents) { this.#c = components }

  has (by: KeyId): boolean {
    const nowMs = this.#c.clock.monotonicMs()
    if (nowMs - this.#gatheredMs >= FRESH_MS) {
      this.#gatheredMs = nowMs
      this.#keys = this.#gathered()
    }
    return this.#markers.has(by) || this.#keys.has(by)
  }

  /** Who can use the API marks. */
  marks (by: KeyId): void {
    this.#markers.delete(by)
    this.#markers.add(by)
    const oldest = this.#markers.size > MARKERS_MAX ? this.#markers.values().next().value : undefined
    if (oldest !== undefined) this.#markers.delete(oldest)
  }

  #gathered (): Set<KeyId> {
    const keys = new Set<KeyId>()
    for (const { publisher, publishedBy } of this.#c.warehouse.list()) {
      if (publisher !== undefined) keys.add(publisher)
      if (publishedBy !== undefined) keys.add(publishedBy.domainKey)
    }
    for (const { owner, domainKey } of this.#c.records.machines(LIVE_STATES)) keys.add(owner).add(domainKey)
    return keys
  }
}
