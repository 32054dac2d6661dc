import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  AWARD_LIMITS, AWARD_PROTOCOL, BID_LIMITS, BID_PROTOCOL, BROKERED_PER_PEER_MAX, BROKER_YOUNG_MS, BrokerBook, READ_PER_PEER_MAX, bidding, brokerTimes, decodeAwardAnswer, decodeAwardAsk, encodeAwardAnswer, encodeAwardAsk, encodeCall, encodeCallAnswer,
  type AuctionRequest, type AuctionResult, type AwardAnswer, type AwardAsk, type Bid, type Bidding, type BrokerSide, type CallAnswer
} from '../../protocols/bid/index.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { FakeNetwork, type Fate } from '../support/fake-transport.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { biddingPlant, bytesOfOrder, orderOf, ROOMY, there, vmIdOf, type TestOrder, type TestPlant } from './bidding-plant.ts'

let clock: FakeClock
let random: FakeRandom
let network: FakeNetwork
let fate: (from: PeerId, to: PeerId, protocol: string, message: Uint8Array) => Fate
let shop: Bidding
/** The plants that stand behind G. */
let site: string[]

/** The gateway itself is full, unless told otherwise: only its site bids. */
const NOTHING = { ...ROOMY, machines: 0 }
const plantOf = (id: string, more: Partial<Parameters<typeof biddingPlant>[0]> = {}): Promise<TestPlant> => biddingPlant({ transport: network.peer(id), clock, random, ...more })
const sideOf = (): BrokerSide => ({
  passTo: (signedOrder, from) => site.includes(from) ? undefined : { vmId: (JSON.parse(new TextDecoder().decode(signedOrder)) as TestOrder).vmId, plants: site as PeerId[] },
  handOn: (handOvers, to) => [...handOvers, new TextEncoder().encode(`G to ${to}`)],
  plants: (from) => site.includes(from) ? undefined : site as PeerId[]
})
const gateway = (capacity = NOTHING): Promise<TestPlant> => plantOf('G', { capacity, broker: sideOf() })
const order = (n = 1): Pick<AuctionRequest, 'signedOrder' | 'vmId'> => ({ vmId: vmIdOf(n), signedOrder: bytesOfOrder({ vmId: vmIdOf(n), domainId: 'a', order: orderOf() }) })
const sell = (plants: string[], more: Partial<AuctionRequest> = {}, signal?: AbortSignal): Promise<AuctionResult> =>
  shop.auction({ ...order(), ranked: false, handOvers: (to) => [new TextEncoder().encode(`shop to ${to}`)], candidates: plants.map((plant) => ({ plant: plant as PeerId, why: 'test' })), ...more }, signal)
const machines = (...plants: TestPlant[]): number[] => plants.map((plant) => plant.ledger.used().machines)

beforeEach(() => {
  clock = new FakeClock()
  random = new FakeRandom(7)
  fate = () => ({ delayMs: 1 })
  network = new FakeNetwork({ clock, fate: (...args) => fate(...args), reachable: (from, to) => from === 'G' || to === 'G' || !site.includes(to) || site.includes(from) })
  shop = bidding()({ transport: network.peer('shop'), clock, random, log: fakeLog() })
  site = ['A', 'B', 'C']
})
// Everything that was opened or scheduled is gone once the dust has settled.
afterEach(async () => {
  await shop.stop()
  await clock.advance(600_000)
  for (const peer of ['shop', 'G']) if (network.peer(peer).streams > 0) throw new Error(`streams of ${peer} are left open`)
  if (clock.pending > 0) throw new Error('timers are left')
})

test('broker answers with the best bid of its site, and the award reaches that plant: the record names both', async () => {
  const plants = [await plantOf('A', { load: 2 }), await plantOf('B'), await plantOf('C', { load: 1 }), await gateway()]
  const { end, decision } = await clock.settle(sell(['G']))
  expect(end).toMatchObject({ kind: 'awarded', plant: 'B', via: 'G' })
  expect(machines(...plants)).toEqual([0, 1, 0, 0])
  expect(decision.answers).toMatchObject([{ kind: 'bid', plant: 'B', via: 'G', late: false }])
  expect(decision.attempts).toMatchObject([{ plant: 'B', via: 'G', outcome: 'granted' }])
})

