/**
 * The promise of the protocol, tried with chance: shops that claim at once, messages late and lost, plants killed and started again. With a mesh
 * that all see whole, two plants never both start a machine that is not provisional; and in peace again, every order comes to an end.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { YOUNG_MS, type ClaimOutcome } from '../../protocols/claim/index.ts'
import type { PeerId, VmId } from '../../protocols/kit/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { FakeNetwork } from '../support/fake-transport.ts'
import { award, digest, startPlant, vm, type FakeMeshInit, type FakePlant } from './support.ts'

const ids = ['p1', 'p2', 'p3', 'p4', 'p5']
/** VMIDs that all shops want. */
const VMS = 3
/** More with PLANTMESH_CLAIM_RUNS; a failing run prints its seed. */
const RUNS = Number(process.env['PLANTMESH_CLAIM_RUNS'] ?? 60)

/** A confirmed plant once gave its machine up for one of an earlier award whose confirmation then failed: none was left. */
const CONTEST_WITH_THE_UNCONFIRMED: [number, number, number, number] = [7, 25, 0, 2]

class Trial {
  readonly clock = new FakeClock()
  readonly random: FakeRandom
  readonly plants = new Map<string, FakePlant>()
  readonly #init: FakeMeshInit
  readonly #network: FakeNetwork
  lossPercent: number
  delayMsMax: number
  calm = false

  constructor (seed: number, lossPercent: number, delayMsMax: number) {
    this.random = new FakeRandom(seed)
    this.lossPercent = lossPercent
    this.delayMsMax = delayMsMax
    this.#network = new FakeNetwork({
      clock: this.clock,
      fate: () => {
        if (this.calm) return { delayMs: 1 }
        const chance = this.random.int(100)
        if (chance < this.lossPercent) return chance % 2 === 0 ? 'lost' : 'broken'
        return { delayMs: this.random.int(this.delayMsMax + 1) }
      }
    })
    this.#init = { clock: this.clock, network: this.#network, random: this.random, view: () => ids as PeerId[] }
  }

  async start (id: string): Promise<void> {
    if (this.plants.get(id)?.life.dead === false) return
    this.plants.set(id, await startPlant(id, this.#init, this.plants.get(id)))
  }

  /** Killed: what it was doing goes on nowhere, what it wrote is there when it starts again. */
  kill (id: string): void {
    const plant = this.plants.get(id)
    if (plant !== undefined) plant.life.dead = true
    this.#network.kill(id)
  }

  pick (): FakePlant {
    const plant = this.plants.get(ids[this.random.int(ids.length)] ?? '')
    if (plant === undefined) throw new Error('started before')
    return plant
  }

  /** A shop: claims, awards to up to three plants until one has taken it, gives the claim back. Some shops never wake from a pause in time. */
  async shop (plant: FakePlant, vmId: VmId): Promise<ClaimOutcome | undefined> {
    const stop = new AbortController()
    this.clock.after(40_000, () => { stop.abort(new Error('the client has gone')) })
    try {
      const claim = await plant.service.claim({ vmId, orderDigest: digest, strict: true }, stop.signal)
      if (claim.kind !== 'granted') return claim
      if (this.random.int(4) === 0) await new Promise<void>((resolve) => { this.clock.after(this.random.int(30_000), resolve) })
      for (let tries = 0; tries < 3; tries++) if (await award(this.pick(), this.clock, vmId, claim)) break
      await claim.end()
      return claim
    } catch {
      return undefined // Cut, as its own plant was killed or messages were lost: asked again in peace.
    }
  }

  holders (vmId: VmId): string[] {
    return [...this.plants.values()].filter((plant) => plant.machines.get(vmId)?.provisional === false).map((plant) => plant.id)
  }
}

test('two plants never start the machine of one order, whatever is late, lost or killed', async () => {
  await fc.assert(fc.asyncProperty(fc.nat(), fc.constantFrom(0, 5, 25), fc.constantFrom(0, 20, 1_500), fc.integer({ min: 0, max: 3 }), async (seed, lossPercent, delayMsMax, kills) => {
    const trial = new Trial(seed, lossPercent, delayMsMax)
    for (const id of ids) await trial.start(id)
    await trial.clock.advance(YOUNG_MS)
    const shops: Array<Promise<unknown>> = []
    for (let n = 0; n < 8; n++) {
      trial.clock.after(trial.random.int(5_000), () => { shops.push(trial.shop(trial.pick(), vm(trial.random.int(VMS)))) })
    }
    for (let n = 0; n < kills; n++) {
      trial.clock.after(trial.random.int(8_000), () => {
        const id = ids[trial.random.int(ids.length)] ?? ''
        trial.kill(id)
        trial.clock.after(trial.random.int(3_000), () => { void trial.start(id) })
      })
    }
    for (let sec = 0; sec < 60; sec++) {
      await trial.clock.advance(1_000)
      for (let n = 0; n < VMS; n++) expect(trial.holders(vm(n)).length).toBeLessThanOrEqual(1)
    }
    // Peace: every order asked again ends in one machine, the one that there was if there was one.
    trial.calm = true
    await trial.clock.advance(45_000)
    for (let n = 0; n < VMS; n++) {
      const before = trial.holders(vm(n))
      await trial.clock.settle(trial.shop(trial.pick(), vm(n)))
      expect(trial.holders(vm(n))).toHaveLength(1)
      if (before.length === 1) expect(trial.holders(vm(n))).toEqual(before)
    }
    for (const plant of trial.plants.values()) expect(plant.lost).toEqual([])
  }), { numRuns: RUNS, examples: [CONTEST_WITH_THE_UNCONFIRMED] })
}, 300_000)
