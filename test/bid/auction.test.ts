import { expect, test } from 'vitest'
import { Auction, BidBook, pickOffer, type AuctionEffect, type AuctionInit, type Bid, type CallAnswer, type Need, type Verdict } from '../../protocols/bid/index.ts'
import type { LeaseId, PeerId } from '../../protocols/kit/index.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { vmIdOf } from './bidding-plant.ts'

const [A, B, C] = ['A', 'B', 'C'] as [PeerId, PeerId, PeerId]
const VM = vmIdOf(1)
const bidOf = (plant: PeerId, total: number, more: Partial<Bid> = {}): CallAnswer & { t: 0 } => ({ t: 0, bid: { bidId: plant.repeat(32), vmId: VM, plant, items: [{ item: 'x', cost: total, why: '' }], total, expiresInMs: 15_000, ...more } })
const refusal = (plant: PeerId): CallAnswer => ({ t: 1, plant, refusal: { reasons: [{ code: 'RAM_SHORT', clause: 'hardware.memoryMiB' }], smallestChange: [] } })
const refusedAward = { t: 1 as const, plant: A, refusal: { reasons: [{ code: 'RAM_SHORT', clause: '' }], smallestChange: [] } }
const granted = (plant: PeerId) => ({ t: 0 as const, plant, leaseId: 'L' as LeaseId, leasedAtMs: 1, expiresInMs: 1 })
const auctionOf = (plants: PeerId[], init: AuctionInit = {}, ranked = false): Auction =>
  new Auction({ vmId: VM, ranked }, plants.map((plant) => ({ plant, why: 'test' })), new FakeRandom(1), { monotonicMs: 0, wallMs: 0 }, init)
const doing = (effects: AuctionEffect[]): string[] => effects.map((effect) => effect.do === 'end' ? `end ${effect.end.kind}` : 'plant' in effect ? `${effect.do} ${effect.plant}` : effect.do)

test('auction awards the cheapest as soon as all have answered', () => {
  const auction = auctionOf([A, B, C])
  expect(doing(auction.start(0))).toEqual(['call A', 'call B', 'call C', 'wake'])
  expect(auction.onAnswer(A, bidOf(A, 5), 10)).toEqual([])
  expect(auction.onAnswer(B, refusal(B), 20)).toEqual([])
  expect(doing(auction.onAnswer(C, bidOf(C, 4), 30))).toEqual(['award C'])
  expect(doing(auction.onAwardAnswer(granted(C), 40))).toEqual(['end awarded'])
  expect(auction.decision).toMatchObject({ outcome: 'awarded', plant: C, tookMs: 40, attempts: [{ plant: C, fromMs: 30, toMs: 40, outcome: 'granted' }] })
  expect(auction.decision.answers.map((answer) => [answer.plant, answer.kind, answer.afterMs])).toEqual([[A, 'bid', 10], [B, 'refusal', 20], [C, 'bid', 30]])
})

test('auction stops waiting at the deadline, and takes a late bid when the others fail', () => {
  const auction = auctionOf([A, B])
  auction.start(0)
  auction.onAnswer(A, bidOf(A, 5), 10)
  expect(doing(auction.onWake(1_500))).toEqual(['award A'])
  expect(auction.onAnswer(B, bidOf(B, 9), 1_600)).toEqual([])
  expect(doing(auction.onAwardAnswer(refusedAward, 1_700))).toEqual(['award B'])
  expect(auction.decision.answers[1]).toMatchObject({ plant: B, late: true })
})

test('auction without a bid at the deadline takes the first until the last deadline, then says who was silent', () => {
  const slow = auctionOf([A, B])
  slow.start(0)
  expect(slow.onWake(1_500)).toEqual([{ do: 'wake', atMs: 4_500 }])
  expect(doing(slow.onAnswer(B, bidOf(B, 1), 2_000))).toEqual(['award B'])
  const dead = auctionOf([A, B])
  dead.start(0)
  dead.onAnswer(A, refusal(A), 5)
  dead.onWake(1_500)
  expect(doing(dead.onWake(4_500))).toEqual(['end refused'])
  expect(dead.decision.answers).toMatchObject([{ plant: A, kind: 'refusal', refusal: { reasons: [{ code: 'RAM_SHORT' }] } }, { plant: B, kind: 'none', problem: 'STREAM_TIMEOUT' }])
})

