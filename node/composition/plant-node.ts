/**
 * One plant, composed from ports: the daemon gives them drivers of the real world (`node/cli/run-plant.ts`), the simulator virtual ones. Everything
 * that a plant decides is in here (ARCHITECTURE.md, "One program, two worlds").
 */
import { Lifetime, PlantError, fromHex, limiter, withLoopback, type Clock, type Crypto, type Directory, type Log, type PeerId, type PubSub, type Random, type Signer, type Transport, type VmId } from '../../protocols/kit/index.ts'
import { bidding, type Bidding, type BiddingInit } from '../../protocols/bid/index.ts'
import { capacity, type Capacity as CapacityView, type PlantAd } from '../../protocols/capacity/index.ts'
import { claiming, type Claiming } from '../../protocols/claim/index.ts'
import { serveMachines } from '../../protocols/machine/index.ts'
import { grants, openCall, type Grants } from '../../protocols/member/index.ts'
import { checkOrder, type Order } from '../../protocols/order/index.ts'
import type { Device, Networks } from '../../protocols/tunnel/index.ts'
import type { Records } from '../../storage/records/records.ts'
import type { LifePolicy } from '../../storage/templates/life-policy.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { ProductionLine } from '../lines/line.ts'
import type { Capacity } from '../plant/capacity.ts'
import { costModel, type CostModel } from '../plant/cost/index.ts'
import type { MeshGoldens } from '../plant/images/mesh-goldens.ts'
import { LIVE_STATES } from '../plant/instance.ts'
import { Ledger } from '../plant/ledger.ts'
import { adOfPlant } from '../plant/plant-ad.ts'
import { OrderDesk } from '../plant/plant-side.ts'
import type { CardEnd, OpenDevice } from '../plant/networks.ts'
import { Plant } from '../plant/plant.ts'
import { resizer } from '../plant/resizer.ts'
import type { SitePolicy } from '../plant/policy.ts'
import type { Spares } from '../plant/spares/spares.ts'
import type { TemplateDesk } from '../plant/templates/template-desk.ts'
import type { TemplateLife } from '../plant/templates/template-life.ts'
import type { Shop } from '../shop/shop-face.ts'
import { shop } from '../shop/shop.ts'
import { composeImages, type ImageParts } from './images.ts'
import { addressClaims, startNetworks, type ComposedNetworks } from './networks.ts'
import { siteBroker } from './site-broker.ts'
import { composeSpares } from './spares.ts'
import { startTemplates } from './templates.ts'

export interface PlantNodeInit {
  site: string
  /** Collect bids for the plants of the site that stand behind this one, too: whether a peer has its place here. */
  gateway?: (peer: PeerId) => boolean
  /** The gateway of the site, where this plant can be reached only through it. */
  behind?: PeerId
  /** By name (`node/plant/cost`), or one that was made with constants of its own. */
  costModel: string | CostModel
  /** What the plant offers. */
  capacity: Capacity
  /** What its site allows. */
  policy?: SitePolicy
  /** Processors of the host: so many machines are made at once. */
  cpus: number
  /** Runnable work per CPU of the host when the plant starts. */
  load: number
  /** Times and bounds of auctions; those of `protocols/bid` by default. */
  bidding?: BiddingInit
  /** How many copies of golden machines there are to be, and how long unused ones stay; `storage/templates` has the defaults. */
  life?: Partial<LifePolicy>
  /** What machines may take that are made before they are ordered; 0, the default: none are made. */
  spareMemoryMiB?: number
  /** Plants that a shop asks for bids; `protocols/capacity` has the default. */
  candidatesMax?: number
}

export interface PlantNodeComponents {
  clock: Clock
  random: Random
  crypto: Crypto
  /** The plant's key: its public half is the peer id of `transport`. */
  signer: Signer
  log: Log
  /** Streams to other plants; those to itself are kept in memory here. */
  transport: Transport
  pubsub: PubSub
  directory: Directory
  records: Records
  warehouse: Warehouse
  /** The warehouse's pieces and the swarm that carries them; absent: the plant neither offers its golden machines to others nor fetches theirs. */
  images?: ImageParts
  line: ProductionLine
  /** The other end of a machine's card as what frames come out of; absent: the plant's machines are on no network. */
  deviceOf?: (card: CardEnd) => Device
  /** Gives a machine's card a way out of its network; absent: no machine goes out. */
  wayOut?: (card: Device) => OpenDevice
  /** The path of an ISO image of the host by its name; undefined when there is none. */
  media: (name: string) => Promise<string | undefined>
}

