/**
 * An image flash crowd: one plant has an image, many want it at once, and each line carries so much up and so much down. Time goes in slots in which a line at full rate carries one
 * chunk; a plant that has got a chunk sends it on from the next slot. Plants know as many others as a fetch dials, and take what they lack from one that can send: what the picker, the
 * upload order and the spreading of the real swarm (storage/swarm) come to when nothing is lost. Latency is hidden by their pipelines, so there is none here.
 */
import { NONE_LEFT, ChunkSets } from './chunk-sets.ts'
import type { RandomStream } from '../kernel/index.ts'

/** What a crowd is made from. */
export interface CrowdInit {
  random: RandomStream
  /** Plants that want it; one more has it. */
  plants: number
  chunks: number
  /** Others that each plant dials; it is dialled by about as many. */
  dialled: number
  /** Of these plants the lines carry `slowRate` of the others'. */
  slowShare: number
  slowRate: number
  /** Told the share of chunks that have come, now and then; false ends it. */
  onProgress?: (share: number) => boolean
}

/** What came of it. */
export interface CrowdResult {
  /** By plant, the slot after which it had all; 0: it had not when it was ended. */
  doneSlot: Int32Array
  slots: number
  /** Chunks that the publisher sent. */
  sentByPublisher: number
  transfers: number
}

/** Plants that a publisher serves at once (WIRES_PER_PACK_MAX). */
const PUBLISHER_WIRES = 64
/** A crowd takes a few file times; one that takes so many never ends. */
const FILE_TIMES_MAX = 1_000

/** Runs it to its end. The publisher is plant 0 of its arrays. */
export function flashCrowd (init: CrowdInit): CrowdResult {
  return new Crowd(init).run()
}

class Crowd {
  readonly #init: CrowdInit
  readonly #count: number
  readonly #sets: ChunkSets
  readonly #neighbours: Int32Array[]
  readonly #rate: Float64Array
  readonly #up: Float64Array
  readonly #down: Float64Array
  readonly #doneSlot: Int32Array
  /** Chunks that the publisher has sent to nobody yet: it sends each once before any twice. */
  #novel = 0
  #sent = 0
  #transfers = 0

  constructor (init: CrowdInit) {
    this.#init = init
    this.#count = init.plants + 1
    this.#sets = new ChunkSets(this.#count, init.chunks)
    this.#sets.fill(0)
    this.#neighbours = neighbourhoods(init)
    const slow = init.random.fork('slow')
    this.#rate = Float64Array.from({ length: this.#count }, (_, plant) => plant > 0 && slow.chance(init.slowShare) ? init.slowRate : 1)
    this.#up = new Float64Array(this.#count)
    this.#down = new Float64Array(this.#count)
    this.#doneSlot = new Int32Array(this.#count)
  }

  run (): CrowdResult {
    const { plants, chunks, random, onProgress } = this.#init
    const order = Int32Array.from({ length: plants }, (_, i) => i + 1)
    const turn = random.fork('turn')
    let left = plants
    let slot = 0
    while (left > 0 && slot < chunks * FILE_TIMES_MAX) {
      slot++
      // Who asks first is drawn anew.
      for (let i = plants - 1; i > 0; i--) {
        const j = turn.int(i + 1)
        const one = order[i] as number
        order[i] = order[j] as number
        order[j] = one
      }
      const got = this.#slot(order, turn)
      for (let i = 0; i < got.length; i += 2) {
        const plant = got[i] as number
        this.#sets.add(plant, got[i + 1] as number)
        if (this.#sets.size(plant) < chunks) continue
        this.#doneSlot[plant] = slot
        left--
      }
      if (slot % PROGRESS_SLOTS === 0 && onProgress?.(this.#transfers / (plants * chunks)) === false) break
    }
    return { doneSlot: this.#doneSlot.subarray(1), slots: slot, sentByPublisher: this.#sent, transfers: this.#transfers }
  }

  /** What goes over the lines in one slot: pairs of plant and chunk. A line that carries less than a chunk in a slot saves up. */
  #slot (order: Int32Array, turn: RandomStream): number[] {
    const got: number[] = []
    for (let plant = 0; plant < this.#count; plant++) {
      this.#up[plant] = Math.min(1, this.#up[plant] as number) % 1 + (this.#rate[plant] as number)
      this.#down[plant] = Math.min(1, this.#down[plant] as number) % 1 + (this.#rate[plant] as number)
    }
    for (const plant of order) {
      if ((this.#down[plant] as number) < 1 || this.#doneSlot[plant] !== 0) continue
      const neighbours = this.#neighbours[plant] as Int32Array
      const first = turn.int(neighbours.length)
      for (let i = 0; i < neighbours.length; i++) {
        const source = neighbours[(first + i) % neighbours.length] as number
        if ((this.#up[source] as number) < 1 || this.#sets.size(source) === 0) continue
        const chunk = source === 0 ? this.#fromPublisher(plant, turn) : this.#sets.drawLacking(plant, source, turn)
        if (chunk === NONE_LEFT) continue
        this.#up[source] = (this.#up[source] as number) - 1
        this.#down[plant] = (this.#down[plant] as number) - 1
        this.#transfers++
        got.push(plant, chunk)
        break
      }
    }
    return got
  }

  #fromPublisher (plant: number, turn: RandomStream): number {
    if (this.#novel < this.#init.chunks) {
      this.#sent++
      return this.#novel++
    }
    const chunk = this.#sets.drawLacking(plant, 0, turn)
    if (chunk !== NONE_LEFT) this.#sent++
    return chunk
  }
}

/** Slots between two words of progress. */
const PROGRESS_SLOTS = 64

/** Each plant dials so many that it draws, and answers those that dial it; the publisher answers so many. */
function neighbourhoods ({ random, plants, dialled }: CrowdInit): Int32Array[] {
  const draw = random.fork('neighbours')
  const known = Array.from({ length: plants + 1 }, () => new Set<number>())
  for (const plant of draw.shuffled(Array.from({ length: plants }, (_, i) => i + 1))) {
    const wanted = Math.min(dialled, plants)
    for (let tries = 0, dialledOnes = 0; dialledOnes < wanted && tries < 4 * wanted; tries++) {
      const other = draw.int(plants + 1)
      if (other === plant || known[plant]?.has(other) === true || (other === 0 && (known[0]?.size ?? 0) >= PUBLISHER_WIRES)) continue
      known[plant]?.add(other)
      known[other]?.add(plant)
      dialledOnes++
    }
  }
  // Of a small crowd all dial the publisher, and of a large one as many as it answers.
  for (let plant = 1; plant <= plants && (known[0]?.size ?? 0) < PUBLISHER_WIRES; plant++) {
    known[0]?.add(plant)
    known[plant]?.add(0)
  }
  return known.map((others) => Int32Array.from(others))
}
