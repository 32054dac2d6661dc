/** What both the tests and the processes they start need. */
import { makeKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import type { Clock, GoldenId, KeyId, LeaseId, Log, PeerId, Signer, VmId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { MachineRecord } from '../../storage/records/records.ts'

export const quietLog: Log = { debug () {}, info () {}, warn () {}, error () {} }

/** A wall clock that stands where it is put. */
export class FakeStandingClock implements Clock {
  ms = 1_000
  nowMs (): number { return this.ms }
  monotonicMs (): number { return this.ms }
  after (): () => void { return () => {} }
}

export function machineRecord (n: number, more: Partial<MachineRecord> = {}): MachineRecord {
  return {
    vmId: n.toString(16).padStart(32, '0') as VmId,
    state: 'running',
    owner: 'owner' as KeyId,
    domain: 'default',
    domainKey: 'owner' as KeyId,
    orderId: `order-${n}`,
    orderDigest: 'd',
    orderSecret: 's',
    handOvers: [],
    name: 'workspace',
    labels: { course: 'phys101' },
    shop: 'shop' as PeerId,
    provisional: false,
    lease: { id: 'lease' as LeaseId, awardedAtMs: 1, cpus: 1, memoryMiB: 256, diskMiB: 512 },
    attributes: { Uid: '1000', MemoryMiB: 256, Ready: true },
    phasesMs: { total: 171.5 },
    createdAtMs: 1,
    changedAtMs: n,
    ...more
  }
}

/** A plant that publishes. */
export const keys = { crypto: new NodeCrypto(), signer: makeKey() as Signer }

/** What a builder says of a golden machine. */
export function descriptionOf (name: string, from?: GoldenId): Omit<Golden, 'goldenId' | 'files' | 'publisher'> {
  return { ...(from !== undefined && { from }), name, os: 'tiny', hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }, lineFingerprint: 'f', actionsDone: [], createdAtMs: 5 }
}
