/** The mesh's golden machines, composed: gossip and streams, the warehouse's pieces and the swarm under what the plant decides by. */
import type { GoldenId } from '../../protocols/kit/index.ts'
import { meshImages, type MeshImagesComponents } from '../../protocols/image/index.ts'
import type { Golden } from '../../protocols/order/index.ts'
import type { ImageStore } from '../../storage/warehouse/image-store.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { LateDiskParts } from '../plant/images/late-disks.ts'
import { meshGoldens, type MeshGoldens, type MeshGoldensComponents } from '../plant/images/mesh-goldens.ts'
import type { ImageSwarm } from '../plant/images/pack-fetches.ts'

/** The warehouse's pieces, the swarm that carries them, and disks that are served while they come. */
export interface ImageParts { store: ImageStore, swarm: ImageSwarm, lateDisk?: LateDiskParts }

export interface ComposedImagesComponents extends Omit<MeshImagesComponents, 'own'>, Pick<MeshGoldensComponents, 'isa' | 'freeDiskBytes' | 'learn' | 'onBegin' | 'telling'> {
  warehouse: Warehouse
  /** Absent: the plant neither offers its golden machines to others nor fetches theirs. */
  images?: ImageParts
  /** Whether a golden machine of the shelf stays there for now. */
  keeps: (golden: Golden) => boolean
}

/** Not started yet; undefined without the parts. */
export function composeImages (c: ComposedImagesComponents): MeshGoldens | undefined {
  const { images, warehouse } = c
  const keeps = (golden: Golden | undefined): boolean => golden !== undefined && warehouse.list().some(({ goldenId }) => goldenId === golden.goldenId) && c.keeps(golden)
  const seen = async (id: GoldenId, file: string): Promise<unknown> => file === images?.lateDisk?.file && offered(warehouse, id) !== undefined ? images.lateDisk.traces.get(id, file) : undefined
  return images && meshGoldens({
    ...c, ...images,
    mesh: meshImages({ ...c, own: { description: (id) => offered(warehouse, id), manifest: async (id) => images.store.signedManifest(id), trace: async (id, file) => seen(id, file), keeps: (id) => keeps(offered(warehouse, id)) } })
  })
}

/** What is handed to others: descriptions of what has a publisher and is on the shelf. */
function offered (warehouse: Warehouse, id: GoldenId): Golden | undefined {
  const golden = warehouse.get(id)
  return golden?.publisher === undefined ? undefined : golden
}
