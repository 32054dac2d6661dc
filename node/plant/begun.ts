/** From a golden machine to a machine that runs and knows who it is: a spare where there is one, else a clone. */
import { PlantError, type VmId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { Identity, IdentityTaken, LiveMachine } from '../lines/line.ts'
import { cloned, type CloneComponents } from './clone.ts'
import type { LateHold } from './images/late-disks.ts'
import type { Phases } from './phases.ts'
import { handedOut, type HandOutComponents } from './spares/hand-out.ts'
import type { Spares } from './spares/spares.ts'

export interface BegunComponents extends CloneComponents, HandOutComponents { spares?: Pick<Spares, 'ordered' | 'take' | 'served' | 'room'> }

/** What the order asks for. */
interface Hardware { cpus: number, memoryMiB: number, diskMiB: number }

export interface Begun {
  live: LiveMachine
  taken: IdentityTaken
  /** It was a spare. */
  spare: boolean
  /** Aborted with the caller's signal, and with VM_DIED when the machine dies. */
  alive: AbortSignal
}

interface BegunHooks {
  /** There is a card, and nothing asked by it yet: the guest asks for its address when it takes its identity. Told again for a clone after a spare that was of no use. */
  onCard: (live: LiveMachine) => void
  /** Its console can be had. */
  onRuns: (live: LiveMachine) => void
}

/** Throws as `cloned` and `identify` do; on failure nothing is left. */
export async function begun (request: { vmId: VmId, golden: Golden, hardware: Hardware, identity: Identity }, late: LateHold | undefined, c: BegunComponents, time: Phases, hooks: BegunHooks, signal: AbortSignal): Promise<Begun> {
  const { vmId, golden, hardware: { cpus, memoryMiB, diskMiB }, identity } = request
  // One that was never suspended is booted at the order's size while its disk is coming: of that there are no spares.
  if (golden.hardware.cpus === cpus && golden.hardware.memoryMiB === memoryMiB) c.spares?.ordered(golden)
  const spared = late === undefined ? await handedOut({ vmId, goldenId: golden.goldenId, diskMiB, identity }, c, time, hooks.onCard, signal) : undefined
  let live = spared?.live
  try {
    // The lease has its memory from here on, whatever spares there are.
    await c.spares?.room(signal)
    live ??= await cloned({ vmId, golden: { ...golden, hardware: { ...golden.hardware, cpus, memoryMiB } }, mac: identity.mac, diskMiB }, late, c, time, signal)
    if (spared === undefined) hooks.onCard(live)
    hooks.onRuns(live)
    const alive = AbortSignal.any([signal, deathOf(live)])
    if (spared !== undefined) return { live, taken: spared.taken, spare: true, alive }
    time.begin('identity')
    return { live, taken: await live.identify(identity, alive), spare: false, alive }
  } catch (error) {
    await live?.destroy().catch((cause: unknown) => { c.log.error({ vmId, error: String(cause) }, 'what was made of a machine could not be cleared away') })
    throw error
  }
}

/** Aborted with VM_DIED when the machine dies. */
function deathOf (live: LiveMachine): AbortSignal {
  const dead = new AbortController()
  void live.died.then(({ reason }) => { dead.abort(new PlantError('VM_DIED', { vmId: live.vmId, reason })) })
  return dead.signal
}
