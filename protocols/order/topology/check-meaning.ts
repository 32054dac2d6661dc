/** What a topology of the right shape may still have wrong: names that nothing has, addresses that do not fit, networks that overlap. */
import { ROUTES_MAX } from '../constants.ts'
import { foundText, nearest, type Path, type RawProblem } from '../problems.ts'
import { allotAddresses } from './allot.ts'
import { routesOf } from './routes.ts'
import { addressNumber, contains, isMachines, overlap, subnetOf } from './subnet.ts'
import type { Topology } from './topology.ts'

/** Every problem; where there is none its orders can be made. */
export function meaningProblems (topology: Topology): RawProblem[] {
  const problems = [...nameProblems(topology), ...subnetProblems(topology), ...routerProblems(topology)]
  return problems.length > 0 ? problems : [...addressProblems(topology), ...routeProblems(topology)]
}

function nameProblems ({ networks, machines, routes }: Topology): RawProblem[] {
  const problems: RawProblem[] = []
  const once = (names: string[], pathOf: (index: number) => Path, what: string): void => {
    for (const [index, name] of names.entries()) {
      if (names.indexOf(name) < index) problems.push({ path: pathOf(index), found: foundText(name), allowed: 'each name once', message: `the ${what} is there twice` })
    }
  }
  const networkNames = networks.map(({ name }) => name)
  once(networkNames, (index) => ['networks', index, 'name'], 'network')
  once(machines.map(({ metadata }) => metadata.name), (index) => ['machines', index, 'metadata', 'name'], 'machine')
  const known = (name: string, names: string[], path: Path, what: string): void => {
    if (names.includes(name)) return
    const meant = nearest(name, names)
    problems.push({ path, found: foundText(name), allowed: names.slice(0, 20).join(', '), message: `no ${what} of the topology has this name${meant === undefined ? '' : `; did you mean ${meant}?`}` })
  }
  for (const [index, machine] of machines.entries()) {
    for (const [card, { name }] of machine.networks.entries()) known(name, networkNames, ['machines', index, 'networks', card, 'name'], 'network')
    once(machine.networks.map(({ name }) => name), (card) => ['machines', index, 'networks', card, 'name'], 'network')
  }
  const routers = machines.filter(({ router }) => router).map(({ metadata }) => metadata.name)
  for (const [index, { via }] of routes.entries()) known(via, routers, ['routes', index, 'via'], 'router')
  return problems
}

function subnetProblems ({ networks }: Topology): RawProblem[] {
  const problems: RawProblem[] = []
  for (const [index, { subnet, addressing }] of networks.entries()) {
    if (subnet === undefined) continue
    const path = ['networks', index, 'subnet']
    if (addressing === 'external') problems.push({ path, found: foundText(subnet), allowed: 'no subnet with addressing: external', message: 'the client\'s own LAN gives addresses' })
    const other = networks.slice(0, index).find((one) => one.subnet !== undefined && overlapText(one.subnet, subnet))
    if (other !== undefined) problems.push({ path, found: foundText(subnet), allowed: 'subnets without an address in common', message: `overlaps the subnet of ${other.name}` })
  }
  return problems
}

function overlapText (a: string, b: string): boolean {
  const [one, two] = [subnetOf(a), subnetOf(b)]
  return one !== undefined && two !== undefined && overlap(one, two)
}

/** What leads from one network to another must have different subnets on its sides. */
function routerProblems ({ networks, machines }: Topology): RawProblem[] {
  return networks.flatMap(({ name, subnet, addressing }, index) => {
    const router = machines.find((machine) => machine.router && machine.networks.length > 1 && machine.networks.some((card) => card.name === name))
    if (router === undefined || subnet !== undefined || addressing === 'external') return []
    return [{ path: ['networks', index, 'subnet'], found: 'nothing', allowed: 'an IPv4 subnet such as 192.168.7.0/24', message: `is missing: the router ${router.metadata.name} joins this network to others` }]
  })
}

function addressProblems ({ networks, machines }: Topology): RawProblem[] {
  const problems: RawProblem[] = []
  const owners = new Map<string, string>()
  const allotted = allotAddresses(networks, machines)
  for (const [index, machine] of machines.entries()) {
    for (const [card, { name, address }] of machine.networks.entries()) {
      const text = networks.find((network) => network.name === name)?.subnet
      const subnet = text === undefined ? undefined : subnetOf(text)
      const path = ['machines', index, 'networks', card, 'address']
      if (subnet !== undefined && allotted.get(name)?.has(index) !== true) problems.push({ path, found: 'nothing', allowed: `fewer machines, or more than ${text}`, message: 'no address is left' })
      if (address === undefined) continue
      const owner = owners.get(`${name} ${address}`)
      if (owner !== undefined) problems.push({ path, found: foundText(address), allowed: 'each address once', message: `${owner} has this address` })
      owners.set(`${name} ${address}`, machine.metadata.name)
      if (subnet === undefined) continue
      const number = addressNumber(address)
      if (!contains(subnet, number)) problems.push({ path, found: foundText(address), allowed: `an address in ${text}`, message: `is not in the subnet of ${name}` })
      else if (!isMachines(subnet, number)) problems.push({ path, found: foundText(address), allowed: 'neither the first nor the last address, nor 10.192.0.1', message: 'is the network\'s own' })
    }
  }
  return problems
}

function routeProblems (topology: Topology): RawProblem[] {
  const addresses = allotAddresses(topology.networks, topology.machines)
  return routesOf({ ...topology, addresses }).flatMap((byNetwork, index) => [...byNetwork].flatMap(([name, routes]) => {
    if (routes.length <= ROUTES_MAX) return []
    return [{ path: ['machines', index], found: `${routes.length} routes by ${name}`, allowed: `at most ${ROUTES_MAX}`, message: 'too many networks are reached from here' }]
  }))
}
