/** What a plant says of itself: in its adverts, and to the expressions of orders (CONTRACT.md, "Plant's ad"). */
import { fitAd, type PlantAd } from '../../protocols/capacity/index.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { ProductionLine } from '../lines/line.ts'
import type { Ledger } from './ledger.ts'

export interface PlantAdSources {
  site: string
  /** The gateway of the site, for a plant that can be reached only through it. */
  behind?: PeerId
  line: Pick<ProductionLine, 'isa' | 'accelerator'>
  ledger: Ledger
  warehouse: Pick<Warehouse, 'list'>
  /** Runnable work per CPU of the host. */
  load: number
}

/** The plant's ad as it is now, cut to what an advert may hold. */
export function adOfPlant ({ site, behind, line, ledger, warehouse, load }: PlantAdSources): PlantAd {
  return fitAd({
    site,
    isa: line.isa,
    accelerator: line.accelerator,
    ...roomOf(ledger),
    load,
    goldenMachines: warehouse.list().map(({ name, os, hardware }) => ({ name, os, ...hardware })),
    goldenMore: false,
    ...(behind !== undefined && { behind })
  })
}

/** What a ledger has and has free, as an ad says it. */
export function roomOf (ledger: Ledger): Pick<PlantAd, 'cpus' | 'freeCpus' | 'memoryMiB' | 'freeMemoryMiB' | 'diskMiB' | 'freeDiskMiB' | 'machines' | 'freeMachines' | 'freeNetworks'> {
  const { capacity } = ledger
  const free = ledger.free()
  return {
    cpus: capacity.cpus,
    freeCpus: free.cpus,
    memoryMiB: capacity.memoryMiB,
    freeMemoryMiB: free.memoryMiB,
    diskMiB: capacity.diskMiB,
    freeDiskMiB: free.diskMiB,
    machines: capacity.machines,
    freeMachines: free.machines,
    freeNetworks: free.networks
  }
}
