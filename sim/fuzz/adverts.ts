/**
 * What plants know of each other is what those said, and not too long ago. What a plant said is taken from its key: whatever it signed, and nobody else can.
 * Views are the plants' own books; they are what is checked here.
 */
import { z } from 'zod'
import { decode, type PeerId } from '../../protocols/kit/index.ts'
import { ADVERT_CONTEXT, CAPACITY_TOPIC } from '../../protocols/capacity/constants.ts'
import type { SimPlant } from '../world/plant.ts'
import type { Gossip } from '../world/network/pubsub.ts'
import { isLive, problem, type Checker, type Problem, type Seen } from './seen.ts'

/** Of an ad, what orders are decided by. */
const FIGURES = ['site', 'cpus', 'freeCpus', 'memoryMiB', 'freeMemoryMiB', 'diskMiB', 'freeDiskMiB', 'machines', 'freeMachines', 'freeNetworks', 'load'] as const
/** Views are looked at so often. */
const LOOK_EVERY_MS = 1_000
/** In peace what is said is heard within this everywhere, on the worst of drawn links. */
const HEARD_MS_MAX = 10_000

const body = z.object({ epoch: z.number(), seq: z.number(), ad: z.record(z.string(), z.unknown()).optional() })
const envelope = z.object({ body: z.instanceof(Uint8Array) })

/** Which advert of its author it is. */
interface Count { epoch: number, seq: number }
interface Said extends Count { atMs: number, text: string, ad: Record<string, unknown> | undefined }

/** Views against everything that plants have signed. */
export class AdvertTruth implements Checker {
  readonly name = 'adverts'
  readonly #said = new Map<PeerId, Said[]>()
  /** What each life of a plant took last of each author by gossip. */
  readonly #taken = new Map<string, Map<PeerId, Uint8Array>>()
  /** Read once, though many plants take it. */
  readonly #read = new WeakMap<Uint8Array, Count>()
  #lookedMs = 0

  /** A plant's key has signed something. */
  onSigned (by: PeerId, bytes: Uint8Array, atMs: number): void {
    const context = new TextDecoder().decode(bytes.subarray(0, ADVERT_CONTEXT.length))
    if (context !== ADVERT_CONTEXT) return
    const { epoch, seq, ad } = decode(body, bytes.subarray(ADVERT_CONTEXT.length))
    const all = this.#said.get(by) ?? []
    this.#said.set(by, all)
    all.push({ epoch, seq, atMs, ad, text: JSON.stringify(FIGURES.map((figure) => ad?.[figure])) })
  }

  onTaken (at: SimPlant | undefined, { from, topic, message }: Gossip, verdict: string): void {
    if (at?.life === undefined || topic !== CAPACITY_TOPIC || verdict !== 'accept') return
    const life = `${at.name}/${at.life.incarnation}`
    const taken = this.#taken.get(life) ?? new Map<PeerId, Uint8Array>()
    this.#taken.set(life, taken)
    taken.set(from, message)
  }

  afterEvent (seen: Seen): Problem | undefined {
    const { nowMs } = seen.world.timeline
    if (nowMs - this.#lookedMs < LOOK_EVERY_MS) return undefined
    this.#lookedMs = nowMs
    for (const plant of seen.world.plants) {
      for (const entry of entriesOf(plant)) {
        const text = this.#wrongWith(plant, entry)
        if (text !== undefined) return problem(this.name, seen, `${plant.name} has ${seen.world.nameOf(entry.peer)} in view ${text}`)
      }
    }
    return undefined
  }

  atRest (seen: Seen): Problem[] {
    return seen.world.plants.flatMap((plant) => {
      const text = this.#offerWrong(plant, seen.world.timeline.nowMs)
      return [
        ...(text === undefined ? [] : [problem(this.name, seen, `${plant.name} ${text}`)]),
        ...seen.world.plants.filter((other) => other !== plant).flatMap((other) => {
          const stale = this.#staleWith(plant, other, seen.world.timeline.nowMs)
          return stale === undefined ? [] : [problem(this.name, seen, `${plant.name} ${stale}`)]
        })
      ]
    })
  }

  atEnd (seen: Seen): Problem[] { return this.atRest(seen) }

  #countOf (message: Uint8Array): Count {
    let count = this.#read.get(message)
    if (count === undefined) this.#read.set(message, count = decode(body, decode(envelope, message).body))
    return count
  }

