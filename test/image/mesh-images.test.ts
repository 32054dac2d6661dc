/** Golden machines across a mesh of fake streams: who holds what, descriptions and manifests that are believed only when they are sound. */
import { afterEach, expect, test } from 'vitest'
import { encode, keyIdOf, PlantError, type Directory, type GoldenId, type PeerId, type PubSub } from '../../protocols/kit/index.ts'
import { encodeInfo, SHA1_BYTES, signManifest, type Manifest } from '../../protocols/image/index.ts'
import { directoryKeys, meshImages, type MeshImages } from '../../protocols/image/mesh-images.ts'
import { EXCHANGED_EVERY_MS, EXCHANGED_JITTER_SHARE, HOLDINGS_LIMITS, HOLDINGS_PROTOCOL } from '../../protocols/image/holdings-limits.ts'
import { decodeHanded, encodeHoldingsAsk } from '../../protocols/image/holdings-messages.ts'
import { holdingOf, type Holding } from '../../protocols/image/holdings.ts'
import type { SignedImage } from '../../protocols/image/core.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { makeKey } from '../../node/drivers/key-file.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { FakeNetwork, type FakeTransport } from '../support/fake-transport.ts'
import { crypto, filled, manifestOf, signed as signManifestOf } from './support.ts'

const signal = new AbortController().signal

/** Gossip and directory that all plants of a test share. */
class Commons {
  readonly clock = new FakeClock()
  readonly down = new Set<PeerId>()
  readonly network = new FakeNetwork({ clock: this.clock, reachable: (_from, to) => !this.down.has(to) })
  readonly gives = new Set<GoldenId>()
  readonly provided = new Map<string, Set<PeerId>>()
  readonly #handlers = new Map<PeerId, (from: PeerId, message: Uint8Array) => unknown>()
  bytes = 0

  pubsub (self: PeerId): PubSub {
    return {
      publish: async (_topic, message) => { for (const [peer, handler] of this.#handlers) if (peer !== self) { this.bytes += message.length; handler(self, message) } },
      subscribe: async (_topic, handler) => { this.#handlers.set(self, handler); return () => { this.#handlers.delete(self) } }
    }
  }

  directory (self: PeerId): Directory {
    return {
      provide: async (key) => { this.provided.set(key, (this.provided.get(key) ?? new Set()).add(self)) },
      withdraw: (key) => { this.provided.get(key)?.delete(self) },
      find: async (key, max) => [...this.provided.get(key) ?? []].slice(0, max),
      put: async () => {}, get: async () => undefined
    }
  }
}

interface Plant { images: MeshImages, peer: PeerId, transport: FakeTransport, asked: string[], seen: Map<GoldenId, unknown>, put: (manifest: Manifest, image?: SignedImage) => void, holdings: Holding[] }
const running: MeshImages[] = []
afterEach(async () => { for (const one of running.splice(0)) await one.stop() })

async function plant (commons: Commons, options: { gossips?: boolean } = {}): Promise<Plant> {
  const key = makeKey()
  const peer = keyIdOf(key.publicKey) as string as PeerId
  const transport = commons.network.peer(peer)
  const shelf = new Map<GoldenId, { golden: Golden, image: SignedImage }>()
  const seen = new Map<GoldenId, unknown>()
  const asked: string[] = []
  const images = meshImages({
    clock: commons.clock, random: new FakeRandom(1), pubsub: options.gossips === false ? { publish: async () => {}, subscribe: async () => () => {} } : commons.pubsub(peer), transport, directory: commons.directory(peer),
    signer: key, crypto, log: fakeLog(), inView: (other) => !commons.down.has(other),
    own: {
      keeps: (id) => shelf.has(id) && !commons.gives.has(id),
      description: (id) => { asked.push(`description ${id}`); return shelf.get(id)?.golden },
      trace: async (id) => seen.get(id),
      manifest: async (id) => { asked.push(`manifest ${id}`); return shelf.get(id)?.image }
    }
  })
  running.push(images)
  const holdings: Holding[] = []
  await images.start()
  return {
    images, peer, transport, asked, holdings, seen,
    put (manifest, image = imageOf(manifest)) {
      shelf.set(manifest.golden.goldenId, { golden: manifest.golden, image })
      holdings.push(holdingOf(manifest.golden, { ownBytes: 65_536, totalBytes: 65_536, usedS: 1 }))
      images.setOwn([...holdings], 0)
    }
  }
}

const owner = makeKey()
const imageOf = (manifest: Manifest): SignedImage => ({ manifest: signManifestOf(manifest, owner), info: encodeInfo(manifest.golden.goldenId, new Uint8Array((manifest.packs[0]?.pieces ?? 0) * SHA1_BYTES)) })
const image = (more: Partial<Golden> = {}): Manifest => manifestOf({ own: 2, files: [filled(2)] }, owner, more)
const heldBy = (of: Plant, os: string): PeerId[] => of.images.held(os).flatMap(({ said }) => [...said.keys()])

test('what a plant puts on its shelf is known to all within two seconds, described and to be had with its manifest', async () => {
  const commons = new Commons()
  const [a, b, c] = [await plant(commons), await plant(commons), await plant(commons)]
  const manifest = image({ name: 'web' })
  a.put(manifest)
  await commons.clock.advance(2_000)
  expect(heldBy(b, 'web')).toEqual([a.peer])
  const { goldenId } = manifest.golden
  expect(await b.images.describe([goldenId], signal)).toEqual([manifest.golden])
  expect((await c.images.manifest(goldenId, signal)).manifest).toEqual(manifest)
  await b.images.describe([goldenId], signal)
  await c.images.manifest(goldenId, signal)
  expect(a.asked).toEqual([`description ${goldenId}`, `manifest ${goldenId}`])
  expect(c.images.knownManifest(goldenId)?.manifest).toEqual(manifest)
})

test('a plant that joins learns from a neighbour what others hold, gossip or none', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons), await plant(commons)]
  a.put(image())
  await commons.clock.advance(2_000)
  const late = await plant(commons, { gossips: false })
  await commons.clock.advance(100)
  expect(heldBy(late, 'tiny')).toEqual([a.peer])
  expect(b.asked).toEqual([])
})

