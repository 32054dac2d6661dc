/** What a set of timings says: how much of what each phase takes. Durations follow once the steps compete with others for what they share. */
import type { Random } from '../../protocols/kit/index.ts'
import type { Phase } from '../scenario/index.ts'

/**
 * A part of a phase: a time of its own, or work on something shared. `store`: bytes from the server that keeps the golden machines, whose link all
 * plants share. `cpu`: milliseconds of one idle processor of the host, whose processors all creations there share.
 */
export type Step =
  | { phase: Phase, on: 'time', ms: number }
  | { phase: Phase, on: 'store', bytes: number }
  | { phase: Phase, on: 'cpu', ms: number }

/** How full a host is when a machine is made there; the new machine is not counted. */
export interface HostFill {
  hostCpus: number
  hostMemoryMiB: number
  machines: number
  machinesMemoryMiB: number
}

/** What is to be cloned. */
export interface CloneWork {
  memoryMiB: number
  /** The golden machine's disk: read whole only where it is copied rather than linked. */
  diskMiB: number
}

/** What is shared: the store's rate for all, and what one client can take of it. Undefined: golden machines lie on each host's own disk. */
export interface StoreRates { bytesPerMs: number, clientBytesPerMs: number }

/** A set of timings. Pure: chance comes from `random` alone, and is drawn the same number of times whatever the numbers are. */
export interface VmTimings {
  readonly name: string
  readonly store: StoreRates | undefined
  /** From the plan until the agent of the clone answers. */
  clone (work: CloneWork, fill: HostFill, random: Random): Step[]
  /** A golden machine's disk is booted at another size and suspended. */
  resize (work: CloneWork, fill: HostFill, random: Random): Step[]
  /** The clone takes on an identity of its own. */
  identity (fill: HostFill, random: Random): Step[]
  /** One configuration action that takes `takesMs` on an idle host; the set's own figure when undefined. */
  action (takesMs: number | undefined, fill: HostFill, random: Random): Step[]
  /** A machine is ended and what it left removed; milliseconds. */
  destroyMs: number
  /** A VMM is found again after a restart of its plant; milliseconds. */
  adoptMs: number
}
