/** A scenario with `mode: arrays` as a market; what markets do not have is refused with the field's path, not passed over. */
import { PlantError } from '../../protocols/kit/index.ts'
import type { HoldSpec, MachineSpec, PoissonSource, Scenario } from '../scenario/index.ts'
import { plantCount } from '../scenario/index.ts'
import { CANDIDATES_MAX } from '../../protocols/bid/constants.ts'
import { marketOf, NEED_CLASSES_MAX, type Life, type Market, type MarketCost, type MarketInit, type NeedClass } from './bid-market.ts'

/** Times of markets are kept in 32-bit milliseconds: 24 days. */
export const MARKET_MS_MAX = 2 ** 31 - 1

/** The market of a scenario. Throws CONFIG_INVALID, with the field, what was found and what is allowed, for what only `mode: cores` has. */
export function marketOfScenario (scenario: Scenario, seed: number): Market {
  const { plants, links, policy, scale, until, faults } = scenario
  const sources = scenario.orders.map((source, i) => poissonOf(source, i))
  const count = plantCount(scenario)
  if (count < 2) refuse('plants', count, 'two plants or more')
  if (faults.length > 0) refuse('faults', `${faults.length} faults`, 'none with mode: arrays')
  if (links.between.length > 0 || links.default.lossShare > 0 || links.default.jitterMs > 0) refuse('links', 'loss, jitter or links of their own', 'one constant latency (links.default.latencyMs) with mode: arrays')
  if (until.ms === undefined || until.ms > MARKET_MS_MAX) refuse('until.ms', until.ms ?? 'nothing', `a time up to ${MARKET_MS_MAX} with mode: arrays, as orders never end`)
  if (policy.file !== undefined || policy.costModel === 'file') refuse('policy', 'a policy file', 'a cost model of the daemon with mode: arrays')
  if (sources.length === 0 || sources.length > NEED_CLASSES_MAX) refuse('orders', `${sources.length} sources`, `1 to ${NEED_CLASSES_MAX} with mode: arrays`)
  const perMs = sources.map(({ per, meanIntervalMs }) => per === 'plant' ? 1 / meanIntervalMs : 1 / (meanIntervalMs * count))
  const domains = [...new Set(sources.map(({ machine }) => machine.domain))]
  const init: MarketInit = {
    seed,
    plants: count,
    capacities: plants.map(({ capacity }) => capacity),
    counts: plants.map((group) => group.count),
    needs: sources.map(({ machine, hold }, i) => needOf(machine, hold, perMs[i] ?? 0, domains.indexOf(machine.domain))),
    domains: domains.length,
    cost: policy.costModel as MarketCost,
    asked: Math.min(policy.k, CANDIDATES_MAX),
    viewEntries: scale.viewEntries,
    orderEveryMs: 1 / perMs.reduce((sum, rate) => sum + rate, 0),
    latencyMs: links.default.latencyMs,
    periodMs: scale.gossipPeriodMs,
    gossip: scale.gossip
  }
  return marketOf(init)
}

function poissonOf (source: Scenario['orders'][number], i: number): PoissonSource {
  if (source.kind !== 'poisson') return refuse(`orders[${i}].kind`, source.kind, 'poisson with mode: arrays')
  const { fromMs, toMs, count, shop, machine } = source
  if (fromMs > 0 || toMs !== undefined || count !== undefined) refuse(`orders[${i}]`, 'fromMs, toMs or count', 'orders from the start to the end with mode: arrays')
  if (shop.plant !== undefined || shop.site !== undefined) refuse(`orders[${i}].shop`, shop.plant ?? shop.site ?? '', 'any plant with mode: arrays')
  if (machine.rank !== undefined || machine.requirements.trim() !== 'true') refuse(`orders[${i}].machine`, 'rank or requirements', 'neither with mode: arrays')
  return source
}

function needOf ({ cpus, memoryMiB, diskMiB, network }: MachineSpec, hold: HoldSpec, weight: number, domain: number): NeedClass {
  const life: Life = hold.kind === 'exponential' ? { kind: 'exponential', meanMs: hold.meanMs } : hold
  return { cpus, memoryMiB, diskMiB, network: network !== undefined, weight, life, domain }
}

function refuse (field: string, found: unknown, allowed: string): never {
  throw new PlantError('CONFIG_INVALID', { field, found, allowed })
}
