import { describe, expect, test } from 'vitest'
import { INTRODUCED_SIZE_MAX, INTRODUCERS_MAX, INTRODUCTION_TRIES_MAX, KnownPlants, MISSED_BATCH_MAX, RECENT_MS, type Answer, type Ask, type Missed } from '../../protocols/claim/index.ts'
import { Introduction } from '../../protocols/claim/introduction.ts'
import { PlantError, type PeerId } from '../../protocols/kit/index.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'

const peer = (name: string): PeerId => name as PeerId
const peers = (count: number): PeerId[] => Array.from({ length: count }, (_, at) => peer(`n${String(at).padStart(5, '0')}`))
const knownBy = (self: string): KnownPlants => new KnownPlants(peer(self), new NodeCrypto())
const settled = async (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

/** Asks neighbours that answer so. */
function introduced (connected: PeerId[], answer: (peer: PeerId, ask: Ask) => Promise<Answer>): { introduction: Introduction, asked: PeerId[], missed: Missed[] } {
  const asked: PeerId[] = []
  const missed: Missed[] = []
  const introduction = new Introduction({
    connected: () => connected,
    ask: async (to, ask) => {
      asked.push(to)
      return answer(to, ask)
    },
    onMissed: (more) => { missed.push(...more) }
  })
  return { introduction, asked, missed }
}

describe('an introduction', () => {
  test('asks each neighbour until it has answered once, and so many at most', async () => {
    const { introduction, asked } = introduced(peers(INTRODUCERS_MAX + 3), async () => ({ t: 9, missed: [] }))
    introduction.look()
    expect(introduction.isAwaited).toBe(true)
    introduction.look()
    await settled()
    expect(introduction.isAwaited).toBe(false)
    introduction.look()
    expect(asked).toEqual(peers(INTRODUCERS_MAX))
  })

  test('asks again who did not answer or did not understand, but not for ever', async () => {
    const { introduction, asked } = introduced([peer('a'), peer('b')], async (to) => {
      if (to === 'a') throw new PlantError('STREAM_TIMEOUT', {})
      return { t: 5 }
    })
    for (let n = 0; n < INTRODUCTION_TRIES_MAX; n++) {
      introduction.look()
      await settled()
    }
    expect(asked).toHaveLength(INTRODUCTION_TRIES_MAX)
    expect(introduction.isAwaited).toBe(false)
  })

  test('hears of all that a neighbour misses, however many', async () => {
    const neighbour = knownBy('a')
    const all = peers(2 * MISSED_BATCH_MAX + 5)
    neighbour.update(all, 0)
    const { introduction, missed } = introduced([peer('a')], async (_to, ask) => ({ t: 9, missed: neighbour.missed([], 1_000, ask.t === 6 ? ask.after : undefined) }))
    introduction.look()
    await settled()
    expect(missed).toEqual(all.map((one) => ({ peer: one, agoMs: 1_000 })))
  })
})

describe('plants that another misses', () => {
  test('are those that it counts and has not in view, but for those that said goodbye', () => {
    const known = knownBy('a')
    known.update(['b', 'c', 'd'].map(peer), 0)
    known.bye(peer('d'), 500)
    known.update(['b', 'd'].map(peer), 1_000)
    expect(known.missed(['b'].map(peer), 3_000)).toEqual([{ peer: 'c', agoMs: 3_000 }])
  })

  test('count for as long as they do there, and what is known better stays', () => {
    const known = knownBy('a')
    known.update([peer('b')], 10)
    known.introduce([{ peer: peer('a'), agoMs: 0 }, { peer: peer('b'), agoMs: RECENT_MS - 1 }, { peer: peer('c'), agoMs: RECENT_MS - 20 }, { peer: peer('d'), agoMs: RECENT_MS }], 10)
    expect(known.others()).toEqual(['b', 'c'])
    known.update([], 29)
    expect(known.others()).toEqual(['b', 'c'])
    known.update([], 30)
    expect(known.others()).toEqual(['b'])
  })

  test('leave room for plants in view when somebody makes them up', () => {
    const known = knownBy('a')
    known.introduce(peers(INTRODUCED_SIZE_MAX + 1).map((one) => ({ peer: one, agoMs: 0 })), 0)
    expect(known.size).toBe(INTRODUCED_SIZE_MAX)
    known.update([peer('b')], 0)
    expect(known.others()).toContain('b')
  })
})
