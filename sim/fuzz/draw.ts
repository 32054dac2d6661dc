/** Whole scenarios from seeds: how many plants, what they offer, what is ordered of them, and everything that goes wrong. */
import { RandomStream } from '../kernel/index.ts'
import { scenarioFile, type Fault, type ListSource, type Scenario } from '../scenario/index.ts'
import type { ExtraFault } from '../world/faults.ts'
import type { EndedKept, GuestNature } from '../world/host/host.ts'
import { SOUND_GUEST } from '../world/host/host.ts'
import { LIES } from '../world/liar.ts'
import type { Absence } from './absence.ts'
import { drawAims, type Aim } from './aims.ts'
import { drawImages, drawPublications, GIVEN_UP, type DrawnImages, type Publication } from './draw-images.ts'
import { drawImageAims } from './image-aims.ts'

/** Orders and faults fall into this time; then all that is broken is mended. */
export const TROUBLE_MS = 90_000
/** Plants are up and know each other by then. */
const WARM_MS = 6_000

/** The share of cases in which the first orders come within this time: plants do not know each other yet. */
const EARLY_SHARE = 0.25
const EARLY_MS = 400
/** Over longer links plants join one after the other, with pauses longer than a young plant waits (YOUNG_QUIET_MS). */
const EARLY_LATENCY_MS_MAX = 5

/** The share of cases in which plants make machines before they are ordered. */
const SPARES_SHARE = 0.2

/** One order that is asked for again while it is made, through another shop: a client in a hurry. */
export interface Twin { order: number, atMs: number }

/** One drawn case. */
export interface FuzzCase {
  seed: number
  scenario: Scenario
  /** Faults that scenario files do not know. */
  extra: ExtraFault[]
  twins: Twin[]
  /** The patience of each order's client; undefined: it waits. */
  patienceMs: Array<number | undefined>
  /** The share of guests that are not sound. */
  flawedShare: number
  aims: Aim[]
  /** Orders are placed as soon as plants start. */
  early: boolean
  /** What each plant's disk remembers of machines that have ended; undefined: as much as the daemon's. */
  endedKept?: EndedKept
  /** When strangers call. */
  straysMs: number[]
  /** Who goes away for a while in the end. */
  absence?: Absence
  /** Plants fetch golden machines of each other. */
  images?: DrawnImages
  publications: Publication[]
  /** What spares may take on each plant; undefined: none are made. */
  spareMemoryMiB?: number
}

/** What there is to clone; where plants fetch of each other, on some of their shelves. */
const GOLDENS = [{ name: 'linux', memoryMiB: 256, diskMiB: 512 }, { name: 'tools', os: 'linux', memoryMiB: 256, diskMiB: 512, actionsDone: ['tools'] }]