test('auction settles an award without an answer before it tries another plant', () => {
  const lost = (init: AuctionInit = {}): Auction => {
    const auction = auctionOf([A, B], init)
    auction.start(0)
    auction.onAnswer(A, bidOf(A, 1), 1)
    expect(doing(auction.onAnswer(B, bidOf(B, 2), 2))).toEqual(['award A'])
    expect(doing(auction.onAwardLost('STREAM_TIMEOUT', true, 5_000))).toEqual(['settle A'])
    return auction
  }
  expect(doing(lost().onAwardAnswer(granted(A), 5_010))).toEqual(['end awarded'])
  expect(doing(lost().onAwardAnswer({ t: 3 }, 5_010))).toEqual(['award B'])
  expect(doing(lost().onAwardAnswer({ t: 2, held: { vmId: VM, plant: A, state: 'creating' } }, 5_010))).toEqual(['end held'])
  expect(doing(lost().onAwardLost('STREAM_TIMEOUT', true, 7_000))).toEqual(['cancel A', 'award B'])
  // LIMIT answers nothing about the award.
  expect(doing(lost().onAwardAnswer(refusedAward, 7_000))).toEqual(['cancel A', 'award B'])
  expect(doing(lost({ strict: true }).onAwardLost('STREAM_TIMEOUT', true, 7_000))).toEqual(['cancel A', 'end unsettled'])
})

test('auction does not settle an award that was never sent, and skips a bid that has expired', () => {
  const auction = auctionOf([A, B, C])
  auction.start(0)
  auction.onAnswer(A, bidOf(A, 1), 1)
  auction.onAnswer(B, bidOf(B, 2, { expiresInMs: 1_000 }), 1)
  expect(doing(auction.onAnswer(C, bidOf(C, 3), 2))).toEqual(['award A'])
  expect(doing(auction.onAwardLost('PEER_UNREACHABLE', false, 1_500))).toEqual(['award C'])
  expect(auction.decision.attempts.map((attempt) => attempt.outcome)).toEqual(['unreachable', 'expired', undefined])
})

test('auction ends when a plant has the machine, and cancels what is under way when given up', () => {
  const found = auctionOf([A, B])
  found.start(0)
  expect(doing(found.onAnswer(A, { t: 2, held: { vmId: VM, plant: A, state: 'running' } }, 1))).toEqual(['end held'])
  const given = auctionOf([A])
  given.start(0)
  given.onAnswer(A, bidOf(A, 1), 1)
  expect(doing(given.onAbort(2))).toEqual(['cancel A', 'end aborted'])
  expect(given.onAwardAnswer(granted(A), 3)).toEqual([])
})

test('auction takes no answer from strangers, none twice, and none for another machine', () => {
  const auction = auctionOf([A, B])
  auction.start(0)
  expect(auction.onAnswer(C, bidOf(C, 0), 1)).toEqual([])
  expect(auction.onAnswer(A, bidOf(A, 0, { vmId: vmIdOf(2) }), 1)).toEqual([])
  expect(auction.onAnswer(A, bidOf(A, 0), 1)).toEqual([])
  expect(doing(auction.onAnswer(B, bidOf(B, 7), 2))).toEqual(['award B'])
  expect(auction.decision.answers[0]).toMatchObject({ plant: A, kind: 'none', problem: 'MESSAGE_INVALID' })
  expect(doing(auctionOf([]).start(0))).toEqual(['end refused'])
})

