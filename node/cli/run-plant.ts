/** Composes one plant out of its parts: the real world's drivers under the same cores that the simulator runs. */
import { mkdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PlantError, encode, keyIdOf, limiter, withLoopback, type Crypto, type Log, type PeerId } from '../../protocols/kit/index.ts'
import { bidding } from '../../protocols/bid/index.ts'
import { CAPACITY_TOPIC, capacity, type PlantAd } from '../../protocols/capacity/index.ts'
import { claiming, type Claiming } from '../../protocols/claim/index.ts'
import { serveMachines } from '../../protocols/machine/index.ts'
import { GRANT_SPACE, GRANT_TOPIC, grantRules, grants, openCall } from '../../protocols/member/index.ts'
import { checkOrder, type Order } from '../../protocols/order/index.ts'
import { lockData } from '../../storage/drivers/data-lock.ts'
import { openRecords } from '../../storage/drivers/sqlite-records.ts'
import type { Records } from '../../storage/records/records.ts'
import { openWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { loadOrMakeKey } from '../drivers/key-file.ts'
import { NodeCrypto } from '../drivers/node-crypto.ts'
import { SystemClock } from '../drivers/system-clock.ts'
import { SystemRandom } from '../drivers/system-random.ts'
import { probeHost, type HostFigures } from '../drivers/host-probe.ts'
import { startMesh } from '../drivers/libp2p-mesh.ts'
import { qemuLine } from '../lines/qemu/index.ts'
import type { Capacity, HostSize } from '../plant/capacity.ts'
import { Ledger } from '../plant/ledger.ts'
import { LIVE_STATES } from '../plant/instance.ts'
import { Plant } from '../plant/plant.ts'
import { OrderDesk } from '../plant/plant-side.ts'
import { adOfPlant } from '../plant/plant-ad.ts'
import { resizer } from '../plant/resizer.ts'
import { serveApi } from '../portal/api.ts'
import { cacheDirOf } from '../setup/places.ts'
import { ensureQemu } from '../setup/qemu.ts'
import { shop } from '../shop/shop.ts'
import { goldenShelf } from './golden-shelf.ts'
import { VERSION } from './version.ts'

export interface RunPlantInit {
  dataDir: string
  listen: string[]
  bootstrap: string[]
  mesh: string
  mdns: boolean
  /** What the plant offers, given what the host has. */
  capacity: (host: HostSize) => Capacity
  site: string
  costModel: string
  /** Warehouse directories of this host whose golden machines are taken over. */
  importFrom: string[]
  log: Log
}

export interface RunningPlant {
  peerId: PeerId
  addresses: () => string[]
  /** Path of the API's socket. */
  api: string
  stop: (options: { collect: boolean }) => Promise<void>
}

/** How often the host's load and free disk are looked at anew for the advert. */
const PROBE_EVERY_MS = 5_000
/** Orders that may wait for a free core before the plant says LIMIT. */
const CREATIONS_WAITING_MAX = 4_096

/** What is to be undone, last first, when the plant stops or a later part of its start fails. */
type Undo = Array<() => Promise<void> | void>

/** Starts a plant; resolves when it can take orders. Whatever was started is stopped again when a later part fails. */
export async function runPlant (init: RunPlantInit, signal: AbortSignal): Promise<RunningPlant> {
  const undo: Undo = []
  const unwind = async (): Promise<void> => { for (const step of undo.splice(0).reverse()) await step() }
  try {
    const { plant, peerId, api, addresses, closeDoors } = await compose(init, signal, undo)
    return {
      peerId,
      api,
      addresses,
      async stop (options) {
        try {
          for (const step of closeDoors) await step() // No order comes in while the last machines go.
          if (options.collect) await plant.collectAll()
        } finally {
          await unwind()
        }
      }
    }
  } catch (error) {
    await unwind()
    throw error
  }
}

/** Part by part. The mesh is not given the signal: what stops the plant must not end the mesh before the others were told goodbye. */
async function compose (init: RunPlantInit, signal: AbortSignal, undo: Undo): Promise<{ plant: Plant, peerId: PeerId, api: string, addresses: () => string[], closeDoors: Undo }> {
  const { log } = init
  const base = await openBase(init, signal, undo)
  const { dataDir, clock, random, crypto, key, self, records, warehouse, line, host } = base
  const offered = init.capacity(host)
  const ledger = new Ledger(offered)
  const mesh = await startMesh({ key, listen: init.listen, bootstrap: init.bootstrap, mesh: init.mesh, mdns: init.mdns, clock, random, log, topics: [CAPACITY_TOPIC, GRANT_TOPIC], records: { [GRANT_SPACE]: grantRules(crypto) } })
  undo.push(async () => mesh.stop())
  const { pubsub, directory } = mesh
  const transport = withLoopback(mesh.transport, clock)
  const membership = grants()({ crypto, directory, pubsub, records, clock, log, concerns: (domain, domainKey) => records.machines(LIVE_STATES).some((r) => r.domain === domain && r.domainKey === domainKey) })
  await membership.start()
  undo.push(async () => membership.stop())
  const view = capacity()({ clock, random, pubsub, transport: mesh.transport, signer: key, crypto, log })

  let load = host.load
  const ownAd = (): PlantAd => adOfPlant({ site: init.site, line, ledger, warehouse, load })
  const advertise = (): void => { view.setOwn(ownAd()) }
  const atOnce = limiter(Math.max(1, host.cpus), CREATIONS_WAITING_MAX)
  const orderOf = (signedOrder: Uint8Array): Order => orderIn(crypto, signedOrder)
  const claims = claiming()({
    transport, clock, random, log, crypto,
    store: records,
    peers: () => view.plants().map(({ peer }) => peer),
    knowledge: (vmId) => {
      const record = records.machine(vmId)
      return record && encode(orderOf(record.signedOrder))
    }
  })
  const desk = new OrderDesk({ self, clock, random, crypto, log, ledger, line, warehouse, records, claims, ad: ownAd, creating: () => atOnce.active + atOnce.waiting, take: (record) => { plant.take(record) } }, init.costModel)
  const plant = new Plant({
    self, clock, random, log, line, warehouse, records, directory, atOnce, orderOf,
    resizer: resizer({ warehouse, line, clock, log }),
    media: async (name) => mediaFile(join(dataDir, 'media', name)),
    release: (record) => { ledger.release(record.lease.id) },
    collected: (record) => { claims.collected(record.vmId, record.orderDigest) },
    mayCall: async (subject, caller, until) => membership.mayCall(subject, caller, until),
    onChange: advertise,
    learn: (figure, value) => { desk.learn(figure, value) }
  })
  desk.restore()
  undo.push(async () => plant.stop())
  await plant.recover(signal)
  await serveMachines({ transport, clock, crypto, host: plant })
  await startClaims(claims, plant, base)
  undo.push(async () => claims.stop())
  const bids = bidding()({ transport, clock, random, log })
  await bids.serve(desk)
  undo.push(async () => bids.stop())
  advertise()
  warehouse.onChange(advertise)
  await view.start()
  undo.push(async () => view.stop())
  undo.push(watchHost(base, (figures) => {
    for (const lease of ledger.expire(clock.monotonicMs())) log.warn({ vmId: lease.vmId }, 'a lease ended before its machine was begun')
    load = figures.load
    advertise()
  }))

  const api = join(dataDir, 'api.sock')
  const served = await serveApi(api, {
    shop: shop({ transport, clock, crypto, directory, log, capacity: view, bidding: bids, claiming: claims, records }),
    golden: goldenShelf({ warehouse, line, clock }),
    grant: async (signed, until) => membership.publish(signed, until),
    self: () => ({ peerId: self, addresses: mesh.addresses(), mesh: init.mesh, version: VERSION, accelerator: line.accelerator, fingerprint: line.fingerprint, capacity: offered }),
    log
  })
  undo.push(async () => served.stop())
  return { plant, peerId: self, api, addresses: () => mesh.addresses(), closeDoors: [async () => served.stop(), async () => bids.stop()] }
}

/** What the plant stands on: its directory, key, records, golden machines and VMM. */
async function openBase (init: RunPlantInit, signal: AbortSignal, undo: Undo) {
  const { log } = init
  const dataDir = resolve(init.dataDir)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  undo.push(lockData(dataDir))
  const clock = new SystemClock()
  const random = new SystemRandom()
  const crypto = new NodeCrypto()
  const key = loadOrMakeKey(join(dataDir, 'key'), log)
  const records = openRecords(join(dataDir, 'records.sqlite'), { clock })
  undo.push(() => { records.close() })
  const warehouse = await openWarehouse({ dir: join(dataDir, 'warehouse'), clock, log })
  undo.push(async () => warehouse.close())
  for (const from of init.importFrom) await warehouse.importFrom(from, signal)
  // In the background, so that neither the start nor the first order waits for it.
  warehouse.verifyAll(signal).catch((error: unknown) => { log.warn({ error: String(error) }, 'golden machines could not be verified') })
  const { qemuDir } = await ensureQemu({ dataDir, onStep: (text) => { log.info({ text }, 'setting up QEMU') }, signal })
  const line = await qemuLine({ dataDir, cacheDir: cacheDirOf(), ...(qemuDir !== undefined && { qemuDir }), log })
  return { dataDir, clock, random, crypto, key, self: keyIdOf(key.publicKey) as string as PeerId, records, warehouse, line, host: await probeHost(dataDir), log }
}

/** Looks at the host again and again; returns what stops it. */
function watchHost ({ dataDir, log }: { dataDir: string, log: Log }, onFigures: (figures: HostFigures) => void): () => void {
  const timer = setInterval(() => {
    probeHost(dataDir).then(onFigures, (error: unknown) => { log.warn({ error: String(error) }, 'the host could not be probed') })
  }, PROBE_EVERY_MS)
  return () => { clearInterval(timer) }
}

/** The registrars learn of the machines of the records before anybody is told that they are not here. */
async function startClaims (claims: Claiming, plant: Plant, { records, log }: { records: Records, log: Log }): Promise<void> {
  for (const record of records.machines()) {
    if (record.state !== 'collected') claims.holds({ vmId: record.vmId, orderDigest: record.orderDigest, awardedAtMs: record.lease.awardedAtMs }, record.provisional)
  }
  claims.onLost((vmId) => {
    plant.lost(vmId).catch((error: unknown) => { log.error({ vmId, error: String(error) }, 'a machine that another plant holds could not be collected') })
  })
  claims.onSettled((vmId) => { plant.settled(vmId) })
  await claims.start()
}

function orderIn (crypto: Crypto, signedOrder: Uint8Array): Order {
  const call = openCall(crypto, signedOrder)
  if (call.kind !== 'order') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'not an order' })
  return checkOrder(call.body.order)
}

async function mediaFile (path: string): Promise<string | undefined> {
  return stat(path).then((found) => found.isFile() ? path : undefined, () => undefined)
}
