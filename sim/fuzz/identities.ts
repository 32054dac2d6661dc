/** No two machines take themselves for one: addresses, names, ids and seeds differ, and each guest is told what its card has. */
import type { VmId } from '../../protocols/kit/index.ts'
import type { HostMachine } from '../world/host/host.ts'
import { problem, type Checker, type Seen } from './seen.ts'

/** A name of a machine that no other has; `ofOrder`: two machines of one order, made in a cut mesh, share it until one of them goes. */
interface Distinct { what: string, ofOrder: boolean, of (machine: HostMachine): string | undefined }

const DISTINCT: readonly Distinct[] = [
  { what: 'address', ofOrder: true, of: ({ mac }) => mac },
  { what: 'host name', ofOrder: true, of: ({ identity }) => identity?.hostName },
  { what: 'machine id', ofOrder: false, of: ({ identity }) => identity?.machineId },
  { what: 'seed', ofOrder: false, of: ({ identity }) => identity?.seed.join(' ') }
]

/** Looks at machines that run on hosts, and at what their guests were told; not at what plants wrote down of it, but where a client is told that. */
export function identitiesDiffer (): Checker {
  const name = 'identities'
  const wrong = (host: string, machine: HostMachine, running: boolean, attributes: Record<string, unknown>): string | undefined => {
    const { identity, mac } = machine
    if (!/^[0-9a-f][26ae](?::[0-9a-f]{2}){5}$/.test(mac)) return `has the address ${mac}, which is not one of its own making`
    if (identity === undefined) return running ? 'runs, and its guest was never told who it is' : undefined
    if (identity.mac !== mac) return `was told the address ${identity.mac} and has ${mac}`
    if (running && attributes['Mac'] !== mac) return `is said to have the address ${String(attributes['Mac'])} and has ${mac} on ${host}`
    return undefined
  }
  const distinct = (seen: Seen): ReturnType<NonNullable<Checker['afterEvent']>> => {
    const taken = new Map<string, { vmId: VmId, host: string }>()
    for (const { host } of seen.world.plants) {
      for (const machine of host.machines.values()) {
        if (!machine.alive) continue
        const record = host.records.machines.get(machine.vmId)
        const text = wrong(host.name, machine, record?.state === 'running', record?.attributes ?? {})
        if (text !== undefined) return problem(name, seen, `${machine.vmId} on ${host.name} ${text}`, machine.vmId)
        for (const { what, ofOrder, of } of DISTINCT) {
          const value = of(machine)
          if (value === undefined) continue
          const other = taken.get(`${what} ${value}`)
          if (other !== undefined && !(ofOrder && other.vmId === machine.vmId)) return problem(name, seen, `${other.vmId} on ${other.host} and ${machine.vmId} on ${host.name} have one ${what}: ${value}`, machine.vmId)
          taken.set(`${what} ${value}`, { vmId: machine.vmId, host: host.name })
        }
      }
    }
    return undefined
  }
  return { name, afterEvent: distinct }
}
