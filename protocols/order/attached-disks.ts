/**
 * Disks that an order's host actions attach. Their sizes are in the order, so that they are part of what a plant bids and reserves: an action
 * must not get round the lease.
 */
import { DISK_MIB_MAX } from './constants.ts'
import type { Action, Order } from './order.ts'
import { pathText, type Path } from './problems.ts'

/** The built-in host action that attaches an empty disk: `with: {sizeMiB: "64"}`. */
export const ATTACH_DISK = 'attach-disk'

/** What `with.sizeMiB` may be, for people. */
export const ATTACHED_MIB_ALLOWED = `a whole number of MiB in quotes, "1" to "${DISK_MIB_MAX}"`

/** The size that an attach-disk action asks for; undefined when what it says is none. */
export function attachedMiB (args: Readonly<Record<string, unknown>> | undefined): number | undefined {
  const text = args?.['sizeMiB']
  return typeof text === 'string' && /^[1-9]\d{0,9}$/.test(text) && Number(text) <= DISK_MIB_MAX ? Number(text) : undefined
}

/** A disk that an order may attach, and the field that says its size. */
export interface AttachedDisk { sizeMiB: number, attribute: string }

/** Every disk that the actions of an order attach, those of error sub-graphs included: any of them may be run. */
export function attachedDisks (order: Order): AttachedDisk[] {
  return disksOf(order.software.actions, ['software', 'actions'])
}

/** What the disks of an order take: the system's and those attached. */
export function diskMiBOf (order: Order): number {
  return attachedDisks(order).reduce((sum, { sizeMiB }) => sum + sizeMiB, order.hardware.diskMiB)
}

function disksOf (actions: readonly Action[], path: Path): AttachedDisk[] {
  return actions.flatMap((action, index) => {
    const sizeMiB = action.run === 'host' && action.use === ATTACH_DISK ? attachedMiB(action.with) : undefined
    return [
      ...(sizeMiB === undefined ? [] : [{ sizeMiB, attribute: pathText([...path, index, 'with', 'sizeMiB']) }]),
      ...disksOf(action.onError?.actions ?? [], [...path, index, 'onError', 'actions'])
    ]
  })
}
