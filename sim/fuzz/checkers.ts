/** What must hold in every run, whatever goes wrong. Each checker looks for itself and knows nothing of how plants decide. */
import type { VmId } from '../../protocols/kit/index.ts'
import type { ClientOrder } from '../world/client.ts'
import { directoryTrue } from './directory-keys.ts'
import { earlierStays } from './earlier.ts'
import { recordsForgotten } from './forgotten.ts'
import type { Goodbyes } from './goodbyes.ts'
import { identitiesDiffer } from './identities.ts'
import { leasesEnd } from './leases.ts'
import { peaceful } from './peace.ts'
import { registered } from './registered.ts'
import { unrecorded } from './spares.ts'
import { isLive, placesOf, problem, type Checker, type Problem, type Seen } from './seen.ts'

/** No order has two machines that are not marked provisional; and one at most once all is mended. */
export function oneMachine (): Checker {
  const name = 'one-machine'
  return {
    name,
    afterEvent (seen) {
      const firm = new Map<VmId, string>()
      for (const { host } of seen.world.plants) {
        for (const machine of host.machines.values()) {
          const record = host.records.machines.get(machine.vmId)
          if (!machine.alive || record === undefined || !isLive(record)) continue
          if (record.provisional) {
            if (seen.orders.some(({ vmId, plan }) => vmId === machine.vmId && plan.machine.strict)) return problem(name, seen, `${host.name} runs a provisional machine of the strict order ${machine.vmId}`, machine.vmId)
            continue
          }
          const other = firm.get(machine.vmId)
          if (other !== undefined) return problem(name, seen, `${other} and ${host.name} both run ${machine.vmId}, and neither is provisional`, machine.vmId)
          firm.set(machine.vmId, host.name)
        }
      }
      return undefined
    },
    atRest: (seen) => seen.orders.flatMap(({ vmId, plan }) => {
      const places = placesOf(seen.world, vmId)
      if (places.length > 1) return [problem(name, seen, `order ${plan.sequence} still has ${places.length} machines: on ${places.map(({ plant }) => plant.name).join(', ')}`, vmId)]
      return places.filter(({ record }) => record?.provisional === true).map(({ plant }) => problem(name, seen, `the machine of order ${plan.sequence} on ${plant.name} is still provisional`, vmId))
    })
  }
}

/** What runs on a host never takes more than its plant offers, whatever the plant's books say. */
export function capacityKept (): Checker {
  const name = 'capacity'
  return {
    name,
    afterEvent (seen) {
      for (const plant of seen.world.plants) {
        const { host } = plant
        const used = host.inUse()
        // Spares stand by and take no processor; none is made while orders use all cores.
        used.cpus -= unrecorded(plant).reduce((sum, { alive, cpus }) => sum + (alive ? cpus : 0), 0)
        for (const what of ['cpus', 'memoryMiB', 'diskMiB', 'machines'] as const) {
          if (used[what] > host.capacity[what]) return problem(name, seen, `${host.name} has ${used[what]} ${what} in use and offers ${host.capacity[what]}`)
        }
        const networks = new Set<string>()
        for (const { vmId, alive } of host.machines.values()) {
          const record = alive ? host.records.machines.get(vmId) : undefined
          if (record !== undefined && isLive(record)) for (const network of record.lease.networks ?? []) networks.add(JSON.stringify([record.domainKey, record.domain, network]))
        }
        if (networks.size > host.capacity.networks) return problem(name, seen, `${host.name} has machines on ${networks.size} networks and offers ${host.capacity.networks}`)
      }
      return undefined
    }
  }
}

