/** How far the aggregate model of gossip is from the message-level one: both are run and compared. */
import { AggregateGossip } from './aggregate-gossip.ts'
import { CURVE_BINS_PER_PERIOD, MessageGossip, VIEW_ENTRIES, type GossipInit } from './message-gossip.ts'

/** Five times the mean age: one entry in 150 has not been overwritten by then. */
const LIVES = 5

/** What the comparison gives; each share is of 1. */
export interface GossipComparison {
  plants: number
  /** The most that the shares of plants that have heard a rumour differ at any time, from the end of the start-up on. */
  spreadDeviation: number
  /** The most that the distributions of the ages of entries differ (Kolmogorov and Smirnov's distance). */
  ageDeviation: number
  /** When the start-up was over, in periods; chance, so only means over seeds compare. */
  startUpPeriods: number
  messageStartUpPeriods: number
  messages: number
  /** Bytes a plant of the message-level run. */
  bytesPerPlant: number
}

/** Runs message-level gossip for LIVES mean ages and holds the aggregate model against it. */
export function compareGossip (init: GossipInit): GossipComparison {
  const aggregate = new AggregateGossip(init)
  const { periodMs, startUp } = aggregate
  const message = new MessageGossip(init)
  const untilMs = LIVES * (init.viewEntries ?? VIEW_ENTRIES) * periodMs + 20 * periodMs
  message.runUntil(untilMs)
  const curve = message.curve()
  const startMs = reachedMs(curve, startUp, init.plants, periodMs)
  let spreadDeviation = 0
  for (const [bin, share] of curve.entries()) {
    const sinceMs = (bin + 1) * periodMs / CURVE_BINS_PER_PERIOD - startMs
    if (sinceMs >= 0) spreadDeviation = Math.max(spreadDeviation, Math.abs(share - aggregate.shareSinceStartUp(sinceMs)))
  }
  return {
    plants: init.plants,
    spreadDeviation,
    ageDeviation: distance(message.ages(), (periods) => aggregate.ageShare(periods * periodMs, untilMs)),
    startUpPeriods: aggregate.startUpMs / periodMs,
    messageStartUpPeriods: startMs / periodMs,
    messages: message.messages,
    bytesPerPlant: message.bytes / init.plants
  }
}

/** When so many had heard, between the two bins where that was. */
function reachedMs (curve: Float64Array, count: number, plants: number, periodMs: number): number {
  const binMs = periodMs / CURVE_BINS_PER_PERIOD
  let before = 1 / plants
  for (const [bin, share] of curve.entries()) {
    if (share * plants >= count) return (bin + (share === before ? 1 : (count / plants - before) / (share - before))) * binMs
    before = share
  }
  return curve.length * binMs
}

function distance (values: Float64Array, shareBelow: (value: number) => number): number {
  const sorted = values.sort()
  let most = 0
  for (const [i, value] of sorted.entries()) {
    // Where many values are equal, only the ends of the run of them count.
    const model = shareBelow(value)
    if (sorted[i + 1] !== value) most = Math.max(most, Math.abs((i + 1) / sorted.length - model))
    if (sorted[i - 1] !== value && model < 1) most = Math.max(most, Math.abs(i / sorted.length - model))
  }
  return most
}
