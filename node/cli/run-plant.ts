/** Composes one plant out of its parts: the real world's drivers under the same cores that the simulator runs. */
import { mkdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PlantError, encode, keyIdOf, limiter, withLoopback, type Log, type PeerId } from '../../protocols/kit/index.ts'
import { bidding } from '../../protocols/bid/index.ts'
import { capacity, type PlantAd } from '../../protocols/capacity/index.ts'
import { claiming } from '../../protocols/claim/index.ts'
import { serveMachines } from '../../protocols/machine/index.ts'
import { GRANT_SPACE, GRANT_TOPIC, grantRules, grants, openCall } from '../../protocols/member/index.ts'
import { checkOrder, type Order } from '../../protocols/order/index.ts'
import { lockData } from '../../storage/drivers/data-lock.ts'
import { openRecords } from '../../storage/drivers/sqlite-records.ts'
import { openWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { loadOrMakeKey } from '../drivers/key-file.ts'
import { NodeCrypto } from '../drivers/node-crypto.ts'
import { SystemClock } from '../drivers/system-clock.ts'
import { SystemRandom } from '../drivers/system-random.ts'
import { probeHost } from '../drivers/host-probe.ts'
import { startMesh } from '../drivers/libp2p-mesh.ts'
import { qemuLine } from '../lines/qemu/index.ts'
import type { Capacity, HostSize } from '../plant/capacity.ts'
import { Ledger } from '../plant/ledger.ts'
import { Plant, type PlantComponents } from '../plant/plant.ts'
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

/** Starts a plant; resolves when it can take orders. Whatever was started is stopped again when a later part fails. */
export async function runPlant (init: RunPlantInit, signal: AbortSignal): Promise<RunningPlant> {
  const undo: Array<() => Promise<void> | void> = []
  try {
    return await compose(init, signal, undo)
  } catch (error) {
    for (const step of undo.reverse()) await step()
    throw error
  }
}

async function compose (init: RunPlantInit, signal: AbortSignal, undo: Array<() => Promise<void> | void>): Promise<RunningPlant> {
  const { log } = init
  const dataDir = resolve(init.dataDir)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const unlock = lockData(dataDir)
  undo.push(unlock)
  const clock = new SystemClock()
  const random = new SystemRandom()
  const crypto = new NodeCrypto()
  const key = loadOrMakeKey(join(dataDir, 'key'), log)
  const self = keyIdOf(key.publicKey) as string as PeerId
  const records = openRecords(join(dataDir, 'records.sqlite'), { clock })
  undo.push(() => { records.close() })
  const warehouse = await openWarehouse({ dir: join(dataDir, 'warehouse'), clock, log })
  for (const from of init.importFrom) await warehouse.importFrom(from)
  const { qemuDir } = await ensureQemu({ dataDir, onStep: (text) => { log.info({ text }, 'setting up QEMU') }, signal })
  const line = await qemuLine({ dataDir, cacheDir: cacheDirOf(), ...(qemuDir !== undefined && { qemuDir }), log })
  const host = await probeHost(dataDir)
  const offered = init.capacity(host)
  const ledger = new Ledger(offered)

  const mesh = await startMesh({ key, listen: init.listen, bootstrap: init.bootstrap, mesh: init.mesh, mdns: init.mdns, clock, random, log, signal, topics: ['capacity', GRANT_TOPIC], records: { [GRANT_SPACE]: grantRules(crypto) } })
  undo.push(async () => mesh.stop())
  const transport = withLoopback(mesh.transport, clock)
  const { pubsub, directory } = mesh
  const membership = grants()({ crypto, directory, pubsub, records, clock, log, concerns: (domain, domainKey) => records.machines().some((r) => r.domain === domain && r.domainKey === domainKey) })
  await membership.start()
  undo.push(async () => membership.stop())
  const view = capacity()({ clock, random, pubsub, transport: mesh.transport, signer: key, crypto, log })

  let load = host.load
  const ownAd = (): PlantAd => adOfPlant({ site: init.site, line, ledger, warehouse, load })
  const advertise = (): void => { view.setOwn(ownAd()) }
  const atOnce = limiter(Math.max(1, host.cpus), CREATIONS_WAITING_MAX)
  const orderOf = (signedOrder: Uint8Array): Order => {
    const call = openCall(crypto, signedOrder)
    if (call.kind !== 'order') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'not an order' })
    return checkOrder(call.body.order)
  }
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
  const components: PlantComponents = {
    self, clock, random, log, line, warehouse, records, directory, atOnce,
    resizer: resizer({ warehouse, line, clock, log }),
    media: async (name) => {
      const path = join(dataDir, 'media', name)
      return await stat(path).then((found) => found.isFile() ? path : undefined, () => undefined)
    },
    release: (record) => { ledger.release(record.lease.id) },
    collected: (record) => { claims.collected(record.vmId, record.orderDigest) },
    mayCall: async (subject, caller, until) => membership.mayCall(subject, caller, until),
    orderOf,
    onChange: advertise,
    learn: (figure, value) => { desk.learn(figure, value) }
  }
  const plant = new Plant(components)
  desk.restore()
  await plant.recover(signal)
  undo.push(async () => plant.stop({ collect: false }))
  await serveMachines({ transport, clock, crypto, host: plant })
  for (const record of records.machines()) if (record.state !== 'collected') claims.holds({ vmId: record.vmId, orderDigest: record.orderDigest, awardedAtMs: record.lease.awardedAtMs }, record.provisional)
  claims.onLost((vmId) => { void plant.collect(vmId).catch((error: unknown) => { log.error({ vmId, error: String(error) }, 'a machine that another plant holds could not be collected') }) })
  claims.onSettled((vmId) => { plant.settled(vmId) })
  await claims.start()
  undo.push(async () => claims.stop())
  const bids = bidding()({ transport, clock, random, log })
  await bids.serve(desk)
  undo.push(async () => bids.stop())
  advertise()
  warehouse.onChange(advertise)
  await view.start()
  const probe = setInterval(() => {
    void probeHost(dataDir).then((figures) => {
      load = figures.load
      advertise()
    }, (error: unknown) => { log.warn({ error: String(error) }, 'the host could not be probed') })
  }, PROBE_EVERY_MS)
  undo.push(() => { clearInterval(probe) })

  const api = join(dataDir, 'api.sock')
  const served = await serveApi(api, {
    shop: shop({ transport, clock, crypto, directory, log, capacity: view, bidding: bids, claiming: claims, records }),
    golden: goldenShelf({ warehouse, line, clock }),
    grant: async (signed, until) => membership.publish(signed, until),
    self: () => ({ peerId: self, addresses: mesh.addresses(), mesh: init.mesh, version: VERSION, accelerator: line.accelerator, fingerprint: line.fingerprint, capacity: offered }),
    log
  })
  return {
    peerId: self,
    api,
    addresses: () => mesh.addresses(),
    async stop (options) {
      clearInterval(probe)
      await served.stop()
      await bids.stop()
      await plant.stop(options)
      await view.stop()
      await claims.stop()
      await membership.stop()
      await mesh.stop()
      records.close()
      unlock()
    }
  }
}
