import { beforeEach, describe, expect, test } from 'vitest'
import { CLAIM_PROTOCOL, CLAIM_TTL_MS, REFRESH_MS, YOUNG_MS, encodeAsk, type ClaimOutcome, type GrantedClaim } from '../../protocols/claim/index.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { FakeNetwork } from '../support/fake-transport.ts'
import { award, digest, startPlant, vm, type FakeMeshInit, type FakePlant } from './support.ts'

const ids = ['p1', 'p2', 'p3']
let clock = new FakeClock()
let cut: (from: string, to: string) => boolean
let down: Set<string>
let init: FakeMeshInit
let plants: FakePlant[]

beforeEach(async () => {
  clock = new FakeClock()
  cut = () => false
  down = new Set()
  const network = new FakeNetwork({ clock, reachable: (from, to) => !cut(from, to) && !down.has(to) && !down.has(from) })
  init = { clock, network, random: new FakeRandom(7), view: () => ids as PeerId[] }
  plants = await Promise.all(ids.map(async (id) => startPlant(id, init)))
  await clock.advance(YOUNG_MS)
})
const plant = (n: number): FakePlant => {
  const found = plants[n - 1]
  if (found === undefined) throw new Error(`no plant ${n}`)
  return found
}
const claim = async (n: number, strict = false, signal?: AbortSignal): Promise<ClaimOutcome> => plant(n).service.claim({ vmId: vm(1), orderDigest: digest, strict }, signal)
const granted = async (n: number): Promise<GrantedClaim> => {
  const outcome = await clock.settle(claim(n))
  if (outcome.kind !== 'granted') throw new Error(`granted was expected: ${outcome.kind}`)
  return outcome
}
const islands = (...sides: string[][]) => (from: string, to: string): boolean => !sides.some((side) => side.includes(from) && side.includes(to))

describe('a claim', () => {
  test('is granted once; whoever asks meanwhile waits and is led to the machine', async () => {
    const first = await granted(1)
    expect(first.provisional).toBe(false)
    const [again, elsewhere] = [claim(1), claim(2)]
    await clock.advance(30_000)
    expect(await clock.settle(award(plant(3), clock, vm(1), first))).toBe(true)
    const machine = { kind: 'held', plant: 'p3', orderDigest: digest, awardedAtMs: expect.any(Number) }
    expect(await clock.settle(Promise.all([again, elsewhere]))).toEqual([machine, machine])
    await first.end()
    await clock.advance(CLAIM_TTL_MS * 2)
    expect(await clock.settle(claim(1))).toEqual(machine)
  })

  test('goes to the next when its shop gives it back or dies', async () => {
    const first = await granted(1)
    await first.end()
    await granted(2)
    down.add('p2')
    const sinceMs = clock.monotonicMs()
    await granted(3)
    expect(clock.monotonicMs() - sinceMs).toBeLessThan(CLAIM_TTL_MS + 2_000)
  })

  test('ends for one of many shops that claim at once, without any waiting for ever', async () => {
    for (let n = 0; n < 20; n++) {
      const outcomes = plants.map((one) => one.service.claim({ vmId: vm(100 + n), orderDigest: digest, strict: true }))
      const first = await clock.settle(Promise.race(outcomes))
      if (first.kind !== 'granted') throw new Error('granted was expected')
      await clock.settle(award(plant(1), clock, vm(100 + n), first))
      const all = await clock.settle(Promise.all(outcomes))
      expect(all.map((outcome) => outcome.kind).toSorted()).toEqual(['granted', 'held', 'held'])
    }
  })

  test('stops waiting when it is aborted, and leaves no claim', async () => {
    const first = await granted(1)
    const stop = new AbortController()
    const waiting = claim(2, false, stop.signal)
    await clock.advance(1_000)
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await first.end()
    await granted(3)
  })

  test('is answered collected once the machine was', async () => {
    expect(await clock.settle(award(plant(2), clock, vm(1), await granted(1)))).toBe(true)
    plant(2).service.collected(vm(1), digest)
    await clock.advance(1_000)
    for (const n of [1, 2, 3]) expect(await clock.settle(claim(n))).toEqual({ kind: 'collected', plant: 'p2', orderDigest: digest })
    down.add('p2')
    expect((await clock.settle(claim(3))).kind).toBe('collected')
  })

  test('can be made again when the machine was never begun', async () => {
    const first = await granted(1)
    expect(await clock.settle(award(plant(2), clock, vm(1), first))).toBe(true)
    plant(2).service.drop(vm(1), digest)
    await first.end()
    await clock.advance(1_000)
    await granted(3)
  })
})

