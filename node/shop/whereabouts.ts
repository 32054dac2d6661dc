/** Which plant has a machine: what was learned lately, then the directory, then, as the directory may lag, the plants in view. */
import { PlantError, asPlantError, type Directory, type PeerId, type Transport, type VmId } from '../../protocols/kit/index.ts'
import type { Capacity } from '../../protocols/capacity/index.ts'
import { askPlant, type CallAnswer } from '../../protocols/machine/index.ts'
import type { Records } from '../../storage/records/records.ts'
import type { CallTraffic } from './shop-face.ts'

/** Machines whose plant is remembered; the oldest is forgotten first. */
const REMEMBERED_MAX = 4_096
/** Peers of the directory's answer that are tried. */
const PROVIDERS_MAX = 4
/** Plants in view that are asked when the directory knows nothing: a small mesh whole. */
const VIEW_ASKED_MAX = 16

export class Whereabouts {
  readonly #c: { transport: Transport, directory: Directory, capacity: Capacity, records: Records }
  readonly #known = new Map<VmId, PeerId>()

  constructor (components: { transport: Transport, directory: Directory, capacity: Capacity, records: Records }) {
    this.#c = components
  }

  learn (vmId: VmId, plant: PeerId): void {
    this.#known.delete(vmId)
    this.#known.set(vmId, plant)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED_MAX) break
      this.#known.delete(oldest)
    }
  }

  /** The likeliest plant that is not `but`. */
  async find (vmId: VmId, signal: AbortSignal, but?: PeerId): Promise<PeerId | undefined> {
    for await (const plant of this.#likely(vmId, signal)) if (plant !== but) return plant
    return undefined
  }

  /** Makes the call at the plant that has the machine. Throws VM_UNKNOWN when none that can be reached has it. */
  async ask (vmId: VmId, signedCall: Uint8Array, traffic: CallTraffic, signal: AbortSignal): Promise<CallAnswer> {
    const unreachable: PeerId[] = []
    let first: unknown
    for await (const plant of this.#likely(vmId, signal)) {
      try {
        const answer = await askPlant(this.#c.transport, plant, signedCall, traffic, signal)
        this.learn(vmId, plant)
        return answer
      } catch (error) {
        signal.throwIfAborted()
        const { code } = asPlantError(error)
        if (code === 'PEER_UNREACHABLE') unreachable.push(plant)
        else if (code !== 'VM_UNKNOWN') first ??= error
        // Anybody may say in the directory that it has a machine: only the word of one that was seen to have it ends the search.
        if (first === error && (plant === this.#c.transport.self || this.#known.get(vmId) === plant)) throw error
        if (this.#known.get(vmId) === plant) this.#known.delete(vmId)
      }
    }
    if (first !== undefined) throw first
    throw new PlantError('VM_UNKNOWN', { vmid: vmId, ...(unreachable.length > 0 && { unreachable }) })
  }

  async * #likely (vmId: VmId, signal: AbortSignal): AsyncGenerator<PeerId> {
    const told = new Set<PeerId>()
    const fresh = (plants: Iterable<PeerId | undefined>): PeerId[] => [...plants].filter((plant): plant is PeerId => {
      if (plant === undefined || told.has(plant)) return false
      told.add(plant)
      return true
    })
    yield * fresh([this.#c.records.machine(vmId) === undefined ? undefined : this.#c.transport.self, this.#known.get(vmId)])
    yield * fresh(await this.#c.directory.find(`vm/${vmId}`, PROVIDERS_MAX, signal))
    yield * fresh(this.#c.capacity.plants().slice(0, VIEW_ASKED_MAX).map(({ peer }) => peer))
  }
}
