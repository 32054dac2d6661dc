/** Golden machines and order documents of a scenario, as the daemon knows them. */
import { actionDigest } from '../../protocols/order/digest.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { toHex, type Crypto } from '../../protocols/kit/index.ts'
import { goldenIdOf } from '../../protocols/order/golden-schema.ts'
import type { GoldenSpec, MachineSpec } from '../scenario/index.ts'
import { START_WALL_MS } from './clock.ts'
import { FINGERPRINT, SIM_ISA } from './host/line.ts'

/** The script of a scenario's action: its name is all there is to it. */
export function scriptOf (actionId: string): string { return `scenario-action ${actionId}` }

/** A golden machine made up from what a scenario says of it. Equal ones have equal ids on every host. */
export function goldenOf (spec: GoldenSpec, crypto: Crypto): Golden {
  const { name, cpus, memoryMiB, diskMiB } = spec
  const file = (part: string, bytes: number): Golden['files'][number] => ({ name: part, bytes, sha256: toHex(crypto.sha256(new TextEncoder().encode(`${name}/${part}`))) })
  const golden: Omit<Golden, 'goldenId'> = {
    name,
    os: spec.os ?? name,
    hardware: { isa: SIM_ISA, cpus, memoryMiB, diskMiB },
    lineFingerprint: FINGERPRINT,
    actionsDone: spec.actionsDone.map((id) => ({ id, digest: actionDigest({ run: 'guest', script: scriptOf(id), parameters: {}, files: {} }), outputs: {} })),
    files: [file('disk', diskMiB * 2 ** 18), file('ram', memoryMiB * 2 ** 20)],
    createdAtMs: START_WALL_MS
  }
  return { goldenId: goldenIdOf(golden), ...golden }
}

/** The order document for a machine of a scenario. */
export function documentOf (machine: MachineSpec, name: string): Record<string, unknown> {
  const { os, cpus, memoryMiB, diskMiB, domain, network, actions, requirements, rank } = machine
  return {
    apiVersion: 'plantmesh/v1',
    kind: 'Machine',
    metadata: { name },
    domain,
    hardware: { cpus, memoryMiB, diskMiB },
    ...(network !== undefined && { network: { name: network } }),
    software: { os, actions: actions.map(({ id, after }) => ({ id, ...(after.length > 0 && { after }), run: 'guest', script: scriptOf(id) })) },
    requirements,
    ...(rank !== undefined && { rank })
  }
}

/** How long each script of a machine takes, where the scenario says so. */
export function actionTimes (machine: MachineSpec): Map<string, number> {
  return new Map(machine.actions.flatMap(({ id, takesMs }) => takesMs === undefined ? [] : [[scriptOf(id), takesMs] as const]))
}