test('broker bids for itself where it is the best, and its site steps in when it refuses', async () => {
  const [a, g] = [(site = ['A'], await plantOf('A', { load: 5 })), await gateway({ ...ROOMY, machines: 1 })]
  fate = (from, _to, protocol, message) => {
    // The gateway's only place is taken between bid and award.
    if (protocol === AWARD_PROTOCOL && from === 'shop' && decodeAwardAsk(message).t === 0 && machines(g)[0] === 0) g.ledger.award({ leaseId: 'x' as never, vmId: vmIdOf(9), need: { cpus: 1, memoryMiB: 1, diskMiB: 1, networks: [] }, nowMs: clock.monotonicMs(), wallMs: 0 })
    return { delayMs: 1 }
  }
  const { end, decision } = await clock.settle(sell(['G']))
  expect(decision.attempts).toMatchObject([{ plant: 'G', outcome: 'refused' }, { plant: 'A', via: 'G', outcome: 'granted' }])
  expect(end).toMatchObject({ kind: 'awarded', plant: 'A', via: 'G' })
  expect(machines(a)).toEqual([1])
})

test('a plant that refuses after its broker bid costs the shop one round trip: the next best of the site competes with the others', async () => {
  const [a, b, other] = [await plantOf('A', { capacity: { ...ROOMY, machines: 1 } }), await plantOf('B', { load: 3 }), await plantOf('other', { load: 1 })]
  site = ['A', 'B']
  await gateway()
  fate = (from, to, protocol) => {
    if (protocol === AWARD_PROTOCOL && from === 'G' && to === 'A' && machines(a)[0] === 0) a.ledger.award({ leaseId: 'x' as never, vmId: vmIdOf(9), need: { cpus: 1, memoryMiB: 1, diskMiB: 1, networks: [] }, nowMs: clock.monotonicMs(), wallMs: 0 })
    return { delayMs: 1 }
  }
  const { end, decision } = await clock.settle(sell(['G', 'other']))
  expect(decision.answers.map(({ plant, via }) => [plant, via])).toEqual([['other', undefined], ['A', 'G'], ['B', 'G']])
  expect(end).toMatchObject({ kind: 'awarded', plant: 'other' })
  expect(machines(b, other)).toEqual([0, 1])
})

test('a plant that is gone when its award is passed on is passed over', async () => {
  const b = (await plantOf('A'), await plantOf('B', { load: 3 }))
  site = ['A', 'B']
  await gateway()
  fate = (from, to, protocol, message) => {
    if (protocol === AWARD_PROTOCOL && from === 'shop' && to === 'G' && decodeAwardAsk(message).t === 0) network.kill('A')
    return { delayMs: 1 }
  }
  const { end, decision } = await clock.settle(sell(['G']))
  expect(decision.attempts).toMatchObject([{ plant: 'A', via: 'G', outcome: 'refused', refusal: { reasons: [{ code: 'PEER_UNREACHABLE' }] } }, { plant: 'B', via: 'G', outcome: 'granted' }])
  expect([end.kind, ...machines(b)]).toEqual(['awarded', 1])
})

test('a broker that dies between bid and award loses its site the order, not the shop', async () => {
  const [a, other] = [await plantOf('A'), await plantOf('other', { load: 9 })]
  site = ['A']
  await gateway()
  let awards = 0
  fate = (_from, to, protocol, message) => {
    if (protocol === BID_PROTOCOL && to === 'shop') clock.after(5, () => { network.kill('G') })
    if (protocol === AWARD_PROTOCOL && to === 'G') awards = decodeAwardAsk(message).t + 1
    return { delayMs: protocol === BID_PROTOCOL && to === 'other' ? 100 : 1 }
  }
  const { end, decision } = await clock.settle(sell(['G', 'other']))
  expect(decision.attempts).toMatchObject([{ plant: 'A', via: 'G', outcome: 'unreachable' }, { plant: 'other', outcome: 'granted' }])
  expect([end.kind, awards, ...machines(a, other)]).toEqual(['awarded', 0, 0, 1])
})