describe('an award', () => {
  test('is refused at the second plant when the first has confirmed', async () => {
    const first = await granted(1)
    expect(await clock.settle(award(plant(2), clock, vm(1), first))).toBe(true)
    const outcome = await clock.settle(plant(3).service.confirm({ vmId: vm(1), orderDigest: digest, awardedAtMs: 1, claimId: first.claimId, provisional: false }))
    expect(outcome).toEqual({ kind: 'refused', code: 'CLAIM_LOST', holder: 'p2' })
    await clock.advance(REFRESH_MS)
    expect(await clock.settle(claim(1))).toMatchObject({ kind: 'held', plant: 'p2' })
  })

  test('under a claim that has lapsed is refused when another shop has claimed', async () => {
    const first = await granted(1)
    down.add('p1')
    const second = await granted(2)
    down.delete('p1')
    await clock.advance(4_000)
    expect(first.lost.aborted).toBe(true)
    expect(await clock.settle(award(plant(1), clock, vm(1), first))).toBe(false)
    expect(await clock.settle(award(plant(3), clock, vm(1), second))).toBe(true)
  })

  test('is known after every registrar was killed and started again', async () => {
    expect(await clock.settle(award(plant(2), clock, vm(1), await granted(1)))).toBe(true)
    for (const n of [1, 3]) {
      init.network.kill(plant(n).id)
      plants[n - 1] = await startPlant(plant(n).id, init, plant(n))
    }
    down.add('p2')
    await clock.advance(YOUNG_MS)
    expect(await clock.settle(claim(1))).toMatchObject({ kind: 'held', plant: 'p2' })
  })
})

describe('a plant that has just started', () => {
  test('does not take itself for the only registrar before it knows the mesh', async () => {
    expect(await clock.settle(award(plant(2), clock, vm(1), await granted(1)))).toBe(true)
    let seen: string[] = []
    init.network.kill('p1')
    const young = await startPlant('p1', { ...init, view: () => seen as PeerId[] })
    const outcome = young.service.claim({ vmId: vm(1), orderDigest: digest, strict: false })
    await clock.advance(2_000)
    seen = ids
    expect(await clock.settle(outcome)).toMatchObject({ kind: 'held', plant: 'p2' })
  })

  test('works alone when there is nobody', async () => {
    const alone = await startPlant('q', { ...init, network: new FakeNetwork({ clock }), view: () => ['q' as PeerId] })
    const sinceMs = clock.monotonicMs()
    const outcome = await clock.settle(alone.service.claim({ vmId: vm(1), orderDigest: digest, strict: true }))
    expect([outcome.kind, clock.monotonicMs() - sinceMs]).toEqual(['granted', YOUNG_MS])
  })
})