/** Longest that a creation may take while its plant is up: a silent guest for a minute, twice (VM_START_FAILED is tried again), actions, and waiting for others. */
const CREATING_MS_MAX = 400_000
/** Every creation ends, in time. (Leases without a machine: `leases.ts`.) */
export function awardsEnd (): Checker {
  const name = 'awards'
  const since = new Map<string, number>()
  return {
    name,
    afterEvent (seen) {
      const { plants, timeline } = seen.world
      for (const { host, node } of plants) {
        if (node === undefined) continue
        for (const lease of node.ledger.leases()) {
          const record = host.records.machines.get(lease.vmId)
          const key = `${host.name}/${lease.leaseId}`
          const fromMs = since.get(key) ?? timeline.nowMs
          since.set(key, fromMs)
          const mostMs = record?.state === 'creating' ? CREATING_MS_MAX : Infinity
          if (timeline.nowMs - fromMs > mostMs) return problem(name, seen, `the lease of ${lease.vmId} on ${host.name} is ${Math.round((timeline.nowMs - fromMs) / 1_000)} s old and neither runs nor is released`, lease.vmId)
        }
      }
      return undefined
    },
    atRest: (seen) => seen.world.plants.flatMap(({ host }) => [...host.records.machines.values()].filter(({ state }) => state === 'creating')
      .map(({ vmId }) => problem(name, seen, `${host.name} is still creating ${vmId}`, vmId)))
  }
}

/** Streams, planned events and unread bytes of one plant: far above what a mesh of seven needs, far below what grows without end. */
const STREAMS_MAX = 400
const EVENTS_MAX = 3_000
const BYTES_MAX = 16 * 1024 * 1024
const KEYS_MAX = 500

/** Nothing grows without end. */
export function bounded (): Checker {
  const name = 'bounded'
  return {
    name,
    afterEvent (seen) {
      for (const { name: plant, life, process } of seen.world.plants) {
        if (life === undefined || process === undefined) continue
        const { streams } = process.transport
        if (streams.size > STREAMS_MAX) return problem(name, seen, `${plant} has ${streams.size} streams open`)
        if (life.events > EVENTS_MAX) return problem(name, seen, `${plant} has ${life.events} timers and messages under way`)
        if (process.directory.held > KEYS_MAX || process.directory.kept > KEYS_MAX) return problem(name, seen, `${plant} keeps ${process.directory.held} and ${process.directory.kept} directory keys`)
      }
      return undefined
    },
    atRest: (seen) => peace(name, seen),
    atEnd: (seen) => peace(name, seen)
  }
}

function peace (name: string, seen: Seen): Problem[] {
  return seen.world.plants.flatMap(({ name: plant, life, process, node }) => {
    if (life === undefined || process === undefined || node === undefined) return [problem(name, seen, `${plant} is not up`)]
    const held = [...process.transport.streams].reduce((sum, stream) => sum + stream.heldBytes, 0)
    return [
      ...(held > BYTES_MAX ? [problem(name, seen, `${plant} holds ${held} bytes in streams`)] : []),
      ...(process.transport.streams.size > STREAMS_MAX / 10 ? [problem(name, seen, `${plant} has ${process.transport.streams.size} streams open in peace: ${[...process.transport.streams].slice(0, 5).map(({ protocol }) => protocol).join(', ')}`)] : [])
    ]
  })
}

/** Machines, leases, records, pins and drafts speak of the same machines once nothing is under way; those of which no record speaks: `spares.ts`. */
export function nothingLeaks (): Checker {
  const name = 'leaks'
  const compare = (seen: Seen): Problem[] => seen.world.plants.flatMap(({ host, node, warehouse }) => {
    if (node === undefined || warehouse === undefined) return []
    const records = [...host.records.machines.values()].filter(isLive).map(({ vmId }) => vmId).sort()
    const machines = [...host.machines.keys()].filter((vmId) => host.records.machines.has(vmId)).sort()
    const leases = node.ledger.leases().map(({ vmId }) => vmId).sort()
    const found: Problem[] = []
    if (String(records) !== String(machines)) found.push(problem(name, seen, `${host.name} has records of [${records}] and machines [${machines}]`, records[0] ?? machines[0]))
    if (String(records) !== String(leases)) found.push(problem(name, seen, `${host.name} has records of [${records}] and leases of [${leases}]`, leases[0] ?? records[0]))
    if (warehouse.pins !== host.machines.size) found.push(problem(name, seen, `${host.name} has ${warehouse.pins} golden machines pinned for ${host.machines.size} machines`))
    if (host.drafts.size > 0) found.push(problem(name, seen, `${host.name} has ${host.drafts.size} drafts of golden machines left`))
    return found
  })
  return {
    name,
    atRest: compare,
    atEnd: (seen) => [
      ...compare(seen),
      ...seen.world.plants.flatMap(({ host }) => {
        const left = [...host.machines.keys()].filter((vmId) => host.records.machines.has(vmId))
        return left.length === 0 ? [] : [problem(name, seen, `${host.name} still has ${left.length} machines after all were collected`, left[0])]
      })
    ]
  }
}

