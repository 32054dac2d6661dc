/** Small virtual worlds for tests: bare processes on a network, and whole plants. */
import type { Log, PeerId, StreamLimits } from '../../../protocols/kit/index.ts'
import { microtaskQuiet } from '../../../sim/drivers/quiet.ts'
import { RandomStream } from '../../../sim/kernel/index.ts'
import { scenarioFile, type LinkSpec, type Scenario } from '../../../sim/scenario/index.ts'
import { HostClock, SimClock } from '../../../sim/world/clock.ts'
import { KeyRing } from '../../../sim/world/crypto.ts'
import { Life } from '../../../sim/world/life.ts'
import { Network, type NetProcess } from '../../../sim/world/network/network.ts'
import { Timeline, usOf } from '../../../sim/world/timeline.ts'

export const quietLog: Log = { debug () {}, info () {}, warn () {}, error () {} }
export const limits: StreamLimits = { messageBytesMax: 100_000, idleTimeoutMs: 5_000, inboundMax: 8, inboundPerPeerMax: 4 }

/** Processes without plants, each knowing the first. */
export class BareNet {
  readonly timeline = new Timeline()
  readonly ring = new KeyRing()
  readonly network: Network
  readonly #random = new RandomStream('bare')
  readonly lives = new Map<PeerId, Life>()
  readonly clocks = new Map<PeerId, HostClock>()
  readonly #quiet = microtaskQuiet()
  link: LinkSpec = { latencyMs: 10, jitterMs: 0, lossShare: 0, bandwidthMbit: 100 }
  readonly taken: string[] = []

  constructor () {
    this.network = new Network({
      timeline: this.timeline, seed: 'bare', link: () => this.link,
      watch: { sent () {}, received () {}, ended () {}, gossiped () {}, gossipTaken: (at, { message }) => { this.taken.push(`${at} ${String(message[0])}`) }, asked () {}, neighbour () {} }
    })
  }

  join (name: string, bootstrap: string[] = [], rules = {}): NetProcess {
    const self = name as PeerId
    const life = new Life(this.lives.has(self) ? 1 : 0, () => {})
    const host = this.clocks.get(self) ?? new HostClock(this.timeline, { offsetMs: 0, driftPpm: 0 })
    this.clocks.set(self, host)
    this.lives.set(self, life)
    return this.network.join({ self, life, clock: new SimClock(this.timeline, host, life), crypto: this.ring, log: quietLog, topics: ['news'], rules, bootstrap: bootstrap as PeerId[] })
  }

  random (purpose: string): RandomStream { return this.#random.fork(purpose) }

  /** Lets so much time pass. */
  async pass (ms: number): Promise<void> { await this.timeline.run(this.timeline.nowUs + usOf(ms), this.#quiet) }

  /** Lets time pass until the promise is settled; at most so much. */
  async settle<T> (promise: Promise<T>, withinMs = 120_000): Promise<T> {
    let over = false
    const mark = (): void => { over = true }
    promise.then(mark, mark)
    await this.timeline.run(this.timeline.nowUs + usOf(withinMs), this.#quiet, () => !over)
    if (!over) throw new Error(`not settled within ${withinMs} ms of simulated time`)
    return promise
  }

  kill (name: string, silent = false): void {
    this.lives.get(name as PeerId)?.die()
    this.network.gone(name as PeerId, silent)
  }

  cut (from: string[], to: string[], oneWay = false): () => void {
    return this.network.cut({ from: new Set(from as PeerId[]), to: new Set(to as PeerId[]) }, oneWay)
  }
}

/** A scenario with everything that is not named at its default. */
export function scenarioOf (more: Record<string, unknown>): Scenario {
  return scenarioFile.parse({ apiVersion: 'plantmesh-sim/v1', kind: 'Scenario', name: 'test', ...more }) as unknown as Scenario
}
