/** Marks between plants over fake streams and gossip: what one has, all have, whatever was lost; and what a removal does to a shelf. */
import { afterEach, expect, test } from 'vitest'
import type { GoldenId, PeerId, PubSub, VmId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { MARKS_PER_KEY_MAX, marks, type Marks } from '../../protocols/template/index.ts'
import { PART_BYTES, SERVED_BURST_BYTES, SERVED_BYTES_PER_S, TEMPLATE_LIMITS, TEMPLATE_PROTOCOL, USES_PEERS_MAX } from '../../protocols/template/constants.ts'
import { encodeMarks, encodeTemplateAsk } from '../../protocols/template/messages.ts'
import { TemplateDesk } from '../../node/plant/templates/template-desk.ts'
import type { TemplateUse } from '../../storage/records/records.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { FakeNetwork, type FakeTransport } from '../support/fake-transport.ts'
import { crypto, goldenId, goldenOf, labelBy, markBy, people } from './support.ts'

const signal = new AbortController().signal

/** Gossip that all plants of a test share; `lost` keeps it from all. */
class Commons {
  readonly clock = new FakeClock()
  readonly network = new FakeNetwork({ clock: this.clock })
  lost = false
  readonly #handlers = new Map<PeerId, (from: PeerId, message: Uint8Array) => unknown>()

  pubsub (self: PeerId): PubSub {
    return {
      publish: async (_topic, message) => { if (!this.lost) for (const [peer, handler] of this.#handlers) if (peer !== self) handler(self, message) },
      subscribe: async (_topic, handler) => { this.#handlers.set(self, handler); return () => { this.#handlers.delete(self) } }
    }
  }
}

/** What outlives a process. */
class Disk {
  readonly marks = new Map<string, Uint8Array>()
  full = false
}

interface Plant { marks: Marks, peer: PeerId, transport: FakeTransport, disk: Disk, uses: { vmIds: VmId[], templates: string[] } }
const running: Marks[] = []
afterEach(async () => { for (const one of running.splice(0)) await one.stop() })

async function plant (commons: Commons, name: string, disk = new Disk()): Promise<Plant> {
  const transport = commons.network.peer(name)
  const uses: Plant['uses'] = { vmIds: [], templates: [] }
  const one = marks()({
    clock: commons.clock, random: new FakeRandom(name.length), pubsub: commons.pubsub(transport.self), transport, crypto, log: fakeLog(), uses: () => uses,
    records: {
      saveMarks: (changes) => {
        if (disk.full) throw new Error('the disk is full')
        for (const { key, signed } of changes) if (signed === undefined) disk.marks.delete(key); else disk.marks.set(key, signed)
      },
      marks: () => [...disk.marks.values()]
    }
  })
  await one.start()
  running.push(one)
  return { marks: one, peer: transport.self, transport, disk, uses }
}

const labelled = (of: Plant, label: string): GoldenId[] => [...of.marks.view.labelled(label)].map((mark) => mark.goldenId).sort()
const now = (commons: Commons): number => commons.clock.nowMs()

test('a mark reaches those that are there by gossip and those that come later by asking', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons, 'a'), await plant(commons, 'b')]
  a.marks.publish(labelBy(0, 1, 'good', now(commons)))
  expect([labelled(b, 'good'), b.disk.marks.size]).toEqual([[goldenId(1)], 1])
  const late = await plant(commons, 'late')
  await commons.clock.advance(1_000)
  expect(labelled(late, 'good')).toEqual([goldenId(1)])
})

test('what gossip lost arrives by the exchange between neighbours, within two periods', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons, 'a'), await plant(commons, 'b')]
  await commons.clock.advance(10_000)
  commons.lost = true
  a.marks.publish(labelBy(0, 1, 'good', now(commons)))
  expect(labelled(b, 'good')).toEqual([])
  await commons.clock.advance(150_000)
  expect(labelled(b, 'good')).toEqual([goldenId(1)])
})

