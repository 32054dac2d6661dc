/** Runs a scenario with `mode: arrays`: up to millions of plants that place orders, decided over typed arrays (README.md says what is modelled). */
import { sha256 } from '@noble/hashes/sha2.js'
import { toHex } from '../../protocols/kit/index.ts'
import type { RunResult, Scenario, SimEvent, Simulate, ViewSample } from '../scenario/index.ts'
import { exactExp } from '../kernel/index.ts'
import { GRANTED, type Market } from './bid-market.ts'
import { BidRounds, TAPE, type Tape } from './bid-rounds.ts'
import { compareGossip } from './gossip-check.ts'
import { marketOfScenario } from './market-of-scenario.ts'
import { TypedDesk } from './typed-desk.ts'

/** Looks at progress, the signal and the mesh so often in a run. */
const SLICES = 64

/**
 * The `Simulate` of `mode: arrays`. Of jobs and bids it keeps counts, not lists: `figures` has orders, granted, refused, released, messages, bids, refusals,
 * awardsRefused, running, plants, bytes, bytesPerPlant, gossip.messages, and for the aggregate gossip gossip.sampledPlants,
 * gossip.spreadDeviationShare and gossip.ageDeviationShare (gossip-check.ts). Throws CONFIG_INVALID for what only `mode: cores` has.
 */
export const simulateAtScale: Simulate = async (scenario, seed, options = {}) => {
  const market = marketOfScenario(scenario, seed)
  const trace = new Trace(options.onEvent)
  const rounds = new BidRounds(market, (of, ties) => new TypedDesk(of, ties), trace.tape)
  const untilMs = scenario.until.ms ?? 0
  const views: ViewSample[] = []
  let ended: RunResult['ended'] = 'time'
  for (let slice = 1; slice <= SLICES; slice++) {
    rounds.runUntil(untilMs * slice / SLICES)
    views.push(viewOf(rounds, market, untilMs * slice / SLICES))
    options.onProgress?.(slice / SLICES)
    if (options.signal?.aborted === true) {
      ended = 'stopped'
      break
    }
  }
  return {
    traceHash: trace.hash(),
    seed,
    events: rounds.counts.events,
    endedMs: views.at(-1)?.atMs ?? 0,
    ended,
    jobs: [],
    bids: [],
    views,
    faults: [],
    figures: { ...figuresOf(rounds, market), ...gossipFigures(scenario, market, seed) },
    machinesByPlant: {}
  }
}

function figuresOf (rounds: BidRounds, { plants }: Market): Record<string, number> {
  const { orders, granted, refused, released, messages, bids, refusals, awardsRefused } = rounds.counts
  const { bytes } = rounds
  return { plants, orders, granted, refused, released, running: granted - released, messages, bids, refusals, awardsRefused, bytes, bytesPerPlant: bytes / plants, 'gossip.messages': rounds.gossipMessages }
}

/** How far the model of gossip is off, at as many plants as the scenario says. */
function gossipFigures ({ scale }: Scenario, market: Market, seed: number): Record<string, number> {
  const sampled = Math.min(scale.sampledPlants, market.plants)
  if (market.gossip === 'message' || sampled < 2) return {}
  const { periodMs, latencyMs, viewEntries } = market
  const { spreadDeviation, ageDeviation } = compareGossip({ seed, plants: sampled, periodMs, latencyMs, viewEntries })
  return { 'gossip.sampledPlants': sampled, 'gossip.spreadDeviationShare': spreadDeviation, 'gossip.ageDeviationShare': ageDeviation }
}

function viewOf (rounds: BidRounds, { plants, viewEntries, periodMs }: Market, atMs: number): ViewSample {
  const { granted, released, messages } = rounds.counts
  const share = Math.min(1, viewEntries / (plants - 1))
  const meanAgeMs = viewEntries * periodMs
  // Mean of an exponential that is no older than the run.
  const viewAgeMs = meanAgeMs * (1 - exactExp(-atMs / meanAgeMs))
  return { atMs, up: plants, machines: granted - released, viewShare: share, viewShareLeast: share, viewAgeMs: Math.round(viewAgeMs), messages: messages + rounds.gossipMessages }
}

/** Bytes of a decision in the trace: what, round, plant and value as 32-bit integers, time as a double, all little-endian. */
const RECORD_BYTES = 24
const RECORDS = 4_096
const KINDS: Partial<Record<number, string>> = { [TAPE.AWARDED]: 'award.answered', [TAPE.ENDED]: 'order.ended', [TAPE.RELEASED]: 'machine.released' }

/** Hashes who was awarded and how it went, what came of each order, and each release; hands them on as events to who wants them. */
class Trace {
  readonly tape: Tape
  readonly #hash = sha256.create()
  readonly #bytes = new Uint8Array(RECORD_BYTES * RECORDS)
  readonly #view = new DataView(this.#bytes.buffer)
  #at = 0
  #id = 0

  constructor (onEvent: ((event: SimEvent) => void) | undefined) {
    this.tape = (what, nowTicks, round, plant, value) => {
      const kind = KINDS[what]
      if (kind === undefined) return
      const view = this.#view
      const at = this.#at
      view.setInt32(at, what, true)
      view.setInt32(at + 4, round, true)
      view.setInt32(at + 8, plant, true)
      view.setInt32(at + 12, value, true)
      view.setFloat64(at + 16, nowTicks, true)
      this.#at += RECORD_BYTES
      if (this.#at === this.#bytes.length) this.#flush()
      if (onEvent === undefined) return
      const outcome = what === TAPE.ENDED ? { outcome: value === GRANTED ? 'granted' : 'refused' } : what === TAPE.AWARDED ? { outcome: value < 0 ? 'refused' : 'granted', reasons: -value } : {}
      onEvent({ atMs: nowTicks / 1_000, id: this.#id++, kind, ...(plant < 0 ? {} : { plant: `plant-${plant + 1}` }), ...(round < 0 ? {} : { round }), ...outcome })
    }
  }

  hash (): string {
    this.#flush()
    return toHex(this.#hash.digest())
  }

  #flush (): void {
    this.#hash.update(this.#bytes.subarray(0, this.#at))
    this.#at = 0
  }
}
