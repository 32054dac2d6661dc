/** The default: an estimate of the milliseconds until the machine is done. */
import type { CostItem } from '../../../protocols/bid/index.ts'
import type { CostModel } from './model.ts'

export function timeToDoneCost (): CostModel {
  return {
    name: 'time-to-done',
    everyMachineOnNetwork: false,
    price ({ plan, load, learned }) {
      const items: CostItem[] = [plan.spare === true ? { item: 'spare', cost: round(learned.spareMs), why: 'ms to hand out a spare, as it took here' } : { item: 'clone', cost: round(learned.cloneMs), why: 'ms, as clones took here' }]
      if (plan.fetchBytes > 0) items.push({ item: 'fetch', cost: round(plan.fetchBytes / learned.fetchBytesPerMs), why: `ms for ${plan.fetchBytes} bytes at ${round(learned.fetchBytesPerMs)} bytes/ms` })
      if (plan.resize) items.push({ item: 'boot', cost: round(learned.bootMs), why: 'ms to boot the disk once at the size asked' })
      items.push({ item: 'actions', cost: round(plan.actionsLeft * learned.actionMs), why: `ms for ${plan.actionsLeft} actions left at ${round(learned.actionMs)} each` })
      const idleMs = items.reduce((sum, item) => sum + item.cost, 0)
      const busy = Number.isFinite(load) && load > 0 ? load : 0
      items.push({ item: 'load', cost: round(idleMs * busy), why: `ms more at a load of ${round(busy)} a CPU` })
      return items
    }
  }
}

function round (value: number): number { return Math.round(value * 100) / 100 }
