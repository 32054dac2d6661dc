/**
 * libp2p's store, in memory and bounded: peers make it grow (provider records, records, addresses), so that the oldest entries go when it is
 * full. Nothing here must outlive the process: what a plant must not forget is in its records.
 */
import { MemoryDatastore } from 'datastore-core'
import type { Key } from 'interface-datastore'
import { STORE_ENTRIES_MAX, STORE_VALUE_BYTES_MAX } from './mesh-limits.ts'

export class BoundedDatastore extends MemoryDatastore {
  /** Keys in the order in which they were last written. */
  readonly #written = new Map<string, Key>()
  readonly #entriesMax: number
  readonly #keep: string

  /** Entries whose key holds the text `keep` (this peer's own) never go: peers must not be able to push them out. */
  constructor (keep: string, entriesMax: number = STORE_ENTRIES_MAX) {
    super()
    this.#keep = keep
    this.#entriesMax = entriesMax
  }

  get size (): number { return this.#written.size }

  override put (key: Key, value: Uint8Array): Key {
    if (value.length > STORE_VALUE_BYTES_MAX) throw new Error(`a value of ${value.length} bytes is above the bound`)
    const name = key.toString()
    super.put(key, value)
    if (name.includes(this.#keep)) return key
    this.#written.delete(name)
    this.#written.set(name, key)
    if (this.#written.size > this.#entriesMax) this.#dropOldest()
    return key
  }

  override delete (key: Key): void {
    this.#written.delete(key.toString())
    super.delete(key)
  }

  #dropOldest (): void {
    const oldest = this.#written.values().next().value
    if (oldest !== undefined) this.delete(oldest)
  }
}
