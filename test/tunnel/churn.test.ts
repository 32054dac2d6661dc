import { expect, test } from 'vitest'
import type { PeerId } from '../../protocols/kit/index.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { lanOf, party } from './people.ts'
import { attachAgain, broadcast, fakeWorld, marks, startMachine, startPlant, type FakeMachine, type FakePlant, type FakeWorld } from './support.ts'

const PLANTS = 6
const STEPS = 80
/** The last look round may have been just before the cut was mended: LOOK_MS_MAX with its jitter, and a few dials. */
const HEALED_MS = 600_000

interface Placed { machine: FakeMachine, on: number, owner: number }

/** Plants, machines of three networks, and what may happen to them. */
class Mesh {
  readonly world: FakeWorld
  readonly random: FakeRandom
  readonly plants: FakePlant[] = []
  placed: Placed[] = []
  /** Plants on the far side of the cut. */
  cut = new Set<PeerId>()
  readonly owners = [party(), party()]
  #next = 1

  constructor (seed: number) {
    this.random = new FakeRandom(seed)
    this.world = fakeWorld({
      fate: () => ({ delayMs: this.random.int(20) }),
      reachable: (from, to) => this.cut.has(from) === this.cut.has(to)
    })
  }

  async start (): Promise<void> { while (this.plants.length < PLANTS) this.plants.push(await startPlant(this.world)) }

  async step (): Promise<void> {
    const on = this.random.int(PLANTS)
    const plant = this.plants[on]
    if (plant === undefined) return
    switch (this.random.int(6)) {
      case 0: case 1: return this.place(on, plant)
      case 2: return this.end()
      case 3: return this.restart(on, plant)
      case 4: return plant.transport.breakAll()
      default:
        this.cut = new Set(this.random.int(2) === 0 ? [] : this.plants.filter(() => this.random.int(2) === 0).map(({ id }) => id))
        // What was open between the sides breaks.
        for (const { id, transport } of this.plants) if (this.cut.has(id)) transport.breakAll()
    }
  }

  async place (on: number, plant: FakePlant): Promise<void> {
    const n = this.#next++
    const owner = this.random.int(2)
    const of = this.owners[owner]
    if (of !== undefined) this.placed.push({ machine: await startMachine(this.world, plant, { owner: of, n, network: lanOf(of, n % 3 === 0 ? 'dmz' : 'lan') }), on, owner })
  }

  end (): void {
    const [gone] = this.placed.splice(this.random.int(Math.max(1, this.placed.length)), 1)
    gone?.machine.attachment.detach(true)
  }

  /** Killed, and started with what its records say. */
  async restart (on: number, plant: FakePlant): Promise<void> {
    this.world.network.kill(plant.id)
    const again = await startPlant(this.world, plant.party)
    this.plants[on] = again
    for (const placed of this.placed) {
      if (placed.on === on) placed.machine = await attachAgain(this.world, again, { ...placed.machine, station: placed.machine.attachment.station })
    }
  }
}

const networkOf = ({ machine, owner }: Placed): string => `${owner} ${machine.network.name}`

test.each([1, 2, 3, 4])('networks never mix, and are whole again once nothing happens any more, when plants and links come and go (seed %i)', async (seed) => {
  const mesh = new Mesh(seed)
  await mesh.start()
  for (let i = 0; i < STEPS; i++) {
    await mesh.step()
    await mesh.world.clock.advance(mesh.random.int(2_000))
    const from = mesh.placed[mesh.random.int(Math.max(1, mesh.placed.length))]
    from?.machine.device.says(broadcast(from.machine, 100 + from.owner))
  }
  await mesh.world.clock.advance(1_000)
  for (const { machine, owner } of mesh.placed) expect(marks(machine).filter((mark) => mark !== 100 + owner)).toEqual([])

  mesh.cut.clear()
  await mesh.world.clock.advance(HEALED_MS)
  for (const placed of mesh.placed) {
    for (const { machine } of mesh.placed) machine.device.got.length = 0
    placed.machine.device.says(broadcast(placed.machine, 7))
    await mesh.world.clock.advance(100)
    for (const other of mesh.placed) {
      const heard = marks(other.machine).length
      expect(heard, `${other.machine.mac} of ${networkOf(other)} heard ${placed.machine.mac} of ${networkOf(placed)}`).toBe(other !== placed && networkOf(other) === networkOf(placed) ? 1 : 0)
    }
  }
  // One stream a pair and network, and nothing left over.
  const on = new Map<string, Set<number>>()
  for (const placed of mesh.placed) on.set(networkOf(placed), (on.get(networkOf(placed)) ?? new Set()).add(placed.on))
  const pairs = [...on.values()].reduce((sum, { size }) => sum + size * (size - 1), 0)
  expect(mesh.plants.reduce((sum, { transport }) => sum + transport.streams, 0)).toBe(pairs)
  for (const { networks, id } of mesh.plants) {
    for (const view of networks.list()) expect(view.members.every(({ state }) => state === 'up' || state === 'waiting'), id).toBe(true)
  }
})