test('what was said to be kept is there after a crash before anybody heard of it, and spreads', async () => {
  const commons = new Commons()
  commons.lost = true
  const first = await plant(commons, 'a')
  first.marks.publish(labelBy(0, 1, 'good', now(commons)))
  await first.marks.stop()
  const b = await plant(commons, 'b')
  const again = await plant(commons, 'a', first.disk)
  expect(labelled(again, 'good')).toEqual([goldenId(1)])
  await commons.clock.advance(150_000)
  expect(labelled(b, 'good')).toEqual([goldenId(1)])
})

test('what cannot be written is told to who asked, and is not passed on', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons, 'a'), await plant(commons, 'b')]
  a.disk.full = true
  expect(() => { a.marks.publish(labelBy(0, 1, 'good', now(commons))) }).toThrow('full')
  expect(labelled(b, 'good')).toEqual([])
})

test('a publisher is told why a mark is not taken', async () => {
  const commons = new Commons()
  const a = await plant(commons, 'a')
  const at = now(commons)
  a.marks.publish(labelBy(0, 1, 'good', at))
  a.marks.publish(labelBy(0, 1, 'good', at))
  expect(() => { a.marks.publish(labelBy(0, 1, 'good', at - 1, false)) }).toThrow('CALL_STALE')
  expect(() => { a.marks.publish(labelBy(0, 2, 'good', at + 400_000)) }).toThrow('CALL_STALE')
  expect(() => { a.marks.publish(new Uint8Array(4)) }).toThrow('MESSAGE_INVALID')
  const altered = labelBy(0, 3, 'good', at)
  altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1
  expect(() => { a.marks.publish(altered) }).toThrow('SIGNATURE_INVALID')
})

test('a neighbour whose marks are not sound is read no further, and one that sends rubbish harms nobody', async () => {
  const commons = new Commons()
  const a = await plant(commons, 'a')
  const liar = commons.network.peer('liar')
  let served = 0
  await liar.handle(TEMPLATE_PROTOCOL, TEMPLATE_LIMITS, async (stream) => {
    await stream.receive()
    served++
    await stream.send(encodeMarks([labelBy(0, 1, 'good', 1), new Uint8Array(9), labelBy(0, 2, 'good', 1)])).catch(() => {})
    await stream.send(new Uint8Array(7)).catch(() => {})
  })
  await commons.clock.advance(200_000)
  expect(served).toBeGreaterThan(0)
  expect(labelled(a, 'good')).toEqual([goldenId(1)])
})

test('neighbours that send a mark now and then, without end, do not keep a plant from asking others', async () => {
  const commons = new Commons()
  commons.lost = true
  const a = await plant(commons, 'a')
  for (let i = 0; i < 6; i++) {
    await commons.network.peer(`slow ${i}`).handle(TEMPLATE_PROTOCOL, TEMPLATE_LIMITS, async (stream) => {
      await stream.receive()
      for (let n = 0; !stream.signal.aborted; n++) {
        await stream.send(encodeMarks([labelBy(1, i, 'slow', 1)]))
        await new Promise<void>((resolve) => { commons.clock.after(4_000, resolve) })
      }
    })
  }
  await commons.clock.advance(10_000)
  const b = await plant(commons, 'b')
  b.marks.publish(labelBy(0, 1, 'good', now(commons)))
  await commons.clock.advance(300_000)
  expect(labelled(a, 'good')).toEqual([goldenId(1)])
})

test('a summary that differs everywhere, asked again and again, is answered within the peer\'s share', async () => {
  const commons = new Commons()
  const a = await plant(commons, 'a')
  for (let i = 0; i < 1_000; i++) a.marks.publish(labelBy(0, i, 'good', now(commons)))
  const greedy = commons.network.peer('greedy')
  let bytes = 0
  const ask = async (): Promise<void> => {
    const stream = await greedy.open(a.peer, TEMPLATE_PROTOCOL, TEMPLATE_LIMITS)
    await stream.send(encodeTemplateAsk({ ask: 'marks', have: new Uint8Array(2048) }))
    await stream.close()
    for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) bytes += message.length
  }
  const times = 60
  for (let i = 0; i < times; i++) {
    const asked = ask().catch(() => {}) // The end of its patience, as nothing more comes.
    await commons.clock.advance(6_000)
    await asked
  }
  expect(bytes).toBeLessThan(SERVED_BURST_BYTES + times * 6 * SERVED_BYTES_PER_S + 4 * PART_BYTES)
  expect(bytes).toBeGreaterThan(SERVED_BURST_BYTES)
})

