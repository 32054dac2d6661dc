import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BLOCK_BYTES, PIECE_BYTES, STALL_MS, UNCHOKED_MAX, UNCHOKED_TURN_MS, WRONG_PEERS_MAX } from '../../storage/swarm/constants.ts'
import { PeerPolicy } from '../../storage/swarm/peer-policy.ts'
import { Picker } from '../../storage/swarm/picker.ts'
import { PieceSet } from '../../storage/swarm/piece-set.ts'
import { Slots } from '../../storage/swarm/slots.ts'
import { PackSpread } from '../../storage/swarm/spread.ts'
import { TokenBucket } from '../../storage/swarm/token-bucket.ts'
import { UploadPeer, Uploader } from '../../storage/swarm/uploader.ts'
import { FakeRandom } from '../support/fake-random.ts'

const setOf = (count: number, pieces: Iterable<number>): PieceSet => {
  const set = new PieceSet(count)
  for (const piece of pieces) set.add(piece)
  return set
}

describe('a set of pieces', () => {
  test('is read from a bitfield as BitTorrent has it, and refused with a wrong length or a spare bit', () => {
    expect([...PieceSet.fromBitfield(Uint8Array.of(0b1000_0001, 0b1000_0000), 9) ?? []]).toEqual([0, 7, 8])
    expect(PieceSet.fromBitfield(Uint8Array.of(0xff), 9)).toBeUndefined()
    expect(PieceSet.fromBitfield(Uint8Array.of(0xff, 0xc0), 9)).toBeUndefined()
  })

  test('holds what was added and not deleted, and finds what it has in common with another', () => {
    const pieces = fc.uniqueArray(fc.nat(2_999), { maxLength: 60 })
    fc.assert(fc.property(pieces, pieces, pieces, fc.integer(), (added, deleted, others, seed) => {
      const set = setOf(3_000, added)
      for (const piece of deleted) set.delete(piece)
      const left = added.filter((piece) => !deleted.includes(piece))
      expect([...set]).toEqual(left.toSorted((a, b) => a - b))
      expect(set.size).toBe(left.length)
      const random = new FakeRandom(seed)
      const common = set.common(setOf(3_000, others), (below) => random.int(below))
      const both = left.filter((piece) => others.includes(piece))
      if (common === undefined) expect(both).toEqual([])
      else expect(both).toContain(common)
    }))
  })
})

const peerOf = (picker: Picker, id: string, count: number, pieces?: Iterable<number>): ReturnType<Picker['join']> => {
  const peer = picker.join(id, count)
  picker.hasAll(peer, pieces === undefined ? PieceSet.full(count) : setOf(count, pieces))
  peer.choking = false
  return peer
}
const askAll = (picker: Picker, peer: ReturnType<Picker['join']>, nowMs: number): number[] => {
  const asked: number[] = []
  for (let choice = picker.next(peer, nowMs); choice !== undefined; choice = picker.next(peer, nowMs)) asked.push(choice.piece)
  return asked
}

