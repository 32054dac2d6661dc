/** The step from a spare to an order's machine: it runs and has taken its identity, or the order is served otherwise. */
import { PlantError, asPlantError, type Clock, type GoldenId, type Log, type VmId } from '../../../protocols/kit/index.ts'
import type { Identity, IdentityTaken, LiveMachine } from '../../lines/line.ts'
import type { Phases } from '../phases.ts'
import type { Spares } from './spares.ts'

export interface HandOutComponents {
  clock: Clock
  log: Log
  spares?: Pick<Spares, 'take' | 'served' | 'room'>
}

/** A spare answers within 30 ms; one that does not within this is given up, for a clone takes less. */
const ANSWERS_WITHIN_MS = 3_000

/** Undefined when there is none, or none that answers: then a clone is made, and nothing is left of the spare. Throws the signal's reason. */
export async function handedOut (request: { vmId: VmId, goldenId: GoldenId, diskMiB: number, identity: Identity }, c: HandOutComponents, time: Phases, onCard: (live: LiveMachine) => void, signal: AbortSignal): Promise<{ live: LiveMachine, taken: IdentityTaken } | undefined> {
  const { vmId, goldenId, diskMiB, identity } = request
  const spare = c.spares?.take(goldenId)
  if (spare === undefined) return undefined
  time.begin('spare')
  const late = new AbortController()
  const cancel = c.clock.after(ANSWERS_WITHIN_MS, () => { late.abort(new PlantError('AGENT_SILENT', { waitedMs: ANSWERS_WITHIN_MS })) })
  const stop = AbortSignal.any([signal, late.signal])
  let live: LiveMachine | undefined
  try {
    live = await spare.machine.handOut({ vmId, diskMiB }, stop)
    onCard(live)
    time.begin('identity')
    const taken = await live.identify({ ...identity, mac: live.mac }, stop)
    c.spares?.served(goldenId, true)
    return { live, taken }
  } catch (error) {
    await live?.destroy()
    signal.throwIfAborted()
    c.spares?.served(goldenId, false)
    c.log.warn({ vmId, goldenId, code: asPlantError(error).code, error: String(error) }, 'a spare was of no use; the machine is cloned')
    return undefined
  } finally {
    cancel()
    spare.unpin() // Whoever makes the machine has pinned it too.
  }
}
