/** Runs a scenario with `mode: swarm`: every plant but the publisher wants one image at once (flash-crowd.ts says what is modelled). A job is a plant and its fetch. */
import { sha256 } from '@noble/hashes/sha2.js'
import { toHex } from '../../protocols/kit/index.ts'
import { RandomStream } from '../kernel/index.ts'
import { plantCount, plantsOf, type JobResult, type RunResult, type Scenario, type Simulate } from '../scenario/index.ts'
import { flashCrowd } from './flash-crowd.ts'

const BITS = 8

/**
 * The `Simulate` of `mode: swarm`. `figures` has fetchMsP50, fetchMsP99, fetchMsP999, fetchMsMost, fileMs (the whole image over one line), publisherCopies and
 * transfers.
 */
export const simulateSwarm: Simulate = async (scenario, seed, options = {}) => {
  const { swarm } = scenario
  const chunks = Math.ceil(swarm.imageBytes / (swarm.chunkKiB * 1_024))
  const fileMs = swarm.imageBytes * BITS / (swarm.lineMbit * 1_000)
  const slotMs = fileMs / chunks
  const plants = plantCount(scenario) - 1
  const { doneSlot, slots, sentByPublisher, transfers } = flashCrowd({
    random: new RandomStream(seed, 'flash-crowd'), plants, chunks, dialled: swarm.dialled, slowShare: swarm.slowShare, slowRate: swarm.slowRate,
    onProgress: (share) => {
      options.onProgress?.(share)
      return options.signal?.aborted !== true
    }
  })
  const done = [...doneSlot].filter((slot) => slot > 0).sort((a, b) => a - b)
  const at = (share: number): number => (done[Math.ceil(share * done.length) - 1] ?? NaN) * slotMs
  return {
    traceHash: toHex(sha256(Uint8Array.from([...doneSlot, sentByPublisher].flatMap((slot) => [slot & 0xff, slot >> 8 & 0xff, slot >> 16 & 0xff, slot >>> 24])))),
    seed,
    events: transfers,
    endedMs: slots * slotMs,
    ended: done.length < plants ? 'stopped' : 'orders',
    jobs: jobsOf(scenario, doneSlot, slotMs),
    bids: [],
    views: [],
    faults: [],
    figures: { fetchMsP50: at(0.5), fetchMsP99: at(0.99), fetchMsP999: at(0.999), fetchMsMost: at(1), fileMs, publisherCopies: sentByPublisher / chunks, transfers },
    machinesByPlant: {}
  } satisfies RunResult
}

/** One for each plant, in their order, all asked at the start. */
function jobsOf (scenario: Scenario, doneSlot: Int32Array, slotMs: number): JobResult[] {
  const [publisher, ...others] = plantsOf(scenario)
  const [golden] = scenario.golden
  return others.map(({ name }, i) => {
    const slot = doneSlot[i] ?? 0
    const tookMs = slot * slotMs
    return {
      sequence: i + 1, source: 0, id: String(i), shop: publisher?.name ?? '', domain: 'default', os: golden?.name ?? '', cpus: golden?.cpus ?? 1, memoryMiB: golden?.memoryMiB ?? 0, submittedMs: 0,
      ...(slot === 0 ? { end: 'open', phasesMs: {} } : { end: 'running', plant: name, runningMs: tookMs, phasesMs: { fetch: tookMs } })
    }
  })
}