describe('the picker', () => {
  test('asks for the urgent first, then in the given order, then for the rarest', () => {
    const picker = new Picker(8, new FakeRandom(1))
    const seed = peerOf(picker, 'seed', 8)
    peerOf(picker, 'other', 8, [0, 1, 2, 4, 5, 6, 7])
    picker.follow([5, 6])
    for (let piece = 0; piece < 8; piece++) picker.want(piece)
    picker.urgent(2, 0)
    const first = askAll(picker, seed, 0)
    expect(first[0]).toBe(2)
    expect([5, 6]).toContain(first[1])
    for (const piece of first) {
      picker.received(seed, seed.asked.get(piece), BLOCK_BYTES, 1)
      picker.arrived(seed, piece)
      picker.kept(piece)
    }
    expect(askAll(picker, seed, 1)).toEqual([first[1] === 5 ? 6 : 5, 3])
  })

  test('keeps to the order where all peers have all, and takes the rarest of its next pieces where others fetch too', () => {
    const order = Array.from({ length: 100 }, (_, i) => (i * 7) % 100)
    for (const [crowded, expected] of [[false, [0, 7]], [true, [21, 35]]] as const) {
      const picker = new Picker(100, new FakeRandom(1))
      const seed = peerOf(picker, 'seed', 100)
      // Those at places 3 and 5 are what it lacks, and one beyond the next 64.
      if (crowded) peerOf(picker, 'other', 100, order.filter((_, place) => ![3, 5, 70].includes(place)))
      picker.follow(order)
      for (let piece = 0; piece < 100; piece++) picker.want(piece)
      expect(askAll(picker, seed, 0).sort((a, b) => a - b)).toEqual(expected)
    }
  })

  test('asks others within a second when a peer falls silent, and takes the piece back from it', () => {
    const picker = new Picker(4, new FakeRandom(1))
    const dead = peerOf(picker, 'dead', 4)
    for (let piece = 0; piece < 2; piece++) picker.want(piece)
    const asked = askAll(picker, dead, 0)
    const other = peerOf(picker, 'other', 4)
    for (let nowMs = 0; nowMs <= STALL_MS; nowMs += 100) picker.tick(nowMs)
    const choices = [picker.next(other, STALL_MS + 100), picker.next(other, STALL_MS + 100)]
    expect(choices.map((choice) => choice?.piece).sort()).toEqual(asked.toSorted())
    expect(choices.flatMap((choice) => choice?.instead ?? [])).toEqual([dead, dead])
    expect(dead.asked.size).toBe(0)
  })

  test('leaves a piece with a silent peer that is the only one to have it', () => {
    const picker = new Picker(1, new FakeRandom(1))
    const only = peerOf(picker, 'only', 1)
    picker.want(0)
    expect(askAll(picker, only, 0)).toEqual([0])
    for (let nowMs = 0; nowMs <= 2_000; nowMs += 100) picker.tick(nowMs)
    expect(only.asked.has(0)).toBe(true)
    picker.received(only, only.asked.get(0), BLOCK_BYTES, 2_100)
    expect(picker.unasked).toBe(0)
  })

  test('asks a second peer for an urgent piece when the first is late, and tells who need not send it any more', () => {
    const picker = new Picker(2, new FakeRandom(1))
    const slow = peerOf(picker, 'slow', 2)
    picker.urgent(1, 0)
    expect(askAll(picker, slow, 0)).toEqual([1])
    const quick = peerOf(picker, 'quick', 2)
    expect(picker.next(quick, 700)).toEqual({ piece: 1, instead: [] })
    expect(picker.arrived(quick, 1)).toEqual([slow])
    expect(slow.asked.size).toBe(0)
  })

  test('asks for a refused piece elsewhere, and there again later', () => {
    const picker = new Picker(1, new FakeRandom(1))
    const [seed, other] = [peerOf(picker, 'seed', 1), peerOf(picker, 'other', 1)]
    picker.want(0)
    expect(askAll(picker, seed, 0)).toEqual([0])
    picker.refused(seed, 0, 10)
    expect(askAll(picker, seed, 20)).toEqual([])
    expect(askAll(picker, other, 20)).toEqual([0])
    picker.leave(other)
    picker.tick(5_000)
    expect(askAll(picker, seed, 5_000)).toEqual([0])
  })

  test('loses and doubles nothing, whatever peers do', () => {
    const acts = fc.array(fc.record({ act: fc.constantFrom('ask', 'bring', 'refuse', 'choke', 'tick', 'leave', 'wrong'), peer: fc.nat(3), pick: fc.nat(40) }), { maxLength: 200 })
    fc.assert(fc.property(acts, fc.integer(), (steps, seed) => {
      const picker = new Picker(40, new FakeRandom(seed))
      const kept = new Set<number>()
      let peers = Array.from({ length: 4 }, (_, i) => peerOf(picker, `p${i}`, 40, i === 0 ? undefined : [...Array(40).keys()].filter((piece) => piece % 4 !== i)))
      for (let piece = 0; piece < 40; piece++) picker.want(piece)
      steps.forEach(({ act, peer: i, pick }, step) => {
        const nowMs = step * 150
        const peer = peers[i % peers.length]
        if (peer === undefined) return
        const asked = [...peer.asked.keys()][pick % Math.max(1, peer.asked.size)]
        if (act === 'ask') askAll(picker, peer, nowMs)
        else if (act === 'tick') picker.tick(nowMs)
        else if (act === 'choke') { picker.choked(peer); peer.choking = false }
        else if (act === 'leave' && peers.length > 1) { picker.leave(peer); peers = peers.filter((one) => one !== peer) }
        else if (asked === undefined) { /* It was asked for nothing that it could bring. */ }
        else if (act === 'refuse') picker.refused(peer, asked, nowMs)
        else if (act === 'bring' || act === 'wrong') {
          picker.received(peer, peer.asked.get(asked), BLOCK_BYTES, nowMs)
          expect(kept.has(asked)).toBe(false)
          picker.arrived(peer, asked)
          if (act === 'wrong') picker.wrong(asked)
          else { picker.kept(asked); kept.add(asked) }
        }
      })
      const inFlight = new Set(peers.flatMap((peer) => [...peer.asked.keys()]))
      expect(picker.inFlight).toBe(inFlight.size)
      expect([...inFlight].filter((piece) => kept.has(piece))).toEqual([])
      // What is neither kept nor asked of anyone is still to be asked for: a seed brings it all.
      const seed2 = peerOf(picker, 'late', 40)
      for (const peer of peers) picker.leave(peer)
      for (let nowMs = 1e6; kept.size < 40; nowMs += 10) {
        const choice = picker.next(seed2, nowMs)
        if (choice === undefined) throw new Error(`pieces were lost: ${40 - kept.size}`)
        picker.received(seed2, seed2.asked.get(choice.piece), BLOCK_BYTES, nowMs)
        picker.arrived(seed2, choice.piece)
        picker.kept(choice.piece)
        kept.add(choice.piece)
      }
      expect(picker.next(seed2, 2e6)).toBeUndefined()
    }))
  })

  test('picks among a million pieces, of peers with few, without looking at each', () => {
    const picker = new Picker(1_000_000, new FakeRandom(1))
    const poor = peerOf(picker, 'poor', 1_000_000, Array.from({ length: 2_000 }, (_, i) => i * 500 + 3))
    for (let piece = 0; piece < 1_000_000; piece++) picker.want(piece)
    const startMs = performance.now()
    for (let i = 0; i < 2_000; i++) {
      const choice = picker.next(poor, i)
      if (choice === undefined) throw new Error('nothing was picked')
      picker.received(poor, poor.asked.get(choice.piece), BLOCK_BYTES, i)
      picker.arrived(poor, choice.piece)
      picker.kept(choice.piece)
    }
    // Some 20 ms; a look at each piece would take 2 * 10^9 steps.
    expect(performance.now() - startMs).toBeLessThan(5_000)
  })
})

