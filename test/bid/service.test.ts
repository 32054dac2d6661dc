import { afterEach, beforeEach, expect, test } from 'vitest'
import { AWARD_LIMITS, AWARD_PROTOCOL, BID_LIMITS, BID_PROTOCOL, bidding, decodeCallAnswer, encodeAwardAsk, encodeCall, decodeAwardAnswer, decodeAwardAsk, type AuctionResult, type Bidding, type BiddingInit } from '../../protocols/bid/index.ts'
import { PlantError, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { FakeNetwork, type Fate } from '../support/fake-transport.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { biddingPlant, bytesOfOrder, orderOf, ROOMY, there, vmIdOf, type TestPlant } from './bidding-plant.ts'

let clock: FakeClock
let random: FakeRandom
let network: FakeNetwork
let fate: (from: PeerId, to: PeerId, protocol: string, message: Uint8Array) => Fate
let shop: Bidding

const shopOf = (init: BiddingInit = {}, id = 'shop'): Bidding => bidding(init)({ transport: network.peer(id), clock, random, log: fakeLog() })
const plantOf = (id: string, more: Partial<Parameters<typeof biddingPlant>[0]> = {}): Promise<TestPlant> => biddingPlant({ transport: network.peer(id), clock, random, ...more })
const order = (n = 1, hardware = {}): { signedOrder: Uint8Array, vmId: VmId } => ({ vmId: vmIdOf(n), signedOrder: bytesOfOrder({ vmId: vmIdOf(n), domainId: 'a', order: orderOf(hardware) }) })
const sell = (what: ReturnType<typeof order>, plants: string[], more: { strict?: boolean } = {}, signal?: AbortSignal): Promise<AuctionResult> =>
  shop.auction({ ...what, ...more, ranked: false, handOvers: () => [], candidates: plants.map((plant) => ({ plant: plant as PeerId, why: 'test' })) }, signal)

beforeEach(() => {
  clock = new FakeClock()
  random = new FakeRandom(7)
  fate = () => ({ delayMs: 1 })
  network = new FakeNetwork({ clock, fate: (...args) => fate(...args) })
  shop = shopOf()
})
// Everything that was opened or scheduled is gone once the dust has settled.
afterEach(async () => {
  await shop.stop()
  await clock.advance(600_000)
  if (network.peer('shop').streams > 0) throw new Error('streams are left open')
  if (clock.pending > 0) throw new Error('timers are left')
})

test('shop awards the cheapest of three plants, which holds the lease', async () => {
  const plants = [await plantOf('A', { load: 2 }), await plantOf('B'), await plantOf('C', { load: 1 })]
  const { end, decision } = await clock.settle(sell(order(), ['A', 'B', 'C']))
  expect(end).toMatchObject({ kind: 'awarded', plant: 'B', via: 'B' })
  expect(plants.map((plant) => plant.ledger.used().machines)).toEqual([0, 1, 0])
  expect(decision.answers.every((answer) => answer.kind === 'bid' && (answer.bid?.items.length ?? 0) >= 3)).toBe(true)
  expect(JSON.parse(JSON.stringify(decision))).toEqual(decision)
})

test('shop gets each plant\'s reasons when all refuse an order for more than any has', async () => {
  await plantOf('A')
  await plantOf('B', { capacity: { ...ROOMY, memoryMiB: 128 } })
  const { end, decision } = await clock.settle(sell(order(1, { memoryMiB: 1_000_000 }), ['A', 'B', 'gone']))
  expect(end).toEqual({ kind: 'refused' })
  expect(decision.answers.map(({ plant, kind, problem, refusal }) => [plant, kind, problem ?? refusal?.smallestChange])).toEqual([
    ['gone', 'none', 'PEER_UNREACHABLE'],
    ['A', 'refusal', [{ attribute: 'hardware.memoryMiB', from: 1_000_000, to: 65_536 }]],
    ['B', 'refusal', [{ attribute: 'hardware.memoryMiB', from: 1_000_000, to: 128 }]]
  ])
})

test('shop falls to the next bid when the plant filled up between bid and award', async () => {
  const small = await plantOf('A', { capacity: { ...ROOMY, machines: 1 } })
  const other = await plantOf('B', { load: 9 })
  const results = await clock.settle(Promise.all([sell(order(1), ['A', 'B']), sell(order(2), ['A', 'B'])]))
  expect(results.map(({ end }) => end.kind === 'awarded' && end.plant).sort()).toEqual(['A', 'B'])
  expect([small.ledger.used().machines, other.ledger.used().machines]).toEqual([1, 1])
  expect(results.flatMap(({ decision }) => decision.attempts).find((attempt) => attempt.outcome === 'refused')?.refusal?.reasons[0]?.code).toBe('MACHINES_FULL')
})

test('an order asked twice, through two shops, is one machine', async () => {
  await plantOf('A')
  const first = await clock.settle(sell(order(), ['A']))
  const second = shopOf({}, 'second')
  const again = await clock.settle(second.auction({ ...order(), ranked: false, handOvers: () => [], candidates: [{ plant: 'A' as PeerId, why: 'test' }] }))
  expect(first.end.kind).toBe('awarded')
  expect(again.end).toMatchObject({ kind: 'held', plant: 'A', held: { state: 'creating' } })
  await second.stop()
})

test('a broker\'s bid names the plant that would make the machine', async () => {
  const maker = await plantOf('A')
  const broker = bidding()({ transport: network.peer('broker'), clock, random, log: fakeLog() })
  network.peer('broker').handle(BID_PROTOCOL, BID_LIMITS, async (stream) => {
    const bytes = there(await stream.receive())
    const onward = await network.peer('broker').open('A' as PeerId, BID_PROTOCOL, BID_LIMITS)
    await onward.send(bytes)
    await stream.send(there(await onward.receive()))
    await Promise.all([stream.close(), onward.close()])
  })
  network.peer('broker').handle(AWARD_PROTOCOL, AWARD_LIMITS, async (stream) => {
    const onward = await network.peer('broker').open('A' as PeerId, AWARD_PROTOCOL, AWARD_LIMITS)
    await onward.send(there(await stream.receive()))
    await stream.send(there(await onward.receive()))
    await Promise.all([stream.close(), onward.close()])
  })
  const { end } = await clock.settle(sell(order(), ['broker']))
  expect(end).toMatchObject({ kind: 'awarded', plant: 'A', via: 'broker' })
  expect(maker.ledger.used().machines).toBe(1)
  await broker.stop()
})

/** Loses the first `count` answers of plant A to messages of these kinds on the award protocol. */
function loseAnswersOf (kinds: number[], count: number): void {
  let left = count
  let kind = -1
  fate = (from, to, protocol, message) => {
    if (protocol !== AWARD_PROTOCOL || (from !== 'A' && to !== 'A')) return { delayMs: 1 }
    if (to === 'A') {
      kind = decodeAwardAsk(message).t
      return { delayMs: 1 }
    }
    return kinds.includes(kind) && left-- > 0 ? 'lost' : { delayMs: 1 }
  }
}

test('an award whose answer is lost is settled: the plant that took it keeps it', async () => {
  const [a, b] = [await plantOf('A'), await plantOf('B', { load: 9 })]
  loseAnswersOf([0], 1)
  const { end, decision } = await clock.settle(sell(order(), ['A', 'B']))
  expect(end).toMatchObject({ kind: 'awarded', plant: 'A' })
  expect(decision.attempts).toMatchObject([{ outcome: 'granted', problem: 'STREAM_TIMEOUT' }])
  expect([a.ledger.used().machines, b.ledger.used().machines]).toEqual([1, 0])
})

test('an award that never arrived is settled as void, and cannot arrive late', async () => {
  const [a, b] = [await plantOf('A'), await plantOf('B', { load: 9 })]
  fate = (_from, to, protocol, message) => ({ delayMs: protocol === AWARD_PROTOCOL && to === 'A' && decodeAwardAsk(message).t === 0 ? 8_000 : 1 })
  const { end } = await clock.settle(sell(order(), ['A', 'B']))
  expect(end).toMatchObject({ kind: 'awarded', plant: 'B' })
  await clock.advance(60_000)
  expect([a.ledger.used().machines, b.ledger.used().machines]).toEqual([0, 1])
})

test('an award of unknown fate is cancelled until the plant answers: one machine is left', async () => {
  const [a, b] = [await plantOf('A'), await plantOf('B', { load: 9 })]
  loseAnswersOf([0, 1, 2], 4)
  const { end } = await clock.settle(sell(order(), ['A', 'B']))
  expect(end).toMatchObject({ kind: 'awarded', plant: 'B' })
  await clock.advance(60_000)
  expect([a.ledger.used().machines, b.ledger.used().machines]).toEqual([0, 1])
})

test('a machine that has started is not undone by a cancel: the plant says that it holds it', async () => {
  const a = await plantOf('A', { startAtOnce: true })
  await clock.settle(sell(order(), ['A']))
  const bidId = 'f'.repeat(32)
  const stream = await network.peer('shop').open('A' as PeerId, AWARD_PROTOCOL, AWARD_LIMITS)
  const answer = (async () => {
    await stream.send(encodeAwardAsk({ t: 2, bidId, vmId: vmIdOf(1) }))
    return decodeAwardAnswer(there(await stream.receive()))
  })()
  expect(await clock.settle(answer)).toMatchObject({ t: 2, held: { state: 'running' } })
  expect(a.ledger.used().machines).toBe(1)
  await stream.close()
})

test('strict: the auction ends unsettled rather than risk a second machine', async () => {
  const b = (await plantOf('A'), await plantOf('B', { load: 9 }))
  loseAnswersOf([0, 1], 2)
  const { end } = await clock.settle(sell(order(), ['A', 'B'], { strict: true }))
  expect(end).toMatchObject({ kind: 'unsettled', plant: 'A' })
  expect(b.ledger.used().machines).toBe(0)
})

test('a shop that is interrupted during an award leaves no lease behind', async () => {
  const a = await plantOf('A')
  const stop = new AbortController()
  fate = (_from, to, protocol) => ({ delayMs: protocol === AWARD_PROTOCOL && to === 'shop' ? 1_000 : 1 })
  const sold = sell(order(), ['A'], {}, stop.signal)
  const outcome = sold.catch((failure: unknown) => failure)
  await clock.advance(500)
  expect(a.ledger.used().machines).toBe(1)
  stop.abort(new PlantError('INTERRUPTED'))
  expect(await clock.settle(outcome)).toMatchObject({ code: 'INTERRUPTED' })
  await clock.advance(60_000)
  expect(a.ledger.used().machines).toBe(0)
})

/** One raw call from a peer that speaks the protocol itself. */
async function rawCall (from: string, to: string, bytes: Uint8Array): Promise<string> {
  try {
    const stream = await network.peer(from).open(to as PeerId, BID_PROTOCOL, BID_LIMITS)
    void stream.send(bytes).catch(() => undefined)
    const answer = await stream.receive({ timeoutMs: 20_000 })
    void stream.close()
    if (answer === undefined) return 'closed'
    const decoded = decodeCallAnswer(answer)
    return decoded.t === 0 ? 'bid' : decoded.t === 1 ? there(decoded.refusal.reasons[0]).code : 'held'
  } catch (failure) {
    return failure instanceof PlantError ? failure.code : String(failure)
  }
}
const callOf = (n: number): Uint8Array => encodeCall({ t: 0, callId: vmIdOf(n), signedOrder: order(n).signedOrder, withinMs: 5_000 })

test('200 calls at once from one peer are each answered or refused with LIMIT, and another peer is served', async () => {
  const a = await plantOf('A', { bidding: { waitingPerPeerMax: 100, book: { bidsPerPeerMax: 50 } } })
  const flood = Array.from({ length: 200 }, (_, n) => rawCall('flooder', 'A', callOf(n)))
  const other = rawCall('other', 'A', callOf(900))
  const answers = await clock.settle(Promise.all(flood))
  expect(await clock.settle(other)).toBe('bid')
  expect(answers.filter((answer) => answer === 'bid')).toHaveLength(50)
  expect(answers.filter((answer) => answer === 'LIMIT')).toHaveLength(150)
  expect(a.judged()).toBeLessThanOrEqual(110)
  await clock.advance(20_000)
  expect(await clock.settle(rawCall('flooder', 'A', callOf(901)))).toBe('bid')
})

test('by default 200 calls at once from one peer are all answered with bids', async () => {
  await plantOf('A')
  const answers = await clock.settle(Promise.all(Array.from({ length: 200 }, (_, n) => rawCall('busy', 'A', callOf(n)))))
  expect(new Set(answers)).toEqual(new Set(['bid']))
})

test('hostile messages end their own stream and nothing else', async () => {
  await plantOf('A')
  expect(await clock.settle(rawCall('bad', 'A', Uint8Array.of(0xff, 0xff)))).toBe('STREAM_RESET')
  expect(await clock.settle(rawCall('bad', 'A', encodeCall({ t: 0, callId: vmIdOf(1), signedOrder: new TextEncoder().encode('{'), withinMs: 10 })))).toBe('INTERNAL')
  expect(await clock.settle(rawCall('bad', 'A', new Uint8Array(1_200_001)))).toMatch('STREAM_')
  const silent = Array.from({ length: 300 }, () => network.peer('slow').open('A' as PeerId, BID_PROTOCOL, BID_LIMITS))
  await Promise.all(silent)
  expect(await clock.settle(rawCall('good', 'A', callOf(2)))).toBe('bid')
  await clock.advance(600_000)
  expect(network.peer('A').streams).toBe(0)
})

test('a judge that never answers is cut off, and a failing one refuses with its code', async () => {
  const never = network.peer('never')
  const silent = bidding()({ transport: never, clock, random, log: fakeLog() })
  const base = { grant: () => { throw new Error('unused') }, standing: () => undefined, release: () => true }
  await silent.serve({ ...base, judge: (_order, _from, signal) => new Promise((_resolve, reject) => { signal.addEventListener('abort', () => { reject(signal.reason as Error) }) }) })
  const forged = bidding()({ transport: network.peer('forged'), clock, random, log: fakeLog() })
  await forged.serve({ ...base, judge: () => { throw new PlantError('SIGNATURE_INVALID') } })
  expect(await clock.settle(rawCall('x', 'never', callOf(1)))).toBe('STREAM_TIMEOUT')
  expect(await clock.settle(rawCall('x', 'forged', callOf(1)))).toBe('SIGNATURE_INVALID')
  await Promise.all([silent.stop(), forged.stop()])
})

test('a wall clock that jumps expires no bid and no lease', async () => {
  const a = await plantOf('A')
  fate = (_from, to, protocol) => {
    if (protocol === AWARD_PROTOCOL && to === 'A') clock.jumpWall(365 * 86_400_000)
    return { delayMs: 1 }
  }
  expect((await clock.settle(sell(order(), ['A']))).end.kind).toBe('awarded')
  clock.jumpWall(-2 * 365 * 86_400_000)
  expect(a.ledger.expire(clock.monotonicMs())).toEqual([])
})