/** A plant that takes orders. */
export interface PlantNode {
  readonly plant: Plant
  readonly shop: Shop
  readonly ledger: Ledger
  readonly templates: TemplateDesk
  /** Copies of templates: taken ahead of use and given up; absent where nothing is fetched. */
  readonly life: TemplateLife | undefined
  /** The mesh's golden machines; absent where nothing is fetched. */
  readonly images: MeshGoldens | undefined
  /** Machines that are made before they are ordered; absent where none are. */
  readonly spares: Spares | undefined
  /** The networks that its machines are on; absent without cards. */
  readonly networks: Networks | undefined
  /** What a plant in view says of itself. */
  adOf (peer: PeerId): PlantAd | undefined
  /** Takes in a grant that a domain's key signed, and tells the mesh. */
  grant (signed: Uint8Array, signal: AbortSignal): Promise<void>
  /** The host was looked at again: leases that ran out end, the advert tells the load, fetches know the room. */
  onHost (load: number, freeDiskBytes?: number): void
  /** How much of each kind is under way here; all 0 where nobody orders and nothing is broken. */
  underWay (): Record<string, number>
  /** Takes no more orders from other shops; what was begun goes on. */
  closeDoors (): Promise<void>
  /** Stops all of it, last first; machines go on. May be called twice. */
  stop (): Promise<void>
}

/** Orders that may wait for a free core before the plant says LIMIT. */
const CREATIONS_WAITING_MAX = 4_096

/** Starts a plant; resolves when its machines are accounted for and it can take orders. When a part fails, those started before are stopped. */
export async function startPlantNode (init: PlantNodeInit, components: PlantNodeComponents, signal: AbortSignal): Promise<PlantNode> {
  const lifetime = new Lifetime()
  try {
    return await compose(init, components, lifetime, signal)
  } catch (error) {
    await lifetime.end().catch(() => {}) // The failure to start is the one to report.
    throw error
  }
}

async function compose (init: PlantNodeInit, c: PlantNodeComponents, lifetime: Lifetime, signal: AbortSignal): Promise<PlantNode> {
  const { clock, random, crypto, log, line, warehouse, records, directory, pubsub } = c
  const transport = withLoopback(c.transport, clock)
  const ledger = new Ledger(init.capacity)
  const membership = await startMembership(c, lifetime)
  const view = capacity(init.candidatesMax === undefined ? {} : { candidatesMax: init.candidatesMax })({ clock, random, pubsub, transport: c.transport, signer: c.signer, crypto, log })

  let { load } = init
  let freeDiskBytes: number | undefined
  const images = composeImages({
    ...c, isa: line.isa, inView: (peer) => view.get(peer) !== undefined || c.transport.connected().includes(peer), freeDiskBytes: () => freeDiskBytes,
    learn: (bytesPerMs) => { desk.learn('fetchBytesPerMs', bytesPerMs) }, onBegin: (goldenId) => { life?.onBegin(goldenId) }, telling: () => life, keeps: (golden) => life?.keeps(golden) ?? true
  })
  const meshParts = images === undefined ? {} : { images }
  const ownAd = (): PlantAd => adOfPlant({ ...init, line, ledger, warehouse, load })
  const advertise = (): void => { view.setOwn(ownAd()) }
  const peers = (): PeerId[] => view.plants().flatMap(({ peer }) => peer === transport.self ? [] : peer)
  const { templates, life } = await startTemplates({ ...c, images, peers, policy: init.life, spares: (goldenId) => sparing.spares?.view(goldenId) }, lifetime)
  const atOnce = limiter(Math.max(1, init.cpus), CREATIONS_WAITING_MAX)
  const claims = claimsOf(c, transport, view, addressClaims(() => networking.addresses))
  const orderOf = (vmId: VmId): Order => orderIn(crypto, vmId, records.signedOrder(vmId))
  const networking: ComposedNetworks = await startNetworks({ ...c, transport, grants: membership, claims, orderOf }, lifetime)
  const creating = (): number => atOnce.active + atOnce.waiting
  const sparing = composeSpares(init, { ...c, ledger, creating })
  const desk = new OrderDesk({ self: transport.self, clock, random, crypto, log, ledger, line, warehouse, templates, ...meshParts, ...sparing, records, claims, ad: ownAd, creating, policy: init.policy ?? {}, take: (record, signedOrder) => { plant.take(record, signedOrder) } }, typeof init.costModel === 'string' ? costModel(init.costModel) : init.costModel)
  const plant = new Plant({
    self: transport.self, clock, random, log, line, warehouse, templates, ...meshParts, ...sparing, records, directory, atOnce,
    figures: () => desk.figures(),
    ...(networking.machines !== undefined && { networks: networking.machines }),
    orderOf,
    resizer: resizer({ warehouse, line, clock, log }),
    media: c.media,
    release: (record) => { ledger.release(record.lease.id); networking.gone(record) },
    collected: (record) => { claims.collected(record.vmId, record.orderDigest) },
    givenBack: (record) => { claims.drop(record.vmId, record.orderDigest) },
    // A failed machine is held until it is forgotten: whoever asks for its order again is told of it until then.
    forgotten: (record) => { if (record.state === 'failed') claims.drop(record.vmId, record.orderDigest) },
    mayCall: async (subject, caller, until) => membership.mayCall(subject, caller, until),
    onChange: () => { advertise(); templates.sweep(); sparing.spares?.changed() },
    learn: (figure, value) => { desk.learn(figure, value) }
  })
  desk.restore()
  const bids = await startParts({ images, plant, networking, spares: sparing.spares, claims, view, desk, life, advertise }, init, { ...c, transport }, lifetime, signal)
  return {
    plant,
    ledger,
    templates,
    life,
    images,
    spares: sparing.spares,
    networks: networking.networks,
    shop: shop({ transport, clock, crypto, signer: c.signer, directory, log, capacity: view, bidding: bids, claiming: claims, records, hasGolden: (os) => images !== undefined && templates.sought(os).some((name) => images.has(name)) }),
    adOf: (peer) => view.get(peer)?.ad,
    grant: async (signed, until) => membership.publish(signed, until),
    onHost (loadNow, freeBytes) {
      freeDiskBytes = freeBytes
      for (const lease of ledger.expire(clock.monotonicMs())) log.warn({ vmId: lease.vmId }, 'a lease ended before its machine was begun')
      load = loadNow
      advertise()
    },
    underWay: () => ({ ...bids.underWay(), ...claims.underWay(), ...plant.underWay() }),
    closeDoors: async () => bids.stop(),
    stop: async () => lifetime.end()
  }
}