test('an award whose answer is lost between plant and broker is settled through the broker', async () => {
  const a = await plantOf('A')
  site = ['A']
  await gateway()
  let lost = 1
  fate = (from, to, protocol) => protocol === AWARD_PROTOCOL && from === 'A' && to === 'G' && lost-- > 0 ? 'lost' : { delayMs: 1 }
  const { end, decision } = await clock.settle(sell(['G']))
  expect(end).toMatchObject({ kind: 'awarded', plant: 'A', via: 'G' })
  expect(decision.attempts).toMatchObject([{ outcome: 'granted', problem: 'STREAM_RESET' }])
  expect(machines(a)).toEqual([1])
})

test('a shop that is interrupted has its award cancelled through the broker', async () => {
  const a = await plantOf('A')
  site = ['A']
  await gateway()
  const stop = new AbortController()
  fate = (_from, to, protocol) => ({ delayMs: protocol === AWARD_PROTOCOL && to === 'shop' ? 1_000 : 1 })
  const outcome = sell(['G'], {}, stop.signal).catch((failure: unknown) => failure)
  await clock.advance(500)
  expect(machines(a)).toEqual([1])
  stop.abort(new Error('given up'))
  await clock.settle(outcome)
  await clock.advance(60_000)
  expect(machines(a)).toEqual([0])
})

/** One raw question about an award, as a shop puts it. */
async function askAward (message: AwardAsk, from = 'shop'): Promise<AwardAnswer | 'no answer'> {
  try {
    const stream = await network.peer(from).open('G' as PeerId, AWARD_PROTOCOL, AWARD_LIMITS)
    await stream.send(encodeAwardAsk(message))
    const answer = await stream.receive({ timeoutMs: 20_000 })
    await stream.close()
    return decodeAwardAnswer(there(answer))
  } catch {
    return 'no answer'
  }
}

test('a broker that was started anew asks its site what became of an award, and says void only once it cannot have forgotten one', async () => {
  const [g] = [(site = ['A', 'B'], await gateway()), await plantOf('A'), await plantOf('B', { load: 2 })]
  const { decision } = await clock.settle(sell(['G']))
  const bidId = there(decision.attempts[0]).bidId
  await g.bidding.stop()
  await gateway()
  expect(await clock.settle(askAward({ t: 1, bidId, vmId: vmIdOf(1) }))).toMatchObject({ t: 0, plant: 'A' })
  expect(await clock.settle(askAward({ t: 1, bidId: 'f'.repeat(32), vmId: vmIdOf(1) }))).toMatchObject({ t: 2, held: { plant: 'A' } })
  expect(await clock.settle(askAward({ t: 2, bidId: 'f'.repeat(32), vmId: vmIdOf(2) }))).toBe('no answer')
  await clock.advance(BROKER_YOUNG_MS)
  expect(await clock.settle(askAward({ t: 2, bidId: 'f'.repeat(32), vmId: vmIdOf(2) }))).toEqual({ t: 3 })
  network.kill('B')
  expect(await clock.settle(askAward({ t: 2, bidId: 'f'.repeat(32), vmId: vmIdOf(2) }))).toBe('no answer')
})