describe('the uploader', () => {
  const always = (): boolean => true
  const request = (log: string[], name: string): { offset: number, length: number, answer: (bytes: Uint8Array | undefined) => void } => (
    { offset: 0, length: BLOCK_BYTES, answer: (bytes) => { if (bytes === undefined) log.push(name) } })

  test('shares fairly between a peer that asks for much and one that asks for little', () => {
    const uploader = new Uploader()
    const spread = new PackSpread(100)
    const [greedy, modest] = [new UploadPeer('greedy', spread, 100), new UploadPeer('modest', spread, 100)]
    for (let piece = 0; piece < 50; piece++) uploader.offer(greedy, piece, request([], ''))
    for (let i = 0; i < 20; i++) uploader.next(always)
    for (let piece = 50; piece < 55; piece++) uploader.offer(modest, piece, request([], ''))
    const served = Array.from({ length: 10 }, () => uploader.next(always)?.peer.id)
    expect(served.filter((id) => id === 'modest')).toHaveLength(5)
    expect(served.slice(0, 2).sort()).toEqual(['greedy', 'modest'])
  })

  test('a seed sends each piece once while there are others that nobody has, then whatever is asked for', () => {
    const uploader = new Uploader()
    const spread = new PackSpread(3)
    spread.isSeed = true
    spread.join()
    spread.join()
    const [a, b] = [new UploadPeer('a', spread, 3), new UploadPeer('b', spread, 3)]
    const refused: string[] = []
    for (const piece of [0, 1]) uploader.offer(a, piece, request(refused, `a${piece}`))
    for (const piece of [0, 1]) uploader.offer(b, piece, request(refused, `b${piece}`))
    const sent = [uploader.next(always), uploader.next(always)]
    expect(new Set(sent.map((job) => job?.piece))).toEqual(new Set([0, 1]))
    expect(refused).toHaveLength(2)
    expect(uploader.waiting).toBe(0)
    uploader.offer(b, 2, request(refused, 'b2'))
    expect(uploader.next(always)?.piece).toBe(2)
    for (const piece of [0, 1, 2]) uploader.offer(a, piece, request(refused, `again a${piece}`))
    expect(refused).toHaveLength(2)
  })

  test('a peer that cannot reach others is not refused for ever', () => {
    const uploader = new Uploader()
    const spread = new PackSpread(3)
    spread.isSeed = true
    spread.join()
    spread.join()
    spread.send(0)
    const alone = new UploadPeer('alone', spread, 3)
    const refused: string[] = []
    for (let i = 0; i < 40 && uploader.waiting === 0; i++) uploader.offer(alone, 0, request(refused, 'no'))
    expect(uploader.next(always)?.piece).toBe(0)
  })

  test('refuses requests above the bound for one peer', () => {
    const uploader = new Uploader()
    const peer = new UploadPeer('flood', new PackSpread(2_000), 2_000)
    const refused: string[] = []
    for (let piece = 0; piece < 2_000; piece++) uploader.offer(peer, piece, request(refused, 'no'))
    expect(peer.requests).toBe(1_024)
    expect(refused).toHaveLength(976)
  })
})