test('what gossip loses a plant is told by neighbours that it asks again and again', async () => {
  const commons = new Commons()
  const [a, b, deaf] = [await plant(commons), await plant(commons), await plant(commons, { gossips: false })]
  await commons.clock.advance(20_000)
  a.put(image())
  await commons.clock.advance(2_000)
  expect(heldBy(deaf, 'tiny')).toEqual([])
  await commons.clock.advance(EXCHANGED_EVERY_MS * (1 + EXCHANGED_JITTER_SHARE))
  expect(heldBy(deaf, 'tiny')).toEqual([a.peer])
  expect(heldBy(b, 'tiny')).toEqual([a.peer])
})

test('those that have it and keep it promise to; who gives it up, has none, answers another way or not at all does not', async () => {
  const commons = new Commons()
  const [a, b, c, d, old] = [await plant(commons), await plant(commons), await plant(commons), await plant(commons), await plant(commons)]
  const manifest = image()
  for (const one of [a, b, d]) one.put(manifest)
  await commons.clock.advance(2_000)
  const { goldenId } = manifest.golden
  commons.down.add(d.peer)
  await old.images.stop()
  await old.transport.handle(HOLDINGS_PROTOCOL, HOLDINGS_LIMITS, async (stream) => { await stream.receive(); await stream.send(encode({ holdings: [] })); await stream.close() })
  const asked = c.images.keptBy([a.peer, b.peer, d.peer, old.peer], goldenId, signal)
  await commons.clock.advance(10_000)
  expect((await asked).toSorted()).toEqual([a.peer, b.peer].toSorted())
  commons.gives.add(goldenId)
  expect(await c.images.keptBy([a.peer, b.peer], goldenId, signal)).toEqual([])
})

test('a holder that is down holds nothing, and its golden machine is not offered', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons), await plant(commons)]
  a.put(image())
  await commons.clock.advance(2_000)
  commons.down.add(a.peer)
  expect(b.images.held('tiny')).toEqual([])
})

test('a plant that lies about what it is gives no description that the id does not bind', async () => {
  const commons = new Commons()
  const [liar, b] = [await plant(commons), await plant(commons)]
  const manifest = image()
  liar.put({ ...manifest, golden: { ...manifest.golden, name: 'debian', os: 'debian' } })
  await commons.clock.advance(2_000)
  expect(heldBy(b, 'debian')).toEqual([liar.peer])
  expect(await b.images.describe([manifest.golden.goldenId], signal)).toEqual([])
})

test('a manifest that is not sound is refused, its sender not asked for it again, and another holder is', async () => {
  const commons = new Commons()
  const [liar, honest, b] = [await plant(commons), await plant(commons), await plant(commons)]
  const manifest = image()
  const { goldenId } = manifest.golden
  const { info } = imageOf(manifest)
  liar.put(manifest, { manifest: signManifest(crypto, makeKey(), manifest), info })
  await commons.clock.advance(2_000)
  await expect(b.images.manifest(goldenId, signal)).rejects.toMatchObject({ code: 'GOLDEN_UNKNOWN', details: { failures: ['MANIFEST_INVALID'] } })
  await expect(b.images.manifest(goldenId, signal)).rejects.toMatchObject({ code: 'GOLDEN_UNKNOWN' })
  expect(liar.asked).toHaveLength(1)
  honest.put(manifest)
  await commons.clock.advance(2_000)
  expect((await b.images.manifest(goldenId, signal)).manifest.golden).toEqual(manifest.golden)
  expect(liar.asked).toHaveLength(1)
})