test('a slow plant of the site does not make the broker late: its answer comes within the deadline, or with no bid, before the last', async () => {
  await plantOf('A', { load: 5 })
  await plantOf('B')
  site = ['A', 'B']
  await gateway()
  fate = (from, _to, protocol) => ({ delayMs: protocol === BID_PROTOCOL && from === 'B' ? 3_000 : 10 })
  const { decision } = await clock.settle(sell(['G']))
  expect(decision.answers).toMatchObject([{ plant: 'A', late: false }])
  expect(there(decision.answers[0]).afterMs).toBeLessThan(1_500)
  site = ['B']
  const late = await clock.settle(sell(['G'], order(2)))
  expect(late.decision.answers).toMatchObject([{ plant: 'B', via: 'G', late: true }])
  expect(late.end.kind).toBe('awarded')
  expect(brokerTimes({ withinMs: 100 })).toEqual({ bestByMs: 50, lastByMs: 50 })
})

test('plants that the shop wants left out are not asked, nor the broker itself', async () => {
  const [a, b] = [await plantOf('A'), await plantOf('B', { load: 5 })]
  site = ['A', 'B']
  const g = await gateway(ROOMY)
  const { end } = await clock.settle(sell(['G'], { without: ['A', 'G'] as PeerId[] }))
  expect(end).toMatchObject({ kind: 'awarded', plant: 'B' })
  expect(a.judged()).toBe(0)
  expect(machines(a, b, g)).toEqual([0, 1, 0])
  expect((await clock.settle(sell(['G'], { ...order(2), without: ['A', 'B', 'G'] as PeerId[] }))).decision.answers).toMatchObject([{ plant: 'G' }])
})

test('a call from a plant of the site is not passed on: it asks its neighbours itself', async () => {
  const a = await plantOf('A')
  site = ['A', 'B']
  await gateway()
  const mate = bidding()({ transport: network.peer('B'), clock, random, log: fakeLog() })
  const { end } = await clock.settle(mate.auction({ ...order(), ranked: false, handOvers: () => [], candidates: [{ plant: 'G' as PeerId, why: 'test' }] }))
  expect(end.kind).toBe('refused')
  expect(a.judged()).toBe(0)
  await mate.stop()
})

test('a refusal of the site is the one that is easiest to mend, and the broker\'s own only where there is no other', async () => {
  await plantOf('A', { capacity: { ...ROOMY, memoryMiB: 128 } })
  site = ['A']
  await gateway()
  const { decision } = await clock.settle(sell(['G']))
  expect(decision.answers).toMatchObject([{ plant: 'A', via: 'G', refusal: { smallestChange: [{ attribute: 'hardware.memoryMiB', to: 128 }] } }])
  network.kill('A')
  expect((await clock.settle(sell(['G'], order(2)))).decision.answers).toMatchObject([{ plant: 'G', refusal: { reasons: [{ code: 'MACHINES_FULL' }] } }])
})

/** A bid of a plant of the site, as it would be sound. */
const bidOf = (plant: string, n: number, more: Partial<Bid> = {}): CallAnswer => ({ t: 0, bid: { bidId: vmIdOf(n), vmId: vmIdOf(1), plant: plant as PeerId, items: [{ item: 'x', cost: n, why: '' }], total: n, expiresInMs: 15_000, ...more } })
const CALL = { from: 'shop' as PeerId, vmId: vmIdOf(1), orderDigest: 'd' }
const [A, B] = ['A', 'B'] as PeerId[] as [PeerId, PeerId]

test('book passes over a plant that speaks for another, for another machine, or under another\'s bid, and keeps no bid for longer than its own', () => {
  const book = new BrokerBook('G' as PeerId, random)
  expect(book.onAnswers(CALL, [{ plant: A, answer: bidOf('B', 1) }, { plant: A, answer: bidOf('A', 1, { vmId: vmIdOf(2) }) }, { plant: A, answer: { t: 2, held: { vmId: vmIdOf(2), plant: A, state: 'running' } } }], 0)).toBeUndefined()
  expect(book.onAnswers(CALL, [{ plant: B, answer: bidOf('B', 3, { expiresInMs: 86_400_000 }) }], 0)).toMatchObject({ bid: { expiresInMs: 15_000 } })
  expect(book.onAnswers({ ...CALL, from: 'other' as PeerId }, [{ plant: A, answer: bidOf('A', 3) }], 1)).toBeUndefined()
  expect(book.onAward(CALL.from, vmIdOf(3), CALL.vmId, 'd', 2)).toEqual({ plant: 'B' })
  expect(book.onAward(CALL.from, vmIdOf(3), CALL.vmId, 'other order', 2)).toMatchObject({ answer: { refusal: { reasons: [{ code: 'BID_EXPIRED' }] } } })
  expect(book.onAward('other' as PeerId, vmIdOf(3), CALL.vmId, 'd', 2)).toBeUndefined()
})

