/** A scenario with `mode: arrays` as a market; what markets do not have is refused with the field's path, not passed over. */
import { PlantError } from '../../protocols/kit/index.ts'
import { pathText } from '../../protocols/order/problems.ts'
import { arraysProblems, plantCount, type HoldSpec, type MachineSpec, type Scenario } from '../scenario/index.ts'
import { marketOf, type Life, type Market, type MarketCost, type MarketInit, type NeedClass } from './bid-market.ts'

/** The market of a scenario. Throws CONFIG_INVALID, with the field, what was found and what is allowed, for what only `mode: cores` has (`arraysProblems`). */
export function marketOfScenario (scenario: Scenario, seed: number): Market {
  const { plants, links, policy, scale } = scenario
  const [problem] = arraysProblems(scenario)
  if (problem !== undefined) throw new PlantError('CONFIG_INVALID', { field: pathText(problem.path), found: problem.found, allowed: problem.allowed })
  const sources = scenario.orders.filter((source) => source.kind === 'poisson')
  const count = plantCount(scenario)
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
    asked: policy.k,
    viewEntries: scale.viewEntries,
    orderEveryMs: 1 / perMs.reduce((sum, rate) => sum + rate, 0),
    latencyMs: links.default.latencyMs,
    periodMs: scale.gossipPeriodMs,
    gossip: scale.gossip
  }
  return marketOf(init)
}

function needOf ({ cpus, memoryMiB, diskMiB, network }: MachineSpec, hold: HoldSpec, weight: number, domain: number): NeedClass {
  const life: Life = hold.kind === 'exponential' ? { kind: 'exponential', meanMs: hold.meanMs } : hold
  return { cpus, memoryMiB, diskMiB, network: network !== undefined, weight, life, domain }
}
