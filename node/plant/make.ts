/**
 * Makes one machine out of an order (VMPlants 3.2): plan, clone, identity, configure. On failure nothing of it is left but the error.
 */
import { PlantError, asPlantError, type Clock, type KeyId, type Limiter, type Log, type Random, type VmId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { sortOutputs } from '../../protocols/order/index.ts'
import type { Action, Order } from '../../protocols/order/order.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { IdentityTaken, LiveMachine, MachineStats, ProductionLine } from '../lines/line.ts'
import { configure } from './configure.ts'
import { runHostAction } from './host-actions.ts'
import { hostNameOf, identityOf } from './identity.ts'
import { PHASE_SHARES, phases } from './phases.ts'
import { plan, type Production } from './planner.ts'
import type { Resizer } from './resizer.ts'

export interface MakeComponents {
  clock: Clock
  random: Random
  log: Log
  line: ProductionLine
  warehouse: Warehouse
  /** Creations at work at once: the host's cores (issue: limited, not serialised). */
  atOnce: Limiter
  resizer: Resizer
  media: (name: string) => Promise<string | undefined>
}

export interface MakeHooks {
  onProgress: (step: string, share: number) => void
  /** Told before the clone exists, so that a crash finds what it was made from. */
  onPlanned: (made: { golden: Golden, plan: Production }) => void
  /** How long things took, for the cost model. */
  learn: (figure: 'cloneMs' | 'bootMs' | 'actionMs', ms: number) => void
}

/** What is to be made, and for whom. */
export interface MachineOrder { vmId: VmId, order: Order, domainKey: KeyId }

/** A machine that was made. */
export interface Made {
  live: LiveMachine
  golden: Golden
  actionsDone: string[]
  actionsRun: string[]
  outputs: Record<string, string>
  identity: IdentityTaken & { mac: string, hostName: string }
  stats: MachineStats
  phasesMs: Record<string, number>
  unpin: () => void
}

/** Throws GOLDEN_*, VM_*, IDENTITY_FAILED, ACTION_*, DISK_FULL, or the signal's reason. */
export async function makeMachine ({ vmId, order, domainKey }: MachineOrder, c: MakeComponents, hooks: MakeHooks, signal: AbortSignal): Promise<Made> {
  hooks.onProgress('waiting for a free core', 0.01)
  return c.atOnce.run(async () => {
    const time = phases(c.clock, (phase) => { hooks.onProgress(phase, PHASE_SHARES[phase]) })
    time.begin('plan')
    const chosen = plan(order, c.warehouse.list(), c.line.fingerprint, c.line.isa, domainKey)
    if (!chosen.fits) throw new PlantError('GOLDEN_UNKNOWN', { os: order.software.os, refusal: chosen.refusal })
    let golden = chosen.golden
    if (chosen.resize) {
      time.begin('resize')
      golden = await c.resizer.resized(golden, order.hardware, signal)
    }
    time.begin('fetch')
    const unpin = c.warehouse.pin(golden.goldenId)
    let live: LiveMachine | undefined
    try {
      hooks.onPlanned({ golden, plan: chosen })
      const goldenDir = await c.warehouse.verified(golden.goldenId, signal)
      time.begin('clone')
      const identity = identityOf(vmId, order.metadata.name ?? '', c.random)
      live = await c.line.clone({ vmId, golden, goldenDir, mac: identity.mac, diskMiB: order.hardware.diskMiB }, signal)
      time.begin('identity')
      const taken = await live.identify(identity, signal)
      time.begin('configure')
      const configured = await configureMachine(order, chosen, live, c, hooks, signal)
      time.end()
      hooks.learn('cloneMs', (time.ms['clone'] ?? 0) + (time.ms['identity'] ?? 0))
      if (chosen.resize) hooks.learn('bootMs', time.ms['resize'] ?? 0)
      return {
        live,
        golden,
        unpin,
        actionsDone: chosen.skipped.map((action) => action.id),
        actionsRun: configured.actionsRun,
        outputs: sortOutputs({ ...chosen.outputs, ...configured.outputs }).kept,
        identity: { ...taken, mac: identity.mac, hostName: hostNameOf(order.metadata.name ?? '', vmId) },
        stats: await live.stats(),
        phasesMs: time.ms
      }
    } catch (error) {
      await live?.destroy().catch((cause: unknown) => { c.log.error({ vmId, error: String(cause) }, 'what was made of a machine could not be cleared away') })
      unpin()
      throw error
    }
  }, signal)
}

async function configureMachine (order: Order, chosen: Production, live: LiveMachine, c: MakeComponents, hooks: MakeHooks, signal: AbortSignal): Promise<{ actionsRun: string[], outputs: Record<string, string> }> {
  const channel = live.channel(order.software.channel)
  const dead = new AbortController()
  void live.died.then(({ reason }) => { dead.abort(new PlantError('VM_DIED', { vmId: live.vmId, reason })) })
  const total = order.software.actions.length
  let ended = chosen.skipped.length
  return configure(
    { actions: order.software.actions, done: new Set(chosen.skipped.map((action) => action.id)), concurrencyMax: ACTIONS_AT_ONCE_PER_CPU * order.hardware.cpus },
    async (action, stop) => {
      const sinceMs = c.clock.monotonicMs()
      const result = await runAction(action, live, channel, c, stop)
      hooks.learn('actionMs', c.clock.monotonicMs() - sinceMs)
      return result
    },
    AbortSignal.any([signal, dead.signal]),
    {
      onStart: (action) => { hooks.onProgress(`configure: ${action.id}`, PHASE_SHARES.configure + (1 - PHASE_SHARES.configure) * ended / total) },
      onEnd: () => { ended++ }
    }
  )
}

/** Ends with ACTION_TIMEOUT or the signal's reason when the work does not end before. */
async function timed<T> (action: Action, c: MakeComponents, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const over = Promise.withResolvers<never>()
  const onAbort = (): void => { over.reject(signal.reason) }
  const cancel = c.clock.after(action.timeoutMs, () => { over.reject(new PlantError('ACTION_TIMEOUT', { action: action.id, timeoutMs: action.timeoutMs })) })
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work(), over.promise])
  } finally {
    cancel()
    signal.removeEventListener('abort', onAbort)
  }
}

/** Configuration mostly waits (packages, daemons starting): some actions may overlap even on one processor. */
const ACTIONS_AT_ONCE_PER_CPU = 4

async function runAction (action: Action, live: LiveMachine, channel: ReturnType<LiveMachine['channel']>, c: MakeComponents, signal: AbortSignal): Promise<{ status: number, outputs: Record<string, string>, outputTail: string }> {
  if (action.run === 'host') return { status: 0, outputs: await timed(action, c, signal, async () => runHostAction(action, { machine: live, media: c.media })), outputTail: '' }
  try {
    return await channel.run({ script: action.script ?? '', parameters: action.parameters, files: action.files, timeoutMs: action.timeoutMs }, signal)
  } catch (cause) {
    const error = asPlantError(cause)
    throw new PlantError(error.code, { ...error.details, action: action.id }, { cause })
  }
}