test('book awards nothing that has expired, but remembers for a while whom an award went to', () => {
  const book = new BrokerBook('G' as PeerId, random, { passedMax: 1 })
  const tell = (n: number, atMs: number): unknown => book.onAnswers(CALL, [{ plant: A, answer: bidOf('A', n) }, { plant: B, answer: bidOf('B', n + 1) }], atMs)
  tell(1, 0)
  expect(book.onAward(CALL.from, vmIdOf(1), CALL.vmId, 'd', 14_999)).toEqual({ plant: 'A' })
  expect(book.next(CALL.from, vmIdOf(1), 14_999)).toMatchObject({ plant: 'B', expiresInMs: 1 })
  expect([book.plantOf(CALL.from, vmIdOf(1)), book.next(CALL.from, vmIdOf(1), 15_001), book.calls(15_001)]).toEqual(['A', undefined, 0])
  expect(book.onAward(CALL.from, vmIdOf(2), CALL.vmId, 'd', 15_001)).toBeUndefined()
  tell(10, 20_000)
  book.onAward(CALL.from, vmIdOf(10), CALL.vmId, 'd', 20_001)
  expect([book.plantOf(CALL.from, vmIdOf(1)), book.plantOf(CALL.from, vmIdOf(10))]).toEqual([undefined, 'A'])
})

test('calls of one peer that are remembered are bounded: above, the gateway answers for itself alone', async () => {
  const a = await plantOf('A', { bidding: { book: { bidsPerPeerMax: 1_000 } } })
  site = ['A']
  const g = await gateway()
  const calls = Array.from({ length: BROKERED_PER_PEER_MAX + 10 }, async (_, n) => {
    const stream = await network.peer('flooder').open('G' as PeerId, BID_PROTOCOL, BID_LIMITS)
    await stream.send(encodeCall({ t: 0, callId: vmIdOf(n), ...order(n), withinMs: 5_000 }))
    await stream.receive({ timeoutMs: 60_000 })
    await stream.close()
  })
  await clock.settle(Promise.allSettled(calls))
  // Those that were under way when the bound was reached were asked too.
  expect(a.judged()).toBeLessThanOrEqual(BROKERED_PER_PEER_MAX + READ_PER_PEER_MAX)
  expect(g.bidding.underWay().brokered).toBe(BROKERED_PER_PEER_MAX)
  await clock.advance(20_000)
  expect(g.bidding.underWay().brokered).toBe(0)
})

test('a broker that offers another bid in place of each that it refuses is not followed for ever', async () => {
  let n = 100
  const bid = (): Bid => (bidOf('liar', n++) as CallAnswer & { t: 0 }).bid
  await network.peer('liar').handle(BID_PROTOCOL, BID_LIMITS, async (stream) => {
    await stream.receive()
    await stream.send(encodeCallAnswer({ t: 0, bid: bid() }))
    await stream.close()
  })
  await network.peer('liar').handle(AWARD_PROTOCOL, AWARD_LIMITS, async (stream) => {
    await stream.receive()
    await stream.send(encodeAwardAnswer({ t: 1, plant: 'liar' as PeerId, refusal: { reasons: [{ code: 'LIMIT', clause: 'x' }], smallestChange: [] }, instead: bid() }))
    await stream.close()
  })
  const { end, decision } = await clock.settle(sell(['liar']))
  expect([end.kind, decision.attempts.length]).toEqual(['refused', 17])
})