test('who has all the labels that a key may have can still say one of them again', async () => {
  const commons = new Commons()
  const a = await plant(commons, 'a')
  for (let i = 0; i < MARKS_PER_KEY_MAX; i++) a.marks.publish(labelBy(0, i, 'good', now(commons)))
  expect(() => { a.marks.publish(labelBy(0, MARKS_PER_KEY_MAX, 'good', now(commons))) }).toThrow('LIMIT')
  a.marks.publish(labelBy(0, 1, 'good', now(commons) + 1, false))
  a.marks.publish(labelBy(0, 1, 'good', now(commons) + 2))
})

test('more plants than are asked are told of as silent', async () => {
  const commons = new Commons()
  const a = await plant(commons, 'a')
  const peers = Array.from({ length: USES_PEERS_MAX + 3 }, (_, i) => `gone ${i}` as PeerId)
  expect((await commons.clock.settle(a.marks.usesAt(peers, [goldenId(1)], signal))).map(({ peer }) => peer)).toEqual(peers)
})

/** A desk over a shelf in memory. */
function deskOf (commons: Commons, of: Plant, peers: Plant[], goldens: Golden[], signer = people[3]?.signer): { desk: TemplateDesk, shelf: Golden[], live: GoldenId[], stop: () => void } {
  const shelf = [...goldens]
  const live: GoldenId[] = []
  const uses: TemplateUse[] = []
  const desk = new TemplateDesk({
    signer: signer as never, clock: commons.clock, log: fakeLog(), marks: of.marks, peers: () => peers.map(({ peer }) => peer),
    warehouse: { list: () => [...shelf], remove: async (id) => { shelf.splice(shelf.findIndex((golden) => golden.goldenId === id), 1) }, onChange: () => () => {} },
    records: { noteUse: () => {}, templateUses: () => uses, machines: () => live.map((id, i) => ({ vmId: String(i).padStart(32, '0') as VmId, plan: { goldenId: id } })) as never }
  })
  return { desk, shelf, live, stop: desk.start() }
}
const mine = people[0]?.key as never
const removal = (number: number, person = 0): Uint8Array => markBy(person, { kind: 'removed', goldenId: goldenId(number), name: 'workspace', version: number, atMs: 5 })
const published = (number: number, more: Partial<Golden> = {}): Golden => goldenOf(number, { version: number, publishedBy: { domain: 'lab', domainKey: mine }, ...more })

test('a removal takes the golden machine off every shelf that has it, once no machine there stands on it', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons, 'a'), await plant(commons, 'b')]
  const [here, there] = [deskOf(commons, a, [b], [published(1), published(2)]), deskOf(commons, b, [a], [published(1)])]
  expect(await commons.clock.settle(here.desk.remove([removal(1)], signal))).toEqual({ removed: ['workspace@1'], silent: [] })
  await commons.clock.advance(10)
  expect([here.shelf, there.shelf]).toMatchObject([[{ version: 2 }], []])
  expect(there.desk.facts.isRemoved(published(1))).toBe(true)
  expect(here.desk.removedVersion('workspace', mine)).toBe(1)
  const busy = deskOf(commons, b, [], [published(1)])
  busy.live.push(goldenId(1))
  await commons.clock.advance(10)
  busy.stop()
  const kept = deskOf(commons, b, [], [])
  kept.shelf.push(published(1))
  kept.live.push(goldenId(1))
  kept.desk.sweep()
  await commons.clock.advance(10)
  expect(kept.shelf).toHaveLength(1)
  kept.live.pop()
  kept.desk.sweep()
  await commons.clock.advance(10)
  expect(kept.shelf).toEqual([])
})