describe('a mesh that is cut', () => {
  test('gives a provisional machine, or none to the strict', async () => {
    cut = islands(['p1'], ['p2', 'p3'])
    await expect(clock.settle(claim(1, true))).rejects.toThrow('MESH_CUT')
    expect(await granted(1)).toMatchObject({ provisional: true })
    expect(await granted(2)).toMatchObject({ provisional: false })
  })

  test('keeps the machine of the earlier award when it meets again, and collects the other', async () => {
    cut = islands(['p1'], ['p2', 'p3'])
    expect(await clock.settle(award(plant(1), clock, vm(1), await granted(1)))).toBe(true)
    await clock.advance(1_000)
    expect(await clock.settle(award(plant(2), clock, vm(1), await granted(3)))).toBe(true)
    expect([plant(1).machines.get(vm(1))?.provisional, plant(2).machines.get(vm(1))?.provisional]).toEqual([true, false])
    await clock.advance(60_000)
    cut = () => false
    await clock.advance(2 * REFRESH_MS)
    expect([plant(1).lost, plant(2).lost]).toEqual([[], [vm(1)]])
    plant(2).service.collected(vm(1), digest)
    await clock.advance(2 * REFRESH_MS)
    for (const n of [1, 2, 3]) expect(await clock.settle(claim(n))).toMatchObject({ kind: 'held', plant: 'p1' })
    expect(plant(1).machines.get(vm(1))?.provisional).toBe(false)
  })

  test('has no provisional machine any more when it meets again and there is no other', async () => {
    cut = islands(['p1'], ['p2', 'p3'])
    expect(await clock.settle(award(plant(1), clock, vm(1), await granted(1)))).toBe(true)
    cut = () => false
    await clock.advance(REFRESH_MS)
    expect(plant(1).machines.get(vm(1))?.provisional).toBe(false)
    expect(plant(1).lost).toEqual([])
  })
})

describe('a stranger that speaks the protocol', () => {
  const tell = async (ask: Parameters<typeof encodeAsk>[0]): Promise<void> => {
    const stranger = init.network.peer('stranger')
    for (const id of ids) {
      const stream = await stranger.open(id as PeerId, CLAIM_PROTOCOL, { messageBytesMax: 65_536, idleTimeoutMs: 1_000, inboundMax: 1, inboundPerPeerMax: 1 })
      await stream.send(encodeAsk(ask))
      await clock.settle(stream.receive())
      await stream.close()
    }
  }

  test('cannot make a machine go by claiming that it was first, nor collect it', async () => {
    expect(await clock.settle(award(plant(2), clock, vm(1), await granted(1)))).toBe(true)
    await clock.advance(1_000)
    await tell({ t: 3, order: 1, holdings: [], gone: [{ vmId: vm(1), orderDigest: digest, collected: true }] })
    await tell({ t: 3, order: 1, holdings: [{ vmId: vm(1), orderDigest: digest, awardedAtMs: 0 }], gone: [] })
    // It speaks the protocol so far as to say that the machine is its own, without knowing the order.
    const liar = await startPlant('stranger', { ...init, knowledge: () => new Uint8Array(9) })
    liar.service.holds({ vmId: vm(1), orderDigest: digest, awardedAtMs: 0 })
    await clock.advance(3 * REFRESH_MS)
    expect(plant(2).lost).toEqual([])
    expect(plant(2).log.lines.some(({ level }) => level === 'warn')).toBe(true)
  })

  test('gets its stream reset for rubbish, and harms nobody', async () => {
    const stream = await init.network.peer('stranger').open('p1' as PeerId, CLAIM_PROTOCOL, { messageBytesMax: 65_536, idleTimeoutMs: 1_000, inboundMax: 1, inboundPerPeerMax: 1 })
    await stream.send(new Uint8Array(60_000))
    await expect(clock.settle(stream.receive())).rejects.toThrow('STREAM_RESET')
    await granted(1)
  })
})

test('a plant that stops is a registrar no more for those it told', async () => {
  let view = ids
  init = { ...init, view: () => view as PeerId[] }
  for (const n of [1, 2, 3]) {
    await clock.settle(plant(n).service.stop())
    init.network.kill(plant(n).id)
  }
  plants = await Promise.all(ids.map(async (id) => startPlant(id, init)))
  await clock.advance(YOUNG_MS)
  for (const n of [2, 3]) {
    await clock.settle(plant(n).service.stop())
    init.network.kill(plant(n).id)
  }
  view = ['p1']
  const outcome = await clock.settle(claim(1, true))
  expect(outcome).toMatchObject({ kind: 'granted', provisional: false })
})
