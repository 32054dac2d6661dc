/** What checkers look at: the hosts' truth, what is on disks, and what clients were told. Nothing of it is a plant's own opinion but where it says so. */
import type { VmId } from '../../protocols/kit/index.ts'
import type { MachineRecord } from '../../storage/records/records.ts'
import type { ClientOrder } from '../world/client.ts'
import type { SimPlant } from '../world/plant.ts'
import type { Lulls } from './lulls.ts'
import type { World } from '../world/world.ts'

/** Something that must not be. */
export interface Problem {
  checker: string
  /** One sentence with the names of what it is about. */
  text: string
  vmId?: VmId
  atMs: number
}

/** One run as checkers see it. */
export interface Seen {
  readonly world: World
  readonly orders: readonly ClientOrder[]
  /** Machines whose end nobody is to blame for: a fault or their own guest ended them. */
  readonly excused: ReadonlySet<VmId>
  /** Plants that ever lied in this run. */
  readonly liars: ReadonlySet<string>
  /** How quiet plants were in the ten seconds before a rest. */
  readonly lulls: Lulls
}

/** Looks at a run after every event, and at its rest: everything mended, nothing under way. */
export interface Checker {
  readonly name: string
  afterEvent? (seen: Seen): Problem | undefined
  /** All has been mended and had time to come together; orders that stayed still stand. */
  atRest? (seen: Seen): Problem[]
  /** Then all machines were collected. */
  atEnd? (seen: Seen): Problem[]
}

const LIVE = ['creating', 'running', 'suspended', 'migrating']

/** Whether the record is of a machine that its plant has or makes. */
export function isLive (record: MachineRecord): boolean { return LIVE.includes(record.state) }

/** Where a machine is by hosts' truth: its VMM runs, or its plant's disk says that it is made or runs. */
export function placesOf (world: World, vmId: VmId): Array<{ plant: SimPlant, record: MachineRecord | undefined, alive: boolean }> {
  return world.plants.flatMap((plant) => {
    const record = plant.host.records.machines.get(vmId)
    const alive = plant.host.machines.get(vmId)?.alive === true
    return alive || (record !== undefined && isLive(record)) ? [{ plant, record, alive }] : []
  })
}

/** A problem of a checker, now. */
export function problem (checker: string, seen: Seen, text: string, vmId?: VmId): Problem {
  return { checker, text, atMs: seen.world.timeline.nowMs, ...(vmId !== undefined && { vmId }) }
}
