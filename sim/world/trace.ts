/** What happened, in order, and the digest over it: two runs are the same when their digests are. */
import { sha256 } from '@noble/hashes/sha2.js'
import { toHex } from '../../protocols/kit/index.ts'
import type { SimEvent } from '../scenario/index.ts'
import type { Timeline } from './timeline.ts'

/** Characters of text that are hashed at once. */
const CHUNK_CHARS = 1 << 16

/** An event as it is hashed: JSON with its keys in order and a line end; what is undefined is left out. Every number has one text in ECMAScript. */
export function canonical (event: SimEvent): string {
  const parts: string[] = []
  for (const key of Object.keys(event).sort()) {
    const value = event[key]
    if (value !== undefined) parts.push(`${JSON.stringify(key)}:${typeof value === 'object' && value !== null ? canonicalValue(value) : JSON.stringify(value)}`)
  }
  return `{${parts.join(',')}}\n`
}

function canonicalValue (value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalValue).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  return `{${Object.entries(value).filter(([, one]) => one !== undefined).sort(([a], [b]) => a < b ? -1 : 1).map(([key, one]) => `${JSON.stringify(key)}:${canonicalValue(one)}`).join(',')}}`
}

/** The trace of one run. Keeps nothing: who wants the events takes them as they come. */
export class Trace {
  readonly #timeline: Timeline
  readonly #onEvent: ((event: SimEvent) => void) | undefined
  readonly #hash = sha256.create()
  readonly #encoder = new TextEncoder()
  #text = ''
  #events = 0

  constructor (timeline: Timeline, onEvent?: (event: SimEvent) => void) {
    this.#timeline = timeline
    this.#onEvent = onEvent
  }

  get events (): number { return this.#events }

  tell (kind: string, plant: string | undefined, fields: Record<string, unknown> = {}): void {
    const event: SimEvent = { ...fields, atMs: this.#timeline.nowMs, id: this.#events++, ...(plant !== undefined && { plant }), kind }
    this.#text += canonical(event)
    if (this.#text.length > CHUNK_CHARS) this.#flush()
    this.#onEvent?.(event)
  }

  /** Hex SHA-256 over all events and the number of kernel events; to be asked once, at the end. */
  digest (): string {
    this.#text += `${this.#timeline.handled}\n`
    this.#flush()
    return toHex(this.#hash.digest())
  }

  #flush (): void {
    this.#hash.update(this.#encoder.encode(this.#text))
    this.#text = ''
  }
}