test('turns end while others wait, and nobody waits for ever', () => {
  const slots = new Slots<number>()
  for (let i = 0; i < UNCHOKED_MAX; i++) expect(slots.enter(i, 0)).toBe(true)
  expect(slots.enter(100, 0)).toBe(false)
  expect(slots.rotate(UNCHOKED_TURN_MS - 1)).toEqual({ begin: [], end: [] })
  expect(slots.rotate(UNCHOKED_TURN_MS)).toEqual({ begin: [100], end: [0] })
  expect(slots.leave(5, UNCHOKED_TURN_MS)).toEqual([0])
})

test('a capped rate is kept within a tenth over ten seconds, whatever is asked for', () => {
  for (const bytesPerS of [10_000, 1_250_000, 50_000_000]) {
    const bucket = new TokenBucket(bytesPerS)
    let sent = 0
    for (let nowMs = 0; nowMs < 10_000; nowMs += 1) while (bucket.take(PIECE_BYTES, nowMs)) sent += PIECE_BYTES
    expect(sent / 10 / bytesPerS).toBeGreaterThan(0.9)
    expect((sent - PIECE_BYTES) / 10 / bytesPerS).toBeLessThan(1.1)
  }
})

test('who sent a wrong piece is not dialled again, and the memory of it is bounded', () => {
  const policy = new PeerPolicy()
  for (let i = 0; i < WRONG_PEERS_MAX + 5; i++) policy.wrong(`peer ${i}`)
  expect(policy.mayDial('peer 4', 0)).toBe(true)
  expect(policy.mayDial('peer 5', 0)).toBe(false)
  policy.failed('away', 0)
  policy.failed('away', 1_000)
  expect(policy.mayDial('away', 2_999)).toBe(false)
  expect(policy.mayDial('away', 3_001)).toBe(true)
})
