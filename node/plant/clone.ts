/** The step from a golden machine to a machine that runs: from files that are here, or, while its disk is still coming, from one that is served. */
import { asPlantError, type Log } from '../../protocols/kit/index.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { CloneRequest, LiveMachine, ProductionLine } from '../lines/line.ts'
import type { LateHold } from './images/late-disks.ts'
import type { Phases } from './phases.ts'

export interface CloneComponents {
  log: Log
  line: Pick<ProductionLine, 'clone'>
  warehouse: Pick<Warehouse, 'verified'>
}

/** Over a link that is too slow to start from, the disk is waited for. Throws what the warehouse and the line do, or the signal's reason. */
export async function cloned (request: Omit<CloneRequest, 'goldenDir' | 'disk'>, late: LateHold | undefined, c: CloneComponents, time: Phases, signal: AbortSignal): Promise<LiveMachine> {
  if (late !== undefined) {
    try {
      const { goldenDir, socketPath } = await late.serve(signal)
      time.begin('clone')
      const live = await c.line.clone({ ...request, goldenDir, disk: { socketPath } }, signal)
      late.runs(live)
      return live
    } catch (error) {
      signal.throwIfAborted()
      c.log.warn({ vmId: request.vmId, code: asPlantError(error).code }, 'a machine could not be started while its disk was coming; it is when all has come')
    }
    time.begin('fetch')
    await late.whole(signal)
    late.release()
  }
  const goldenDir = await c.warehouse.verified(request.golden.goldenId, signal)
  time.begin('clone')
  return c.line.clone({ ...request, goldenDir }, signal)
}