test('with a rank the highest wins and cost breaks ties; equals are drawn evenly', () => {
  const offers = [bidOf(A, 1, { rank: 1 }), bidOf(B, 9, { rank: 2 }), bidOf(C, 8, { rank: 2 })]
  const random = new FakeRandom(5)
  expect(pickOffer(offers, true, random)?.bid.plant).toBe(C)
  expect(pickOffer(offers, false, random)?.bid.plant).toBe(A)
  expect(pickOffer([bidOf(A, 1, { rank: -1 }), bidOf(B, 5)], true, random)?.bid.plant).toBe(B)
  const won = new Map<PeerId, number>()
  for (let i = 0; i < 3_000; i++) {
    const plant = pickOffer([bidOf(A, 1), bidOf(B, 1), bidOf(C, 1)], false, random)?.bid.plant ?? A
    won.set(plant, (won.get(plant) ?? 0) + 1)
  }
  for (const plant of [A, B, C]) expect(won.get(plant)).toBeGreaterThan(900)
})

const need: Need = { cpus: 1, memoryMiB: 1, diskMiB: 1, networks: [] }
const offer: Verdict = { kind: 'offer', vmId: VM, need, items: [{ item: 'x', cost: 1, why: '' }] }

test('bid book forgets expired bids and refuses to hold more than its bounds', () => {
  const book = new BidBook(A, new FakeRandom(1), { bidTtlMs: 100, bidsPerPeerMax: 2, bidsMax: 3 })
  const call = (from: PeerId, nowMs: number): string => {
    const answer = book.onVerdict(from, 'digest', offer, nowMs)
    return answer.t === 0 ? 'bid' : answer.t === 1 ? answer.refusal.reasons[0]?.code ?? '' : 'held'
  }
  expect([call(B, 0), call(B, 0), call(B, 0), call(C, 50), call(C, 50)]).toEqual(['bid', 'bid', 'LIMIT', 'bid', 'LIMIT'])
  expect(call(B, 100)).toBe('bid')
  expect(book.standing(100)).toBe(2)
  expect(book.standing(200)).toBe(0)
})

test('bid book grants a bid once, to the peer and the order it was made for, and a repeated award gets the same lease', () => {
  const book = new BidBook(A, new FakeRandom(1), { bidTtlMs: 100 })
  const answer = book.onVerdict(B, 'digest', offer, 0)
  const bidId = answer.t === 0 ? answer.bid.bidId : ''
  const expired = { answer: { t: 1, refusal: { reasons: [{ code: 'BID_EXPIRED' }] } } }
  expect(book.onAward(C, bidId, VM, 'digest', 1)).toMatchObject(expired)
  expect(book.onAward(B, bidId, VM, 'other order', 1)).toMatchObject(expired)
  expect(book.onAward(B, bidId, vmIdOf(2), 'digest', 1)).toMatchObject(expired)
  const step = book.onAward(B, bidId, VM, 'digest', 1)
  if (!('grant' in step)) throw new Error('not granted')
  book.onGrant(step.grant, { kind: 'granted', leaseId: 'L' as LeaseId, leasedAtMs: 5, expiresInMs: 50 }, 1)
  expect(book.onAward(B, bidId, VM, 'digest', 11)).toEqual({ answer: { t: 0, plant: A, leaseId: 'L', leasedAtMs: 5, expiresInMs: 40 } })
  expect(book.onSettle(C, bidId, VM, 11)).toBeUndefined()
  expect(book.onSettle(B, bidId, VM, 11)).toMatchObject({ t: 0, leaseId: 'L' })
})

test('bid book burns a bid that is settled or cancelled: a late award finds nothing', () => {
  const book = new BidBook(A, new FakeRandom(1))
  for (const burn of [(id: string) => book.onSettle(B, id, VM, 1), (id: string) => book.onCancel(B, id, VM)]) {
    const answer = book.onVerdict(B, 'digest', offer, 0)
    const bidId = answer.t === 0 ? answer.bid.bidId : ''
    expect(burn(bidId)).toBeUndefined()
    expect(book.onAward(B, bidId, VM, 'digest', 1)).toMatchObject({ answer: { t: 1 } })
  }
  expect(book.standing(1)).toBe(0)
})
