/** Routes of a topology's machines: for each network that a machine is not on, the router that leads there by the fewest others. */
import type { Route } from '../order.ts'
import type { Placed } from './allot.ts'
import type { TopologyNetwork, TopologyRoute } from './topology.ts'

export interface RoutesInput {
  networks: readonly TopologyNetwork[]
  machines: ReadonlyArray<Placed & { metadata: { name: string } }>
  routes: readonly TopologyRoute[]
  /** By network, then by machine's index. */
  addresses: ReadonlyMap<string, ReadonlyMap<number, string>>
}

/** What is to be reached, and how many routers are between it and each network that leads there. */
interface Target {
  to: string
  hops: ReadonlyMap<string, number>
  /** Machines, by index, that are there: they need no route, and who is on a network with one of them that is a router needs no other. */
  there: ReadonlySet<number>
}

/** Routes by machine's index, then by the network that leads there. Of ways that are equally long the router that stands first in the document is taken. */
export function routesOf (input: RoutesInput): Array<Map<string, Route[]>> {
  const { machines } = input
  const map = new NetworkMap(input)
  const targets = targetsOf(input, map)
  return machines.map((_machine, index) => {
    const found = new Map<string, Route[]>()
    for (const target of targets) {
      const way = target.there.has(index) ? undefined : map.wayTo(target, index)
      if (way !== undefined) found.set(way.network, [...found.get(way.network) ?? [], { to: target.to, via: way.via }])
    }
    return found
  })
}

/** The topology's networks, and what is behind its routers; a network of its own is nearer than a route that was written down for the same subnet. */
function targetsOf ({ networks, machines, routes }: RoutesInput, map: NetworkMap): Target[] {
  const on = (network: string): Set<number> => new Set(machines.flatMap((machine, index) => machine.networks.some(({ name }) => name === network) ? [index] : []))
  const all: Target[] = networks.flatMap(({ name, subnet }) => subnet === undefined ? [] : [{ to: subnet, hops: map.hopsFrom([[name, 0]]), there: on(name) }])
  for (const { to, via } of routes) {
    const router = machines.findIndex(({ metadata }) => metadata.name === via)
    all.push({ to, hops: map.hopsFrom(map.networksOf(router).map((name) => [name, 1])), there: new Set([router]) })
  }
  const known = new Set<string>()
  return all.filter(({ to }) => !known.has(to) && known.add(to))
}

/** Which routers join which networks; only what has an address counts. */
class NetworkMap {
  readonly #input: RoutesInput
  readonly #routersOn = new Map<string, number[]>()

  constructor (input: RoutesInput) {
    this.#input = input
    for (const [index, { router }] of input.machines.entries()) {
      if (router) for (const name of this.networksOf(index)) this.#routersOn.set(name, [...this.#routersOn.get(name) ?? [], index])
    }
  }

  networksOf (machine: number): string[] {
    const { machines, addresses } = this.#input
    return (machines[machine]?.networks ?? []).map(({ name }) => name).filter((name) => addresses.get(name)?.has(machine) === true)
  }

  /** How far each network is from those given, counted in routers from what these have. */
  hopsFrom (nearest: Array<[string, number]>): Map<string, number> {
    const hops = new Map(nearest)
    for (const [name, far] of hops) { // Goes on with what is added meanwhile, nearest first.
      for (const router of this.#routersOn.get(name) ?? []) for (const next of this.networksOf(router)) if (!hops.has(next)) hops.set(next, far + 1)
    }
    return hops
  }

  wayTo ({ hops, there }: Target, machine: number): { network: string, via: string } | undefined {
    const network = this.networksOf(machine).filter((name) => hops.has(name)).sort((a, b) => (hops.get(a) ?? 0) - (hops.get(b) ?? 0))[0]
    if (network === undefined) return undefined
    const nearer = (hops.get(network) ?? 0) - 1
    const leads = (router: number): boolean => router !== machine && ((nearer === 0 && there.has(router)) || this.networksOf(router).some((name) => hops.get(name) === nearer))
    const router = this.#routersOn.get(network)?.find(leads)
    const via = router === undefined ? undefined : this.#input.addresses.get(network)?.get(router)
    return via === undefined ? undefined : { network, via }
  }
}
