/**
 * The plant's book of reservations. Pure: ids and times are handed in. Bids hold nothing; an award is checked against what is free now.
 *
 *   (award, if it fits) ──> awarded ──start──> active ──release──> gone
 *                              └──release, or the time to start has run out──> gone
 *
 * Invariant: no award takes the sum of all leases above the capacity, whatever arrives in whatever order. A lease restored from records is a
 * machine that exists: it is booked even where the capacity was lowered since, and nothing is awarded until there is room again.
 */
import { PlantError, type LeaseId, type VmId } from '../../protocols/kit/index.ts'
import type { Need, Reason } from '../../protocols/bid/index.ts'
import type { NetworkId } from '../../protocols/tunnel/types.ts'
import type { Capacity } from './capacity.ts'

export type LeaseState = 'awarded' | 'active'

/** Capacity that is taken for one machine. */
export interface Lease {
  readonly leaseId: LeaseId
  readonly vmId: VmId
  readonly need: Need
  readonly state: LeaseState
  /** Wall-clock time: for records and claims. */
  readonly awardedAtMs: number
  /** Monotonic time at which an awarded lease ends unless its machine has started. */
  readonly startByMs: number
}

export type AwardResult =
  | { kind: 'granted', lease: Lease }
  | { kind: 'refused', reasons: Reason[] }
  /** The machine has a lease here already. */
  | { kind: 'held', lease: Lease }

/** How long a machine may take from its award to the start of its VMM: fetching and verifying a golden machine falls into it. */
export const LEASE_TTL_MS = 120_000

/** The plant's reservations; see the head of this file for a lease's life and the invariant. */
export class Ledger {
  readonly capacity: Readonly<Capacity>
  readonly #leaseTtlMs: number
  readonly #leases = new Map<LeaseId, Lease>()
  readonly #byVmId = new Map<VmId, LeaseId>()
  /** How many machines are on each network; one that is named here is one of the plant's. An id is of one domain only. */
  readonly #networks = new Map<NetworkId, number>()
  readonly #used = { cpus: 0, memoryMiB: 0, diskMiB: 0, machines: 0 }

  constructor (capacity: Capacity, init: { leaseTtlMs?: number } = {}) {
    this.capacity = { ...capacity }
    this.#leaseTtlMs = init.leaseTtlMs ?? LEASE_TTL_MS
  }