/** The case of a seed; the same on every machine. */
export function drawCase (seed: number): FuzzCase {
  const random = new RandomStream(seed, 'fuzz')
  const sites = Array.from({ length: random.int(3) + 1 }, (_, at) => `site-${at + 1}`)
  const plants = drawPlants(random.fork('plants'), sites)
  const names = plants.map(({ name }) => name)
  const orders = drawOrders(random.fork('orders'), names)
  const links = drawLinks(random.fork('links'))
  const early = random.fork('early').chance(EARLY_SHARE) && links.default.latencyMs <= EARLY_LATENCY_MS_MAX
  if (early) for (const order of orders.orders.slice(0, 2)) order.atMs = random.fork('early', order.atMs).int(EARLY_MS)
  const kept = random.fork('kept')
  const faultCount = random.chance(0.1) ? 0 : 1 + random.int(7)
  const faults: Fault[] = []
  const extra: ExtraFault[] = []
  const faultRandom = random.fork('faults')
  for (let n = 0; n < faultCount; n++) drawFault(faultRandom, names, sites, faults, extra)
  const mayLose = !drawDiskLoss(random.fork('diskLoss'), names, faults, extra) && !extra.some((fault) => fault.kind === 'lie' && fault.lie === 'verdicts')
  drawStops(random.fork('stops'), names, extra)
  const images = drawImages(random.fork('images'), byRoom(plants), GOLDENS.map(({ name }) => name))
  for (const { plant, lie } of images?.liars ?? []) extra.push({ kind: 'lie', atMs: 0, plant, lie })
  for (const plant of plants) if (images !== undefined) plant['golden'] = images.shelves.get(plant.name)
  const imageAims = images === undefined ? [] : drawImageAims(random.fork('imageAims'), mayLose)
  if (images !== undefined && imageAims.some(({ kind }) => kind === 'keeperGone')) images.life = GIVEN_UP
  const twins = orders.orders.flatMap((order, at) => early && order.atMs < EARLY_MS ? [{ order: at, atMs: order.atMs }] : random.chance(0.4) ? [{ order: at, atMs: order.atMs + random.int(4_000) }] : [])
  const patienceMs = orders.orders.map(() => random.chance(0.15) ? 200 + random.int(8_000) : undefined)
  const spares = random.fork('spares')
  const publications = drawPublications(random.fork('publications'), orders, TROUBLE_MS - 20_000)
  const file = scenarioFile.parse({
    apiVersion: 'plantmesh-sim/v1',
    kind: 'Scenario',
    name: `fuzz-${seed}`,
    sites: sites.map((name) => ({ name })),
    plants,
    links,
    timings: { set: 'measured' },
    golden: GOLDENS,
    orders: [orders],
    faults
  })
  const { apiVersion: _v, kind: _k, seed: _s, runs: _r, cases: _c, sweep: _w, figures: _f, orders: _o, ...scenario } = file
  return {
    seed,
    scenario: { ...scenario, orders: [orders] },
    extra,
    twins,
    patienceMs,
    flawedShare: random.chance(0.3) ? random.fraction() * 0.5 : 0,
    aims: [...drawAims(random.fork('aims')), ...imageAims],
    early,
    ...(kept.chance(0.25) && { endedKept: { inAll: 2 + kept.int(4), perOwner: 1 + kept.int(2) } }),
    straysMs: Array.from({ length: random.int(8) }, () => WARM_MS + random.int(TROUBLE_MS - WARM_MS)),
    ...(random.chance(0.25) && { absence: drawAbsence(random.fork('absence'), names) }),
    ...(images !== undefined && { images }),
    publications,
    ...(spares.chance(SPARES_SHARE) && { spareMemoryMiB: 256 * (1 + spares.int(4)) })
  }
}

function drawAbsence (random: RandomStream, names: string[]): Absence {
  const [plant = '', witness, ...others] = random.shuffled(names)
  // Of two there is nobody left to ask.
  return { plant, power: random.chance(0.5), ...(witness !== undefined && others.length > 0 && { witness }) }
}

/** Names, of those that offer the least first. */
function byRoom (plants: readonly DrawnPlant[]): string[] {
  return plants.toSorted((a, b) => Math.min(a.capacity.machines, a.capacity.memoryMiB / 256) - Math.min(b.capacity.machines, b.capacity.memoryMiB / 256)).map(({ name }) => name)
}

/** How the next guest behaves. */
export function drawNature (random: RandomStream, flawedShare: number): GuestNature {
  if (!random.chance(flawedShare)) return SOUND_GUEST
  switch (random.int(7)) {
    case 0: return { ...SOUND_GUEST, start: 'fails' }
    case 1: return { ...SOUND_GUEST, start: 'silent' }
    case 2: return { ...SOUND_GUEST, lateMs: 1_000 + random.int(30_000) }
    case 3: return { ...SOUND_GUEST, diesAfterMs: random.int(40_000) }
    case 4: return { ...SOUND_GUEST, actions: 'fail' }
    case 5: return { ...SOUND_GUEST, actions: 'hang' }
    default: return { ...SOUND_GUEST, identity: 'refused' }
  }
}

