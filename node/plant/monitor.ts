/** Monitoring: each machine's memory, disk and CPU, read again and again. */
import type { Clock, Log, VmId } from '../../protocols/kit/index.ts'
import type { LiveMachine, MachineStats } from '../lines/line.ts'

/** How often monitoring reads each machine's memory and disk. */
const STATS_EVERY_MS = 5_000

/** Begins at once; returns what stops it. `atRound` is called with each round and may throw: it is tried again with the next. */
export function monitor (c: { clock: Clock, log: Log, live: ReadonlyMap<VmId, { machine: LiveMachine, stats?: MachineStats }>, atRound: () => void }): () => void {
  let stopped = false
  let cancel = (): void => {}
  const round = async (): Promise<void> => {
    try {
      c.atRound()
    } catch (error) {
      c.log.warn({ error: String(error) }, 'old records cannot be removed; tried again')
    }
    for (const [vmId, entry] of c.live) {
      try {
        entry.stats = await entry.machine.stats()
      } catch {
        c.log.debug({ vmId }, 'no statistics: the machine is going') // Its death is told by `died`.
      }
    }
    if (!stopped) cancel = c.clock.after(STATS_EVERY_MS, () => { void round() })
  }
  void round()
  return () => {
    stopped = true
    cancel()
  }
}