/** What a client was told runs goes on, unless a fault or its own guest ended it, or the client had it collected. */
export function nothingLost (): Checker {
  const name = 'acknowledged'
  const check = (seen: Seen): Problem | undefined => {
    for (const { vmId, plan } of promised(seen)) {
      const places = placesOf(seen.world, vmId)
      if (places.some(({ record }) => record !== undefined && isLive(record))) continue
      return problem(name, seen, `order ${plan.sequence} was acknowledged, and no plant has its machine any more`, vmId)
    }
    return undefined
  }
  return {
    name,
    afterEvent: check,
    atRest: (seen) => {
      const lost = check(seen)
      const dead = promised(seen).filter(({ vmId }) => !placesOf(seen.world, vmId).some(({ alive }) => alive))
      return [...lost === undefined ? [] : [lost], ...dead.map(({ vmId, plan }) => problem(name, seen, `order ${plan.sequence} was acknowledged, and its machine does not run`, vmId))]
    }
  }
}

/**
 * Orders whose machine must be there. A provisional one goes for that of the earlier award, also where that one has failed since: `protocols/claim` does
 * not know what became of it.
 */
function promised (seen: Seen): ClientOrder[] {
  return seen.orders.filter(({ acknowledged, vmId, result }) => acknowledged && !seen.excused.has(vmId) &&
    !(result.provisional === true && seen.world.plants.some(({ host }) => host.records.machines.get(vmId)?.state === 'failed')))
}

/** What has died is known to be dead, and nothing failed for a reason that is a bug. */
export function deathsAreKnown (): Checker {
  const name = 'deaths'
  const check = (seen: Seen): Problem[] => seen.world.plants.flatMap(({ host }) => [...host.records.machines.values()].flatMap((record) => {
    const { vmId, state, error } = record
    if (error?.code === 'INTERNAL') return [problem(name, seen, `${vmId} on ${host.name} failed by a bug: ${JSON.stringify(error.details).slice(0, 400)}`, vmId)]
    return state === 'running' && host.machines.get(vmId)?.alive === false ? [problem(name, seen, `${host.name} says that ${vmId} runs, and it is dead`, vmId)] : []
  }))
  return { name, atRest: check, atEnd: check }
}

/** Every plant that runs has every other in view. */
export function viewsAgree (): Checker {
  const name = 'views'
  return {
    name,
    atRest: (seen) => seen.world.plants.flatMap(({ name: plant, node }) => {
      const known = node?.shop.plants().length ?? 0
      return known === seen.world.plants.length ? [] : [problem(name, seen, `${plant} has ${known} of ${seen.world.plants.length} plants in view`)]
    })
  }
}

/** All of them; made anew for each run. */
export function allCheckers (goodbyes: Goodbyes): Checker[] {
  return [
    leasesEnd(), peaceful(), directoryTrue(), registered(goodbyes), recordsForgotten(), oneMachine(), capacityKept(), awardsEnd(), bounded(), nothingLeaks(), nothingLost(),
    deathsAreKnown(), identitiesDiffer(), viewsAgree(), earlierStays()
  ]
}