type DrawnPlant = { name: string, capacity: { machines: number, memoryMiB: number } } & Record<string, unknown>

function drawPlants (random: RandomStream, sites: string[]): DrawnPlant[] {
  const count = 2 + random.int(5)
  const roomy = random.chance(0.5)
  const offWall = random.chance(0.3)
  return Array.from({ length: count }, (_, at) => ({
    name: `p${at + 1}`,
    site: sites[random.int(sites.length)] as string,
    capacity: {
      cpus: 2 + random.int(roomy ? 16 : 4),
      memoryMiB: 256 * (1 + random.int(roomy ? 12 : 3)),
      diskMiB: 1_024 * (1 + random.int(roomy ? 12 : 4)),
      machines: 1 + random.int(roomy ? 8 : 3),
      networks: random.int(3)
    },
    host: { cpus: 1 + random.int(4), memoryMiB: 4_096 },
    clock: {
      offsetMs: offWall ? random.int(240_000) - 120_000 : random.int(200) - 100,
      driftPpm: random.int(200) - 100
    }
  }))
}

function drawLinks (random: RandomStream): { within: Record<string, number>, default: { latencyMs: number, jitterMs: number, lossShare: number, bandwidthMbit: number } } {
  const far = random.pick([0.5, 5, 40, 150]) ?? 5
  const lossShare = random.pick([0, 0, 0, 0.01, 0.05, 0.2]) ?? 0
  return {
    within: { latencyMs: 0.2, jitterMs: random.int(3), lossShare: lossShare / 4, bandwidthMbit: 1_000 },
    default: { latencyMs: far, jitterMs: random.int(Math.ceil(far) + 1), lossShare, bandwidthMbit: random.pick([1, 10, 100, 1_000]) ?? 100 }
  }
}

function drawOrders (random: RandomStream, names: string[]): ListSource {
  const count = 1 + random.int(12)
  const burst = random.chance(0.3)
  const shop = random.chance(0.2) ? names[random.int(names.length)] : undefined
  const machine = (): Record<string, unknown> => ({
    os: 'linux',
    cpus: 1,
    memoryMiB: random.chance(0.15) ? 384 : 256,
    diskMiB: 512 * (1 + random.int(3)),
    domain: random.pick(['a', 'b', 'c']),
    ...(random.chance(0.3) && { network: 'lan' }),
    actions: [...random.chance(0.5) ? [{ id: 'tools' }] : [], ...random.chance(0.4) ? [{ id: 'user', takesMs: random.int(4_000) }] : []],
    ...(random.chance(0.2) && { requirements: 'FreeMemoryMiB >= 256' }),
    strict: random.chance(0.25)
  })
  const atMs = (): number => WARM_MS + random.int(burst ? 3_000 : TROUBLE_MS - WARM_MS - 20_000)
  const orders = Array.from({ length: count }, () => ({
    atMs: atMs(),
    ...(shop !== undefined && { shop }),
    ...(random.chance(0.4) && { holdMs: 2_000 + random.int(40_000) }),
    machine: machine()
  }))
  const source = scenarioFile.shape.orders.parse([{ kind: 'list', machine: { os: 'linux' }, orders: orders.sort((a, b) => a.atMs - b.atMs) }])[0]
  if (source?.kind !== 'list') throw new Error('bug: drew another source')
  // `partial` leaves defaults out of what an order changes, so each order has its machine whole.
  return { ...source, orders: source.orders.map((order, at) => ({ ...order, machine: { ...source.machine, ...orders[at]?.machine, actions: order.machine?.actions ?? [] } })) }
}

