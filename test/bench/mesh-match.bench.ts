/**
 * How long a plant looks for an order's golden machine among all that the mesh holds: the look at the mesh, and the whole plan with it.
 *   node test/bench/mesh-match.bench.ts
 * 1,000 golden machines on the shelf, 10,000 holdings of 1,250 other plants, orders of 50 actions; descriptions are at hand, so that no network is in it.
 */
import { pathToFileURL } from 'node:url'
import { makeKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { FIGURES_AT_FIRST } from '../../node/plant/cost/learned.ts'
import { MeshShelf, type MeshShelfComponents } from '../../node/plant/images/mesh-shelf.ts'
import { planInMesh } from '../../node/plant/images/plan-in-mesh.ts'
import { encodeHoldings } from '../../protocols/image/holdings.ts'
import { holdingOf, meshImages, type MeshImages } from '../../protocols/image/index.ts'
import { keyIdOf, type GoldenId, type PeerId, type PubSub } from '../../protocols/kit/index.ts'
import { actionDigest, checkOrder, type Action, type Golden, type Order } from '../../protocols/order/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { FakeNetwork } from '../support/fake-transport.ts'

const SHELF = 1_000
const PLANTS = 1_250
const OF_PLANT = 8
const RUNS = 500
const WARM_UP = 50
/** The aim of the issue for a plan, 99th percentile. */
const AIM_MS = 5
const never = new AbortController().signal

const actions: Action[] = Array.from({ length: 50 }, (_, i) => ({ id: `a${i}`, after: i === 0 ? [] : [`a${i - 1}`], run: 'guest', script: `install ${i}`, parameters: {}, files: {}, timeoutMs: 1_000 }))
const done = actions.map((action) => ({ digest: actionDigest(action), id: action.id, outputs: {} }))

function goldenOf (n: number): Golden {
  return {
    goldenId: n.toString(16).padStart(32, '0') as GoldenId, name: `g${n}`, os: 'tiny', hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }, lineFingerprint: 'line',
    actionsDone: done.slice(0, n % 50), files: [{ name: 'disk', bytes: 300 * 2 ** 20, root: '0'.repeat(64) }], createdAtMs: n
  }
}

/** Knows what PLANTS others hold, each OF_PLANT of these golden machines. */
async function meshOf (elsewhere: readonly Golden[]): Promise<MeshImages> {
  const key = makeKey()
  const clock = new FakeClock()
  let hear: Parameters<PubSub['subscribe']>[1] = () => 'ignore'
  const images = meshImages({
    clock, random: new FakeRandom(1), signer: key, crypto: new NodeCrypto(), log: fakeLog(), inView: () => true, own: { description: () => undefined, manifest: async () => undefined, trace: async () => undefined, keeps: () => true },
    transport: new FakeNetwork({ clock, reachable: () => true }).peer(keyIdOf(key.publicKey) as string as PeerId),
    pubsub: { publish: async () => {}, subscribe: async (_topic, handler) => { hear = handler; return () => {} } },
    directory: { provide: async () => {}, withdraw: () => {}, find: async () => [], put: async () => {}, get: async () => undefined }
  })
  await images.start()
  for (let plant = 0; plant < PLANTS; plant++) {
    const its = makeKey()
    const by = keyIdOf(its.publicKey) as string as PeerId
    const holdings = Array.from({ length: OF_PLANT }, (_, i) => elsewhere[(plant * OF_PLANT + i) % elsewhere.length]).flatMap((golden) => golden === undefined ? [] : holdingOf(golden, { ownBytes: 10 * 2 ** 20, totalBytes: 300 * 2 ** 20, usedS: 1 }))
    hear(by, encodeHoldings({ by, epoch: 1, seq: 1, holdings, more: false }, (bytes) => its.sign(bytes)))
  }
  return images
}

async function measure (distinct: number): Promise<void> {
  const shelf = Array.from({ length: SHELF }, (_, n) => goldenOf(n))
  const elsewhere = Array.from({ length: distinct }, (_, n) => goldenOf(1_000_000 + n))
  const byId = new Map(elsewhere.map((golden) => [golden.goldenId, golden]))
  const images = await meshOf(elsewhere)
  const mesh: MeshShelfComponents['mesh'] = {
    held: (os) => images.held(os), search: async () => {}, knownManifest: () => undefined, describe: async (ids) => ids.flatMap((id) => byId.get(id) ?? []), manifest: async () => { throw new Error('not asked for') }
  }
  const warehouse = { list: () => [...shelf] }
  const look = new MeshShelf({ clock: new FakeClock(), log: fakeLog(), mesh, store: { packs: () => [], incoming: () => [] }, warehouse, isa: 'x86_64' })
  const components = {
    line: { isa: 'x86_64', fingerprint: 'line' }, warehouse, clock: new FakeClock(), figures: FIGURES_AT_FIRST, templates: { facts: { labelled: () => [], lastUsedMs: () => undefined, isRemoved: () => false } },
    images: { choices: look.choices.bind(look), confirmed: async (choice: Parameters<MeshShelf['confirmed']>[0]) => choice, isYoung: () => false }
  }
  const order = (): Order => structuredClone(checkOrder({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions } }))
  await time(`the look at the mesh, ${distinct} golden machines elsewhere`, async () => look.choices(order(), { names: ['tiny'], domainKey: undefined }, never))
  await time(`a plan with it, ${distinct} golden machines elsewhere`, async () => planInMesh(order(), {}, components, never))
  await images.stop()
}

async function time (what: string, work: () => Promise<unknown>): Promise<void> {
  const times: number[] = []
  for (let run = 0; run < WARM_UP + RUNS; run++) {
    const start = performance.now()
    await work()
    if (run >= WARM_UP) times.push(performance.now() - start)
  }
  times.sort((a, b) => a - b)
  const [medianMs, p99Ms] = [times[RUNS >> 1] ?? 0, times[Math.floor(RUNS * 0.99)] ?? 0]
  console.log(`${what}, ${PLANTS * OF_PLANT} holdings: median ${medianMs.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms (aim ${AIM_MS} ms: ${p99Ms < AIM_MS ? 'met' : 'missed'}), ${RUNS} runs`)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) for (const distinct of [1_000, 10]) await measure(distinct)
