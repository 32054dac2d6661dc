/**
 * Makes one machine out of an order (VMPlants 3.2): plan, clone, identity, configure. On failure nothing of it is left but the error.
 */
import { PlantError, asPlantError, type Clock, type KeyId, type Limiter, type Log, type Random, type VmId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { Outputs, type DroppedOutputs } from '../../protocols/order/index.ts'
import { networksOf, type Action, type Order } from '../../protocols/order/order.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { IdentityTaken, LiveMachine, MachineStats, ProductionLine } from '../lines/line.ts'
import { configure, type ActionRunner, type Configured } from './configure.ts'
import { runHostAction } from './host-actions.ts'
import { guestAddressed } from './guest-addressed.ts'
import { hostNameOf, identityOf } from './identity.ts'
import { orAborted } from './or-aborted.ts'
import { PHASE_SHARES, type Phases } from './phases.ts'
import type { Figures, LearnedMs } from './cost/index.ts'
import { begun } from './begun.ts'
import { progressText, type ImageProgress } from './images/fetcher.ts'
import type { MachineNetworks, OnNetwork } from './networks.ts'
import type { LateHold } from './images/late-disks.ts'
import type { MeshGoldens } from './images/mesh-goldens.ts'
import { planPatiently } from './images/plan-in-mesh.ts'
import type { Production } from './planner.ts'
import type { Resizer } from './resizer.ts'
import type { Spares } from './spares/spares.ts'
import type { TemplateDesk } from './templates/template-desk.ts'

export interface MakeComponents {
  clock: Clock
  random: Random
  log: Log
  line: ProductionLine
  warehouse: Warehouse
  templates: Pick<TemplateDesk, 'facts' | 'used' | 'named' | 'removedVersion'>
  /** What other plants have; absent where nothing is fetched. */
  images?: Pick<MeshGoldens, 'choices' | 'confirmed' | 'isYoung' | 'fetch' | 'used' | 'isFamily' | 'late'>
  /** How long things take here. */
  figures: () => Figures
  /** Creations at work at once: the host's cores (issue: limited, not serialised). */
  atOnce: Limiter
  resizer: Resizer
  /** Machines that are made before they are ordered; absent where none are. */
  spares?: Pick<Spares, 'ordered' | 'take' | 'served' | 'room'>
  /** Puts machines on their networks; absent where nothing carries frames. */
  networks?: Pick<MachineNetworks, 'attach' | 'again'>
  media: (name: string) => Promise<string | undefined>
}

export interface MakeHooks {
  onProgress: (step: string, share: number) => void
  /** The golden machine could not be fetched: nothing of the machine was begun, and another plant may make it. */
  onFetchFailed: () => void
  /** Measures where the time goes, also of a creation that fails. */
  time: Phases
  /** Told before the clone exists, so that a crash finds what it was made from. */
  onPlanned: (made: { golden: Golden, plan: Production }) => void
  /** Told as soon as the clone runs: its console can be had from here on. How it ends is told by the call's own end. */
  onCloned: (live: LiveMachine) => void
  /** How long things took, for the cost model. */
  learn: (figure: LearnedMs, ms: number) => void
}

/** What is to be made, and for whom. */
export interface MachineOrder { vmId: VmId, order: Order, owner: KeyId, domainKey: KeyId }

/** A machine that was made. */
export interface Made {
  live: LiveMachine
  golden: Golden
  actionsRun: string[]
  actionsMended: string[]
  outputs: Record<string, string>
  outputsDropped: DroppedOutputs
  identity: IdentityTaken & { mac: string, hostName: string }
  networks: OnNetwork[]
  stats: MachineStats
  unpin: () => void
}

/** Golden machines that are fetched for one order: what was fetched may be removed, or something better be told of, before its turn comes. */
const FETCHES_MAX = 3

/** Throws GOLDEN_*, MANIFEST_INVALID, FETCH_STALLED, VM_*, IDENTITY_FAILED, ACTION_*, DISK_FULL, or the signal's reason. */
export async function makeMachine (machine: MachineOrder, c: MakeComponents, hooks: MakeHooks, signal: AbortSignal): Promise<Made> {
  const { order, owner, domainKey } = machine
  const { time } = hooks
  hooks.onProgress('waiting for a free core', 0.01)
  let late: LateHold | undefined
  try {
    for (let fetches = 0; ; fetches++) {
      // Nobody waits for a core behind a fetch, which needs none.
      const step = await c.atOnce.run(async () => {
        time.begin('plan')
        const chosen = await planPatiently(order, { owner, domainKey }, { ...c, figures: c.figures() }, signal)
        if (!chosen.fits) throw new PlantError('GOLDEN_UNKNOWN', { os: order.software.os, refusal: chosen.refusal })
        const isStartable = late?.goldenId === chosen.golden.goldenId && c.images?.late?.startsAt(chosen) === true
        if (chosen.here || !isStartable) return chosen.here ? { made: await makeFrom(chosen, machine, c, hooks, signal) } : { fetch: chosen }
        const made = await makeFrom(chosen, machine, c, hooks, signal, late)
        late = undefined // It goes with the machine.
        return { made }
      }, signal)
      if (step.made !== undefined) return step.made
      if (fetches >= FETCHES_MAX) throw new PlantError('GOLDEN_UNKNOWN', { os: order.software.os, problem: 'what was fetched went again before it was used' })
      time.begin('fetch')
      late?.release()
      late = undefined
      late = await fetched(step.fetch, c, hooks, signal)
    }
  } finally {
    late?.release()
  }
}

/** Makes it from a golden machine that is here, all of it or all but its disk; what is held of that goes with the machine. */
async function makeFrom (chosen: Production, machine: MachineOrder, c: MakeComponents, hooks: MakeHooks, signal: AbortSignal, late?: LateHold): Promise<Made> {
  const { vmId, order, owner } = machine
  const { time } = hooks
  let golden = chosen.golden
  const resize = chosen.resize && late === undefined
  if (resize) {
    time.begin('resize')
    golden = await c.resizer.resized(golden, order.hardware, signal)
  }
  time.begin('fetch')
  const pinned = c.warehouse.pin(golden.goldenId)
  const unpin = (): void => {
    late?.release()
    pinned()
  }
  let live: LiveMachine | undefined
  try {
    hooks.onPlanned({ golden, plan: chosen })
    c.images?.used(golden.goldenId)
    c.templates.used(golden.goldenId)
    const { cpus, memoryMiB, diskMiB } = order.hardware
    let joining: Promise<OnNetwork[]> | undefined
    const onCard = (of: LiveMachine): void => {
      joining = c.networks?.attach(machine, of, signal)
      joining?.catch(() => {}) // Told below, unless something else fails first.
    }
    const identity = identityOf(vmId, order.metadata.name ?? '', owner, c.random, networksOf(order).length > 0 && c.networks !== undefined)
    const { taken, spare, alive, ...running } = await begun({ vmId, golden, hardware: { cpus, memoryMiB, diskMiB }, identity }, late, c, time, { onCard, onRuns: hooks.onCloned }, signal)
    live = running.live
    if (joining !== undefined && networksOf(order).length > 0) time.begin('network')
    const networks = await orAborted(joining ?? Promise.resolve([]), alive)
    if (order.software.actions.length > chosen.skipped.length) await guestAddressed(live, networks.flatMap(({ station }) => station.addresses), c.log, alive)
    time.begin('configure')
    const { actionsRun, actionsMended, ...configured } = await configureMachine(order, chosen, live, c, hooks, alive)
    time.end()
    void c.images?.late?.looked(golden.goldenId, live)
    const outputs = new Outputs()
    outputs.add(chosen.outputs)
    outputs.add(configured.outputs, configured.outputsDropped)
    if (outputs.dropped.count > 0) c.log.warn({ vmId, ...outputs.dropped }, 'outputs of a machine were left out')
    // From a served disk it takes as long as the link; behind a spare that was of no use, longer than it should.
    if (spare) hooks.learn('spareMs', (time.ms['spare'] ?? 0) + (time.ms['identity'] ?? 0))
    else if (late === undefined && time.ms['spare'] === undefined) hooks.learn('cloneMs', (time.ms['clone'] ?? 0) + (time.ms['identity'] ?? 0))
    if (resize) hooks.learn('bootMs', time.ms['resize'] ?? 0)
    return {
      live,
      golden,
      unpin,
      actionsRun,
      actionsMended,
      outputs: outputs.kept,
      outputsDropped: outputs.dropped,
      networks: networks.map(({ name, station }) => ({ name, station })),
      identity: { ...taken, mac: live.mac, hostName: hostNameOf(order.metadata.name ?? '', vmId) },
      stats: await live.stats()
    }
  } catch (error) {
    await live?.destroy().catch((cause: unknown) => { c.log.error({ vmId, error: String(cause) }, 'what was made of a machine could not be cleared away') })
    unpin()
    throw error
  }
}

/** Resolves once the golden machine is on the shelf here, or, with what is held of its disk, all that machines start from. */
async function fetched (chosen: Production, { images }: MakeComponents, hooks: MakeHooks, signal: AbortSignal): Promise<LateHold | undefined> {
  const { golden } = chosen
  const onProgress = (progress: ImageProgress): void => {
    const share = progress.totalBytes === 0 ? 1 : progress.bytes / progress.totalBytes
    hooks.onProgress(progressText(progress), PHASE_SHARES.fetch + FETCH_SHARE * share)
  }
  try {
    const late = images?.late
    // Another size of what was suspended is booted from the whole disk.
    if (late?.startsAt(chosen) === true && golden.files.some(({ name }) => name === late.file)) return await late.startable(golden.goldenId, onProgress, signal)
    await images?.fetch(golden.goldenId, onProgress, signal)
    return undefined
  } catch (cause) {
    signal.throwIfAborted()
    hooks.onFetchFailed()
    const { code, details } = asPlantError(cause)
    throw code === 'FETCH_STALLED' ? cause : new PlantError('FETCH_STALLED', { goldenId: golden.goldenId, name: golden.name, ...details, reason: code }, { cause })
  }
}

/** Fetching takes most of a creation that has to: progress goes up to here, and stays while the phases after it pass their own shares. */
const FETCH_SHARE = 0.5

async function configureMachine (order: Order, chosen: Production, live: LiveMachine, c: MakeComponents, hooks: MakeHooks, signal: AbortSignal): Promise<Configured> {
  const channel = live.channel(order.software.channel)
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
    signal,
    {
      onStart: (action) => { hooks.onProgress(`configure: ${action.id}`, PHASE_SHARES.configure + (1 - PHASE_SHARES.configure) * ended / total) },
      onEnd: () => { ended++ }
    }
  )
}