/** One more thing that goes wrong. */
function drawFault (random: RandomStream, names: string[], sites: string[], faults: Fault[], extra: ExtraFault[]): void {
  const atMs = WARM_MS - 4_000 + random.int(TROUBLE_MS - WARM_MS)
  const untilMs = atMs + 500 + random.int(random.chance(0.5) ? 5_000 : 40_000)
  const plant = names[random.int(names.length)] as string
  const one = { plants: [plant], sites: [], groups: [] }
  const some = random.shuffled(names).slice(0, 1 + random.int(Math.max(1, names.length - 1)))
  const sides = { from: { plants: some, sites: [], groups: [] }, to: { plants: names.filter((name) => !some.includes(name)), sites: [], groups: [] } }
  const restartAfterMs = random.int(random.chance(0.6) ? 4_000 : 40_000)
  switch (random.int(16)) {
    case 0: faults.push({ kind: 'crash', atMs, target: one, restartAfterMs }); break
    case 1: case 2: case 3: extra.push({ kind: 'crashAtEffect', atMs, plant, effects: random.int(random.chance(0.5) ? 12 : 200), restartAfterMs }); break
    case 4: faults.push({ kind: 'hostDown', atMs, target: one, diskLost: false, restartAfterMs }); break
    case 5: case 6: if (sides.to.plants.length > 0) faults.push({ kind: 'partition', atMs, ...sides, oneWay: random.chance(0.4), untilMs }); break
    case 7:
      if (sides.to.plants.length > 0) faults.push({ kind: 'slowLink', atMs, ...sides, latencyTimes: 1 + random.int(20), addLatencyMs: random.int(2_000), lossShare: random.chance(0.5) ? 0 : random.fraction() * 0.4, bandwidthShare: random.chance(0.5) ? 1 : 0.001 + random.fraction() * 0.1, untilMs })
      break
    case 8: faults.push({ kind: 'clockDrift', atMs, target: one, driftPpm: random.int(100_000) - 50_000 }); break
    case 9: faults.push({ kind: 'clockStep', atMs, target: one, byMs: (random.int(2) * 2 - 1) * random.int(random.chance(0.5) ? 10_000 : 600_000) }); break
    case 10: faults.push({ kind: 'diskFull', atMs, target: one, untilMs }); break
    case 11: faults.push({ kind: 'machineDeath', atMs, target: one, count: 1 + random.int(2) }); break
    case 12: extra.push({ kind: 'standStill', atMs, plant, forMs: 500 + random.int(30_000) }); break
    // One liar at most: with two among three registrars nothing is promised.
    default: if (!extra.some(({ kind }) => kind === 'lie')) extra.push({ kind: 'lie', atMs: random.chance(0.5) ? 0 : atMs, plant, lie: LIES[random.int(LIES.length)] as typeof LIES[number] })
  }
  if (random.chance(0.05)) faults.push({ kind: 'siteOutage', atMs, site: sites[random.int(sites.length)] as string, restartAfterMs: 1_000 + restartAfterMs })
}

/** Plants are stopped in order, and started again. */
function drawStops (random: RandomStream, names: readonly string[], extra: ExtraFault[]): void {
  if (!random.chance(0.3)) return
  for (let n = 1 + random.int(2); n > 0; n--) extra.push({ kind: 'stop', atMs: WARM_MS + random.int(TROUBLE_MS - WARM_MS), plant: random.pick(names) as string, restartAfterMs: random.int(random.chance(0.5) ? 2_000 : 40_000) })
}

/** True: a host loses power and its disk. One at most, and no registrar that lies: three registrars stand one that knows nothing. */
function drawDiskLoss (random: RandomStream, names: readonly string[], faults: Fault[], extra: readonly ExtraFault[]): boolean {
  if (!random.chance(0.12) || extra.some((fault) => fault.kind === 'lie' && fault.lie === 'verdicts')) return false
  const target = { plants: [random.pick(names) as string], sites: [], groups: [] }
  faults.push({ kind: 'hostDown', atMs: WARM_MS + random.int(TROUBLE_MS / 2), target, diskLost: true, restartAfterMs: random.int(4_000) })
  return true
}
