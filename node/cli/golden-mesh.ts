/** Golden machines of the mesh, for the command line: where they are, what of them is not here, and fetching ahead. */
import { PlantError, type GoldenId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { MeshGolden, MeshGoldens } from '../plant/images/mesh-goldens.ts'
import { progressText } from '../plant/images/fetcher.ts'
import type { ApiComponents } from '../portal/api.ts'
import { printable, table } from './output.ts'

/** What the API does for `golden list` and `golden fetch`. */
export function goldenMesh (images: MeshGoldens | undefined): Pick<ApiComponents['golden'], 'mesh' | 'fetch'> {
  return {
    mesh: () => images?.list() ?? [],
    async fetch (name, onStep, signal) {
      if (images === undefined) throw new PlantError('GOLDEN_UNKNOWN', { name, problem: 'this plant fetches nothing' })
      return images.fetch(await chosen(images, name, signal), (progress) => {
        onStep(progressText(progress), progress.totalBytes === 0 ? 1 : progress.bytes / progress.totalBytes)
      }, signal)
    }
  }
}

/** The one golden machine that a name or id means; several of one name are told with their ids. */
async function chosen (images: MeshGoldens, name: string, signal: AbortSignal): Promise<GoldenId> {
  const found = await images.find(name, signal)
  const [only] = found
  if (only === undefined) throw new PlantError('GOLDEN_UNKNOWN', { name, problem: 'no plant that can be reached says to have it' })
  if (found.length === 1 || found.every((one) => one.publishedBy?.domainKey === only.publishedBy?.domainKey && one.publisher === only.publisher)) {
    return found.toSorted((a, b) => b.createdAtMs - a.createdAtMs)[0]?.goldenId ?? only.goldenId
  }
  throw new PlantError('USAGE', { name, problem: 'several have this name: say the id', found: found.map(({ goldenId, publisher, publishedBy }) => ({ goldenId, publisher, domain: publishedBy?.domain })) })
}

/** What others have, as a table; empty when there is nothing but this plant's own. */
export function meshTable (mesh: readonly MeshGolden[], here: readonly Golden[]): string {
  const ids = new Set(here.map(({ goldenId }) => goldenId))
  const others = mesh.filter(({ goldenId }) => !ids.has(goldenId)).toSorted((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.goldenId < b.goldenId ? -1 : 1)
  if (others.length === 0) return ''
  return ['', 'in the mesh (plantmesh golden fetch NAME gets one ahead of an order):', table([['NAME', 'OS', 'ID', 'SIZE', 'MISSING HERE', 'ON'], ...others.map((one) => [
    printable(one.name), printable(one.os), one.goldenId, mib(one.totalBytes), mib(one.missingBytes), whereText(one.plants)])])].join('\n')
}

/** Plants named in a list; more are counted. */
const PLANTS_SHOWN = 4

function whereText (plants: readonly string[]): string {
  const named = plants.slice(0, PLANTS_SHOWN).map((peer) => peer.slice(-8)).join(', ')
  return plants.length > PLANTS_SHOWN ? `${named} and ${plants.length - PLANTS_SHOWN} more` : named
}

function mib (bytes: number): string { return `${(bytes / 2 ** 20).toFixed(1)} MiB` }