test('a removal is refused while a plant anywhere makes machines or templates of it, naming them', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons, 'a'), await plant(commons, 'b')]
  const here = deskOf(commons, a, [b], [published(1), published(2, { from: goldenId(1) })])
  b.uses.vmIds.push('f'.repeat(32) as VmId)
  b.uses.templates.push('other@1')
  await expect(commons.clock.settle(here.desk.remove([removal(1)], signal))).rejects.toMatchObject({ code: 'TEMPLATE_IN_USE', details: { vmids: ['f'.repeat(32)], children: ['workspace@2', 'other@1'], saidBy: [b.peer] } })
  expect(here.shelf).toHaveLength(2)
  b.uses.vmIds.pop()
  b.uses.templates.pop()
  // Base and child at once: nothing is left that stands on either.
  expect(await commons.clock.settle(here.desk.remove([removal(1), removal(2)], signal))).toMatchObject({ removed: ['workspace@1', 'workspace@2'] })
  expect(here.shelf).toEqual([])
})

test('of several removals none is done when one is not sound', async () => {
  const commons = new Commons()
  const a = await plant(commons, 'a')
  const here = deskOf(commons, a, [], [published(1), published(2)])
  const forged = removal(2)
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
  await expect(commons.clock.settle(here.desk.remove([removal(1), forged], signal))).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' })
  expect([here.shelf.length, [...a.marks.view.all()]]).toEqual([2, []])
})

test('keys that a plant goes by are those of its shelf, its machines and its users', async () => {
  const commons = new Commons()
  const a = await plant(commons, 'a')
  const here = deskOf(commons, a, [], [published(1)])
  const goesBy = (): boolean[] => people.slice(0, 3).map(({ key }) => here.desk.relied.has(key))
  expect(goesBy()).toEqual([true, false, false])
  here.desk.mark(labelBy(1, 1, 'good', now(commons)))
  expect(goesBy()).toEqual([true, true, false])
})

test('who may not remove is refused, and a stranger\'s mark of removal that comes by gossip removes nothing', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons, 'a'), await plant(commons, 'b')]
  const here = deskOf(commons, a, [b], [published(1)])
  await expect(commons.clock.settle(here.desk.remove([removal(1, 1)], signal))).rejects.toMatchObject({ code: 'NOT_AUTHORISED' })
  expect(() => { here.desk.mark(removal(1)) }).toThrow('MESSAGE_INVALID')
  b.marks.publish(removal(1, 1))
  await commons.clock.advance(10)
  expect([...a.marks.view.of(goldenId(1))]).toMatchObject([{ kind: 'removed' }])
  expect(here.shelf).toHaveLength(1)
})

test('what a plant built its administrator removes there, and nowhere else', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons, 'a'), await plant(commons, 'b')]
  const built = goldenOf(1, { name: 'tiny', publisher: people[3]?.key as never })
  const [here, there] = [deskOf(commons, a, [b], [built], people[3]?.signer), deskOf(commons, b, [a], [built], people[2]?.signer)]
  await expect(commons.clock.settle(there.desk.remove([removal(1)], signal))).rejects.toMatchObject({ code: 'NOT_AUTHORISED' })
  expect(await commons.clock.settle(here.desk.remove([removal(1)], signal))).toMatchObject({ removed: ['tiny@1'] })
  await commons.clock.advance(10)
  expect([here.shelf, there.shelf]).toEqual([[], []])
})

test('a plant that does not answer is named, and does not keep a template for ever', async () => {
  const commons = new Commons()
  const a = await plant(commons, 'a')
  const dumb = commons.network.peer('dumb')
  await dumb.handle(TEMPLATE_PROTOCOL, TEMPLATE_LIMITS, async (stream) => { await stream.receive(); await new Promise(() => {}) })
  const here = deskOf(commons, a, [{ peer: dumb.self } as Plant], [published(1)])
  expect(await commons.clock.settle(here.desk.remove([removal(1)], signal))).toEqual({ removed: ['workspace@1'], silent: [dumb.self] })
})