/** Ends with ACTION_TIMEOUT or the signal's reason when the work does not end before; the work is told to stop by its signal. */
export async function timed<T> (action: Action, clock: Clock, signal: AbortSignal, work: (stop: AbortSignal) => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const over = new AbortController()
  const cancel = clock.after(action.timeoutMs, () => { over.abort(new PlantError('ACTION_TIMEOUT', { action: action.id, timeoutMs: action.timeoutMs })) })
  const stop = AbortSignal.any([signal, over.signal])
  try {
    return await orAborted(work(stop), stop)
  } finally {
    cancel()
  }
}

/** Configuration mostly waits (packages, daemons starting): some actions may overlap even on one processor. */
const ACTIONS_AT_ONCE_PER_CPU = 4

async function runAction (action: Action, live: LiveMachine, channel: ReturnType<LiveMachine['channel']>, c: MakeComponents, signal: AbortSignal): ReturnType<ActionRunner> {
  if (action.run === 'host') return { status: 0, outputs: await timed(action, c.clock, signal, async (stop) => runHostAction(action, { machine: live, media: c.media }, stop)), outputTail: '' }
  try {
    return await channel.run({ script: action.script ?? '', parameters: action.parameters, files: action.files, timeoutMs: action.timeoutMs }, signal)
  } catch (cause) {
    const error = asPlantError(cause)
    throw new PlantError(error.code, { ...error.details, action: action.id }, { cause })
  }
}