test('another\'s sound manifest under a wanted id, or pieces of another pack, are refused', async () => {
  const commons = new Commons()
  const [liar, b] = [await plant(commons), await plant(commons)]
  const [wanted, other] = [image(), image({ name: 'other' })]
  liar.put(wanted, imageOf(other))
  await commons.clock.advance(2_000)
  await expect(b.images.manifest(wanted.golden.goldenId, signal)).rejects.toMatchObject({ code: 'GOLDEN_UNKNOWN' })
  const second = image({ name: 'second' })
  liar.put(second, { ...imageOf(second), info: imageOf(other).info })
  await commons.clock.advance(2_000)
  await expect(b.images.manifest(second.golden.goldenId, signal)).rejects.toMatchObject({ code: 'GOLDEN_UNKNOWN' })
})

test('what gossip leaves out is found through the directory, by name and by id', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons), await plant(commons)]
  const many = Array.from({ length: 70 }, (_, n) => image({ name: `image-${n}`, createdAtMs: n }))
  for (const manifest of many) a.put(manifest)
  await commons.clock.advance(2_000)
  const hidden = many.find(({ golden }) => heldBy(b, golden.name).length === 0)?.golden
  if (hidden === undefined) throw new Error('all of them fit')
  await commons.clock.settle(b.images.search(hidden.name, signal))
  expect(heldBy(b, hidden.name)).toEqual([a.peer])
  const providers: PeerId[] = []
  for await (const peer of b.images.providers(many[69]?.golden.goldenId ?? '' as GoldenId, signal)) providers.push(peer)
  expect(providers).toEqual([a.peer])
  const before = commons.provided.size
  a.images.setOwn([], 0)
  expect([...commons.provided.values()].every((peers) => peers.size === 0)).toBe(true)
  expect(before).toBe(141)
})

test('rubbish at the protocol breaks its stream and nothing else; what is handed on is limited in rate', async () => {
  const commons = new Commons()
  const [a, b] = [await plant(commons), await plant(commons)]
  a.put(image())
  const stream = await b.transport.open(a.peer, HOLDINGS_PROTOCOL, HOLDINGS_LIMITS)
  await stream.send(encode({ t: 9 }))
  await expect(stream.receive()).rejects.toBeInstanceOf(PlantError)
  await commons.clock.advance(6_000)
  const handed = async (): Promise<number> => {
    const one = await b.transport.open(a.peer, HOLDINGS_PROTOCOL, HOLDINGS_LIMITS)
    await one.send(encodeHoldingsAsk({ t: 0 }))
    await one.close()
    const message = await one.receive()
    one.abort(new Error('done'))
    return message === undefined ? 0 : decodeHanded(message).length
  }
  await commons.clock.advance(2_000)
  expect([await handed(), await handed()]).toEqual([1, 0])
})

test('twelve plants with five golden machines each say little when nothing changes', async () => {
  const commons = new Commons()
  const plants = await Promise.all(Array.from({ length: 12 }, async () => plant(commons)))
  for (const [n, one] of plants.entries()) for (let i = 0; i < 5; i++) one.put(image({ name: `image-${n}-${i}` }))
  await commons.clock.advance(60_000)
  commons.bytes = 0
  await commons.clock.advance(3_600_000)
  // Heard three times each, as gossip's mesh has it.
  const kbitPerS = 3 * commons.bytes * 8 / 3_600 / 12 / 1_000
  expect(kbitPerS).toBeLessThan(1)
  expect(directoryKeys.named('tiny')).toBe('image-os/tiny')
})

test('in which order machines read is told by those who saw it; who stalls or lies about the range is not waited for, nor heard', async () => {
  const commons = new Commons()
  const plants = [await plant(commons), await plant(commons), await plant(commons), await plant(commons)]
  const [asker, saw, lies] = plants
  if (asker === undefined || saw === undefined || lies === undefined) throw new Error('four plants were asked for')
  const manifest = image()
  const { goldenId } = manifest.golden
  const name = manifest.files[0]?.name ?? ''
  expect(await asker.images.traces(goldenId, name, signal)).toEqual([])
  for (const one of plants.slice(1)) one.put(manifest)
  await commons.clock.advance(2_000)
  saw.seen.set(goldenId, [[1, 1]])
  lies.seen.set(goldenId, [[0, 3]])
  plants[3]?.seen.set(goldenId, new Promise(() => {}))
  const told = asker.images.traces(goldenId, name, signal)
  await commons.clock.advance(2_000)
  expect(await told).toEqual([[[1, 1]]])
  expect(await commons.clock.settle(asker.images.traces(goldenId, 'nothing', signal))).toEqual([])
})