  #sayings (of: PeerId, text: string): Said[] { return (this.#said.get(of) ?? []).filter((one) => one.text === text) }

  #wrongWith (plant: SimPlant, { peer, text }: Entry): string | undefined {
    const sayings = this.#sayings(peer, text)
    if (sayings.length === 0) return `with what that never said: ${text}`
    const taken = this.#taken.get(`${plant.name}/${plant.life?.incarnation ?? -1}`)?.get(peer)
    if (taken === undefined) return undefined
    const newest = this.#countOf(taken)
    if (sayings.some((said) => !isBefore(said, newest))) return undefined
    return `with what that said before its newest that was taken: ${text}`
  }

  /** What the other said last, as far as it must have been heard by now, is what is known of it. */
  #staleWith (plant: SimPlant, other: SimPlant, nowMs: number): string | undefined {
    const entry = entriesOf(plant).find(({ peer }) => peer === other.peer)
    if (entry === undefined) return `does not have ${other.name} in view`
    const heard = (this.#said.get(other.peer) ?? []).findLast(({ atMs }) => atMs <= nowMs - HEARD_MS_MAX)
    const sayings = this.#sayings(other.peer, entry.text)
    if (heard !== undefined && !sayings.some((said) => !isBefore(said, heard))) return `has ${other.name} in view with ${entry.text}, and that has long said ${heard.text}`
    const lateMs = nowMs - entry.ageMs - Math.max(...sayings.map(({ atMs }) => atMs))
    return lateMs > HEARD_MS_MAX ? `takes what ${other.name} said for ${Math.round(lateMs)} ms younger than it is` : undefined
  }

  /** What a plant said last of itself is what its host has, unless that has changed just now. */
  #offerWrong ({ host, peer, life }: SimPlant, nowMs: number): string | undefined {
    const last = this.#said.get(peer)?.at(-1)
    if (life === undefined || last?.ad === undefined) return 'has said nothing of itself'
    const records = [...host.records.machines.values()]
    if (records.some(({ changedAtMs }) => host.clock.wallMs - changedAtMs < HEARD_MS_MAX)) return undefined
    if (nowMs - last.atMs > 2 * HEARD_MS_MAX) return `has said nothing of itself for ${Math.round(nowMs - last.atMs)} ms`
    const leases = records.filter(isLive).map(({ lease }) => lease)
    const left = {
      freeMachines: host.capacity.machines - leases.length,
      freeCpus: host.capacity.cpus - leases.reduce((sum, { cpus }) => sum + cpus, 0),
      freeMemoryMiB: host.capacity.memoryMiB - leases.reduce((sum, { memoryMiB }) => sum + memoryMiB, 0),
      freeDiskMiB: host.capacity.diskMiB - leases.reduce((sum, { diskMiB, attachedMiB = 0 }) => sum + diskMiB + attachedMiB, 0)
    }
    for (const [figure, value] of Object.entries(left)) if (last.ad[figure] !== value) return `says that it has ${String(last.ad[figure])} ${figure}, and has ${value}`
    return undefined
  }
}

interface Entry { peer: PeerId, ageMs: number, text: string }

/** What a plant has of the others in view. */
function entriesOf ({ node }: SimPlant): Entry[] {
  return (node?.shop.plants() ?? []).filter(({ self }) => !self).map(({ plant, ageMs, ad }) => ({
    peer: plant, ageMs, text: JSON.stringify(FIGURES.map((figure) => ad[`${figure.charAt(0).toUpperCase()}${figure.slice(1)}`]))
  }))
}

function isBefore (a: Count, b: Count): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.seq < b.seq)
}