interface Parts { images: MeshGoldens | undefined, plant: Plant, networking: ComposedNetworks, spares: Spares | undefined, claims: Claiming, view: CapacityView, desk: OrderDesk, life: TemplateLife | undefined, advertise: () => void }

/** In this order: what is on its way first, machines next, and orders of others when all of that stands. */
async function startParts ({ images, plant, networking, spares, claims, view, desk, life, advertise }: Parts, init: PlantNodeInit, c: PlantNodeComponents, lifetime: Lifetime, signal: AbortSignal): Promise<Bidding> {
  const { transport, clock, random, crypto, log, warehouse } = c
  // Before machines half made are made anew: what they are made from may have to be fetched.
  await startImages(images, lifetime)
  lifetime.own(async () => spares?.stop())
  lifetime.own(async () => plant.stop())
  await plant.recover(signal)
  spares?.start()
  await serveMachines({ transport, clock, crypto, host: plant, ...(networking.host !== undefined && { networks: networking.host }) })
  lifetime.own(async () => claims.stop())
  await startClaims(claims, plant, c)
  const bids: Bidding = bidding({ ...init.bidding, ...(init.candidatesMax !== undefined && { candidatesMax: init.candidatesMax }) })({ transport, clock, random, log })
  lifetime.own(async () => bids.stop())
  await bids.serve(desk, init.gateway && siteBroker({ self: transport.self, site: init.site, hasPlace: init.gateway, crypto, signer: c.signer, clock, random, view }))
  advertise()
  lifetime.own(warehouse.onChange(advertise))
  lifetime.own(async () => view.stop())
  await view.start()
  lifetime.own(async () => life?.stop())
  life?.start()
  return bids
}

async function startMembership ({ crypto, directory, pubsub, records, clock, log }: PlantNodeComponents, lifetime: Lifetime): Promise<Grants> {
  const membership = grants()({ crypto, directory, pubsub, records, clock, log, concerns: (domain, domainKey) => records.hasLive(domain, domainKey) })
  lifetime.own(async () => membership.stop())
  await membership.start()
  return membership
}

async function startImages (images: MeshGoldens | undefined, lifetime: Lifetime): Promise<void> {
  if (images === undefined) return
  lifetime.own(async () => images.stop())
  await images.start()
}

function claimsOf ({ clock, random, log, crypto, records }: PlantNodeComponents, transport: Transport, view: CapacityView, others: ReturnType<typeof addressClaims>): Claiming {
  return claiming()({
    transport, clock, random, log, crypto,
    store: records,
    peers: () => view.plants().map(({ peer }) => peer),
    ordersDiffer: others.ordersDiffer,
    knowledge: (vmId, prover) => {
      const secret = records.machine(vmId)?.orderSecret
      return secret === undefined || secret === '' ? others.knowledge(vmId, prover) : fromHex(secret)
    }
  })
}

/** The registrars learn of the machines of the records before anybody is told that they are not here. */
async function startClaims (claims: Claiming, plant: Plant, { records, log }: Pick<PlantNodeComponents, 'records' | 'log'>): Promise<void> {
  for (const { vmId, orderDigest, lease, provisional } of records.machines([...LIVE_STATES, 'failed'])) claims.holds({ vmId, orderDigest, awardedAtMs: lease.awardedAtMs }, provisional)
  claims.onLost((vmId) => {
    plant.lost(vmId).catch((error: unknown) => { log.error({ vmId, error: String(error) }, 'a machine that another plant holds could not be collected') })
  })
  claims.onSettled((vmId) => { plant.settled(vmId) })
  await claims.start()
}

/** The order inside a signed order, checked. Undefined: it went when its machine ended. */
function orderIn (crypto: Crypto, vmId: VmId, signedOrder: Uint8Array | undefined): Order {
  if (signedOrder === undefined) throw new PlantError('VM_STATE', { vmId, problem: 'it has ended, or was never begun' })
  const call = openCall(crypto, signedOrder)
  if (call.kind !== 'order') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'not an order' })
  return checkOrder(call.body.order)
}