  get leaseTtlMs (): number { return this.#leaseTtlMs }

  /** What is taken by leases. */
  used (): Capacity { return { ...this.#used, networks: this.#networks.size } }

  /** What can still be awarded; never below 0. */
  free (): Capacity {
    const used = this.used()
    const left = (name: keyof Capacity): number => Math.max(0, this.capacity[name] - used[name])
    return { cpus: left('cpus'), memoryMiB: left('memoryMiB'), diskMiB: left('diskMiB'), machines: left('machines'), networks: left('networks') }
  }

  /** Those of a machine's networks that the plant has no machine of yet. */
  fresh (networks: readonly NetworkId[]): NetworkId[] { return [...new Set(networks)].filter((id) => !this.#networks.has(id)) }

  leases (): Lease[] { return [...this.#leases.values()] }

  lease (leaseId: LeaseId): Lease | undefined { return this.#leases.get(leaseId) }

  leaseOf (vmId: VmId): Lease | undefined {
    const leaseId = this.#byVmId.get(vmId)
    return leaseId === undefined ? undefined : this.#leases.get(leaseId)
  }

  /** All that is short for this machine now; empty when it fits. Holds nothing. */
  check (need: Need): Reason[] {
    const { free, capacity } = { free: this.free(), capacity: this.capacity }
    const reasons: Reason[] = []
    for (const { name, code } of SIZES) {
      // Written so that a size that is no number is short too.
      if (!(need[name] <= free[name])) reasons.push(shortage(code, name, need[name], free[name], capacity[name]))
    }
    if (free.machines < 1) reasons.push({ code: 'MACHINES_FULL', clause: 'machines', have: 0, need: 1, waitHelps: capacity.machines >= 1 })
    const fresh = this.fresh(need.networks).length
    if (fresh > free.networks) reasons.push({ code: 'NETWORKS_FULL', clause: 'network', have: free.networks, need: fresh, waitHelps: capacity.networks >= new Set(need.networks).size })
    return reasons
  }

  /** Reserves, if it fits now. A machine has one lease: asked again, the one it has is named. */
  award (request: { leaseId: LeaseId, vmId: VmId, need: Need, nowMs: number, wallMs: number }): AwardResult {
    const held = this.leaseOf(request.vmId)
    if (held !== undefined) return { kind: 'held', lease: held }
    const reasons = this.check(request.need)
    if (reasons.length > 0) return { kind: 'refused', reasons }
    const { leaseId, vmId, need, nowMs, wallMs } = request
    return { kind: 'granted', lease: this.#book({ leaseId, vmId, need, state: 'awarded', awardedAtMs: wallMs, startByMs: nowMs + this.#leaseTtlMs }) }
  }

  /** Books the leases of machines that exist, after a restart; those not started get the full time once more (monotonic time began anew). */
  restore (leases: ReadonlyArray<{ leaseId: LeaseId, vmId: VmId, need: Need, awardedAtMs: number, started: boolean }>, nowMs: number): void {
    for (const { leaseId, vmId, need, awardedAtMs, started } of leases) {
      this.#book({ leaseId, vmId, need, awardedAtMs, state: started ? 'active' : 'awarded', startByMs: nowMs + this.#leaseTtlMs })
    }
  }

  /** The machine starts: from here on its lease lasts as long as the machine. False when the lease has ended, or its time is over and `expire` will end it. Idempotent. */
  start (leaseId: LeaseId, nowMs: number): boolean {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined || (lease.state === 'awarded' && lease.startByMs <= nowMs)) return false
    this.#leases.set(leaseId, { ...lease, state: 'active' })
    return true
  }

  /** The machine is gone, or will not be made. What was free stays so when asked twice. */
  release (leaseId: LeaseId): Lease | undefined {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return undefined
    this.#leases.delete(leaseId)
    this.#byVmId.delete(lease.vmId)
    this.#add(lease.need, -1)
    return lease
  }

  /** Ends the leases whose machines did not start in time, and names them. */
  expire (nowMs: number): Lease[] {
    return this.leases().filter((lease) => lease.state === 'awarded' && lease.startByMs <= nowMs).flatMap(({ leaseId }) => this.release(leaseId) ?? [])
  }

  #book (lease: Lease): Lease {
    if (this.#leases.has(lease.leaseId) || this.#byVmId.has(lease.vmId)) {
      throw new PlantError('INTERNAL', { problem: 'booked twice', leaseId: lease.leaseId, vmId: lease.vmId })
    }
    this.#leases.set(lease.leaseId, lease)
    this.#byVmId.set(lease.vmId, lease.leaseId)
    this.#add(lease.need, 1)
    return lease
  }

  #add (need: Need, sign: 1 | -1): void {
    for (const { name } of SIZES) this.#used[name] += sign * need[name]
    this.#used.machines += sign
    for (const id of new Set(need.networks)) {
      const machines = (this.#networks.get(id) ?? 0) + sign
      if (machines > 0) this.#networks.set(id, machines)
      else this.#networks.delete(id)
    }
  }
}

const SIZES = [
  { name: 'cpus', code: 'CPUS_SHORT' },
  { name: 'memoryMiB', code: 'RAM_SHORT' },
  { name: 'diskMiB', code: 'DISK_SHORT' }
] as const

function shortage (code: string, name: 'cpus' | 'memoryMiB' | 'diskMiB', need: number, have: number, capacity: number): Reason {
  const reason = { code, clause: `hardware.${name}`, have, need, waitHelps: need <= capacity }
  // A machine of nothing is no machine: then no change of the order would do.
  return have < 1 ? reason : { ...reason, smallestChange: { attribute: `hardware.${name}`, from: need, to: have } }
}
