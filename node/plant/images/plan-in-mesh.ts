/** Plans an order over what is here and what the mesh has; what is chosen elsewhere has had its manifest opened. */
import type { Clock, GoldenId } from '../../../protocols/kit/index.ts'
import type { Order } from '../../../protocols/order/order.ts'
import type { Warehouse } from '../../../storage/warehouse/warehouse.ts'
import type { ProductionLine } from '../../lines/line.ts'
import type { Figures } from '../cost/index.ts'
import type { Choice } from '../eligible.ts'
import { orAborted } from '../or-aborted.ts'
import { plan, type Plan } from '../planner.ts'
import { soughtNames, type Asker, type TemplateFacts } from '../resolve.ts'
import type { MeshGoldens } from './mesh-goldens.ts'

export interface PlanInMeshComponents {
  line: Pick<ProductionLine, 'isa' | 'fingerprint'>
  warehouse: Pick<Warehouse, 'list'>
  images?: Pick<MeshGoldens, 'choices' | 'confirmed' | 'isYoung'>
  clock: Clock
  templates: { facts: TemplateFacts }
  figures: Figures
}

/** Each golden machine elsewhere is confirmed at most once, so this ends. Throws the signal's reason only. */
export async function planInMesh (order: Order, asker: Asker, c: PlanInMeshComponents, signal: AbortSignal): Promise<Plan> {
  const { images, line, figures, templates: { facts } } = c
  let remote: readonly Choice[] = await images?.choices(order, { names: soughtNames(order.software.os, asker, facts), domainKey: asker.domainKey }, signal) ?? []
  const sure = new Set<GoldenId>()
  for (;;) {
    const chosen = plan(order, c.warehouse.list(), line.fingerprint, { hostIsa: line.isa, remote, figures, ...asker, templates: facts })
    if (images === undefined || !chosen.fits || chosen.here || sure.has(chosen.golden.goldenId)) return chosen
    const { goldenId } = chosen.golden
    sure.add(goldenId)
    const confirmed = await images.confirmed({ golden: chosen.golden, missingBytes: chosen.fetchBytes }, signal)
    remote = remote.flatMap((choice) => choice.golden.goldenId === goldenId ? confirmed ?? [] : choice)
  }
}

/** How often a plant that has just started looks again whether the mesh has what it is to make a machine of. */
const LOOK_AGAIN_MS = 250

/** As `planInMesh`, for a machine that is to be made: a plant that has just started waits until it knows what the mesh has. */
export async function planPatiently (order: Order, asker: Asker, c: PlanInMeshComponents, signal: AbortSignal): Promise<Plan> {
  for (;;) {
    const chosen = await planInMesh(order, asker, c, signal)
    if (chosen.fits || c.images?.isYoung() !== true) return chosen
    const again = Promise.withResolvers<void>()
    const cancel = c.clock.after(LOOK_AGAIN_MS, again.resolve)
    await orAborted(again.promise, signal).finally(cancel)
  }
}
