/** Plants that claim, on a fake network and clock; a plant can be killed and started again with what its store kept. */
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { claiming, type ClaimStore, type Claiming, type KnownPlantsKept } from '../../protocols/claim/index.ts'
import { PlantError, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import { fakeLog, type FakeLog } from '../support/fake-log.ts'
import type { FakeRandom } from '../support/fake-random.ts'
import type { FakeNetwork } from '../support/fake-transport.ts'

export const digest = 'd'.repeat(64)
export const vm = (n: number): VmId => n.toString(16).padStart(32, '0') as VmId

/** Keeps what a registrar saves, as a disk would. */
export class FakeClaimStore implements ClaimStore {
  readonly entries = new Map<VmId, Uint8Array>()
  saves = 0
  saveClaims (changes: Array<{ vmId: VmId, entry: Uint8Array | undefined }>): void {
    this.saves++
    for (const { vmId, entry } of changes) {
      if (entry === undefined) this.entries.delete(vmId)
      else this.entries.set(vmId, entry)
    }
  }

  known: KnownPlantsKept = { peers: [], atMs: 0 }
  saveKnownPlants (known: KnownPlantsKept): void { this.known = known }
  knownPlants (): KnownPlantsKept { return this.known }

  claims (): Array<{ vmId: VmId, entry: Uint8Array }> { return [...this.entries].map(([vmId, entry]) => ({ vmId, entry })) }
}

export interface FakePlant {
  id: PeerId
  service: Claiming
  store: FakeClaimStore
  log: FakeLog
  /** What it would have started: confirmed, or provisional. */
  machines: Map<VmId, { provisional: boolean, awardedAtMs: number }>
  lost: VmId[]
  /** Set by whoever kills it: nothing that it still does reaches anyone, or its disk. */
  life: { dead: boolean }
}

export interface FakeMeshInit { clock: FakeClock, network: FakeNetwork, random: FakeRandom, view: () => PeerId[], knowledge?: (vmId: VmId) => Uint8Array | undefined }

export async function startPlant (id: string, init: FakeMeshInit, before?: Pick<FakePlant, 'store' | 'machines'>): Promise<FakePlant> {
  const store = before?.store ?? new FakeClaimStore()
  const log = fakeLog()
  const life = { dead: false }
  const network = init.network.peer(id)
  const service = claiming()({
    transport: {
      self: network.self,
      open: async (...args) => {
        if (life.dead) throw new PlantError('PEER_UNREACHABLE', { problem: 'killed' })
        return network.open(...args)
      },
      handle: async (...args) => network.handle(...args),
      connected: () => network.connected(),
      onNeighbour: (fn) => network.onNeighbour(fn)
    },
    clock: init.clock,
    random: init.random,
    crypto: new NodeCrypto(),
    log,
    store: {
      claims: () => store.claims(),
      saveClaims: (changes) => { if (!life.dead) store.saveClaims(changes) },
      knownPlants: () => store.knownPlants(),
      saveKnownPlants: (known) => { if (!life.dead) store.saveKnownPlants(known) }
    },
    peers: init.view,
    knowledge: init.knowledge ?? ((vmId) => new TextEncoder().encode(`order of ${vmId}`))
  })
  const plant: FakePlant = { id: id as PeerId, service, store, log, machines: before?.machines ?? new Map(), lost: [], life }
  service.onLost((vmId) => { plant.lost.push(vmId) })
  service.onSettled((vmId) => {
    const machine = plant.machines.get(vmId)
    if (machine !== undefined) machine.provisional = false
  })
  for (const [vmId, { provisional, awardedAtMs }] of plant.machines) service.holds({ vmId, orderDigest: digest, awardedAtMs }, provisional)
  await service.start()
  return plant
}

/** What an awarded plant does: confirm, then start. */
export async function award (plant: FakePlant, clock: FakeClock, vmId: VmId, claim: { claimId: string, provisional: boolean }): Promise<boolean> {
  const awardedAtMs = clock.nowMs()
  const outcome = await plant.service.confirm({ vmId, orderDigest: digest, awardedAtMs, claimId: claim.claimId, provisional: claim.provisional })
  if (outcome.kind === 'confirmed' && !plant.life.dead) plant.machines.set(vmId, { provisional: outcome.provisional, awardedAtMs })
  return outcome.kind === 'confirmed'
}
