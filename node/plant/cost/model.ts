/** The one interface of cost models (VMPlants 3.4): what a plant knows goes in, the items of its bid come out. Pure. */
import type { CostItem } from '../../../protocols/bid/index.ts'
import type { Capacity } from '../capacity.ts'
import type { Figures } from './learned.ts'

/** What is left to do for an order on the golden machine that leaves the least: the planner's answer, as far as cost goes. */
export interface PlanOutline {
  goldenId: string
  actionsLeft: number
  /** Bytes of the golden machine that are not here yet and must come before the machine starts. */
  fetchBytes: number
  /** No suspended state of that size: the disk is booted once. */
  resize: boolean
  /** A spare is ready. */
  spare?: boolean
}

export interface CostInputs {
  need: { cpus: number, memoryMiB: number, diskMiB: number, networks: readonly string[] }
  capacity: Readonly<Capacity>
  used: Readonly<Capacity>
  /** Of the networks that the order needs, those that the plant has no machine of yet. */
  freshNetworks: number
  plan: PlanOutline
  /** Runnable work per CPU of the host: 0 is idle, 1 is busy. */
  load: number
  learned: Figures
}

export interface CostModel {
  readonly name: string
  /** Every machine is put on a network of its domain, named in the order or not. */
  readonly everyMachineOnNetwork: boolean
  /** At least one item; no cost is negative. Costs of one model compare, those of two do not. */
  price (inputs: CostInputs): CostItem[]
}
