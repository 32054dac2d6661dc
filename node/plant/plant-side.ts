/**
 * The plant's side of bids and awards: opens the signed order, judges it, and turns an award into a lease, a confirmed claim and a record,
 * in that order, so that at no time two plants start the same machine and none starts one that it cannot hold.
 */
import { ERRORS, PlantError, toHex, type Clock, type Crypto, type KeyId, type LeaseId, type Log, type PeerId, type Random, type VmId } from '../../protocols/kit/index.ts'
import { refusalOf, type Award, type Grant, type Held, type Need, type PlantSide, type Reason, type Verdict } from '../../protocols/bid/index.ts'
import { adAttributes, type PlantAd } from '../../protocols/capacity/index.ts'
import type { Claiming } from '../../protocols/claim/index.ts'
import { checkFresh, checkHandOvers, domainOfOrder, openCall, vmIdOfOrder, type OpenedOrderCall } from '../../protocols/member/index.ts'
import { adOf } from '../../protocols/order/classad.ts'
import { checkOrder, orderDigest, orderSecret, type Order } from '../../protocols/order/index.ts'
import { networkIdOf, type NetworkId } from '../../protocols/tunnel/types.ts'
import type { MachineRecord, Records } from '../../storage/records/records.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { ProductionLine } from '../lines/line.ts'
import { decodeTicket } from '../shop/ticket.ts'
import { decideBid, networkNames, type PlanFinding } from './bidder.ts'
import { learner, type CostModel, type Figures } from './cost/index.ts'
import { LIVE_STATES } from './instance.ts'
import type { Ledger } from './ledger.ts'
import type { MeshGoldens } from './images/mesh-goldens.ts'
import { planInMesh } from './images/plan-in-mesh.ts'
import { egressReasons, policyReasons, type SitePolicy } from './policy.ts'
import { rankNumberOf, requirementReasons } from './requirements.ts'
import type { Spares } from './spares/spares.ts'
import type { TemplateDesk } from './templates/template-desk.ts'

export interface PlantSideComponents {
  self: PeerId
  clock: Clock
  random: Random
  crypto: Crypto
  log: Log
  ledger: Ledger
  line: Pick<ProductionLine, 'isa' | 'fingerprint'>
  warehouse: Pick<Warehouse, 'list'>
  templates: Pick<TemplateDesk, 'facts'>
  /** What other plants have; absent where nothing is fetched. */
  images?: Pick<MeshGoldens, 'choices' | 'confirmed' | 'isYoung' | 'hasRoom'>
  /** Machines that are made before they are ordered; absent where none are. */
  spares?: Pick<Spares, 'isReady'>
  records: Records
  claims: Pick<Claiming, 'confirm' | 'drop'>
  /** The plant's ad as it is now. */
  ad: () => PlantAd
  policy: SitePolicy
  /** Creations under way or waiting: they load the host more than its load average knows yet. */
  creating: () => number
  /** Takes over a machine whose lease is granted and whose record is to be written. */
  take: (record: MachineRecord, signedOrder: Uint8Array) => void
}

/** An order as this plant understands it. */
interface OpenedOrder { call: OpenedOrderCall, order: Order, vmId: VmId, digest: string, domain: string, domainKey: KeyId }

/** Answers calls for bids and awards for this plant. */
export class OrderDesk implements PlantSide {
  readonly #c: PlantSideComponents
  readonly #cost: CostModel
  readonly #learner = learner()

  constructor (components: PlantSideComponents, cost: CostModel) {
    this.#c = components
    this.#cost = cost
  }

  /** How long things take here, for the cost model. */
  learn (figure: keyof Figures, value: number): void { this.#learner.observe(figure, value) }

  figures (): Figures { return this.#learner.figures() }

  async judge (ticketBytes: Uint8Array, _from: PeerId, signal: AbortSignal): Promise<Verdict> {
    const opened = this.#open(decodeTicket(ticketBytes).signedOrder)
    const held = this.standing(opened.vmId)
    if (held !== undefined) return { kind: 'held', held }
    const { order } = opened
    // Before anything is looked for: whom the plant does not serve costs it nothing.
    const barred = [...policyReasons(this.#c.policy, opened), ...egressReasons(this.#c.policy, order)]
    if (barred.length > 0) return { kind: 'refusal', refusal: refusalOf(barred) }
    const plantAd = adOf(adAttributes(this.#c.self, this.#c.ad()))
    // None is named as one of the plant's: requirements and rank are over the plant's ad, and a name means the order's first.
    const orderAd = adOf({ Owner: opened.call.caller, Domain: opened.domain, OrderId: opened.call.body.orderId, Name: order.metadata.name ?? '', RequestCpus: order.hardware.cpus, RequestMemoryMiB: order.hardware.memoryMiB, RequestDiskMiB: order.hardware.diskMiB, Os: order.software.os })
    const decision = decideBid({
      order,
      networkId: this.#networkIdIn(opened),
      plan: await this.#plan(order, opened, signal),
      requirements: (text) => requirementReasons(text, plantAd, orderAd),
      rank: (text) => rankNumberOf(text, plantAd, orderAd)
    }, { isa: this.#c.line.isa, ledger: this.#c.ledger, cost: this.#cost, load: this.#c.ad().load + this.#c.creating(), learned: this.#learner.figures() })
    return decision.kind === 'refusal' ? decision : { kind: 'offer', vmId: opened.vmId, need: decision.need, items: decision.items, ...(decision.rank !== undefined && { rank: decision.rank }) }
  }

  async grant (award: Award & { signedOrder: Uint8Array, handOvers: readonly Uint8Array[] }, signal: AbortSignal): Promise<Grant> {
    const { self, clock, crypto, ledger } = this.#c
    const ticket = decodeTicket(award.signedOrder)
    const opened = this.#open(ticket.signedOrder)
    // Whoever is asked for a bid is shown the order; only the shop that it was signed for gives it away.
    checkHandOvers(crypto, { vmId: opened.vmId, orderDigest: opened.digest, via: opened.call.via }, award.handOvers, self, clock.nowMs())
    const there = this.standing(award.vmId)
    if (there !== undefined) return { kind: 'held', held: there }
    const leaseId = toHex(this.#c.random.bytes(16)) as LeaseId
    const awardedAtMs = clock.nowMs()
    const result = ledger.award({ leaseId, vmId: award.vmId, need: award.need, nowMs: clock.monotonicMs(), wallMs: awardedAtMs })
    if (result.kind === 'refused') return { kind: 'refused', refusal: refusalOf(result.reasons) }
    if (result.kind === 'held') return { kind: 'held', held: { vmId: award.vmId, plant: this.#c.self, state: 'creating', leasedAtMs: result.lease.awardedAtMs } }
    try {
      const claim = await this.#c.claims.confirm({ vmId: award.vmId, orderDigest: opened.digest, claimId: ticket.claimId, awardedAtMs, provisional: ticket.provisional }, signal)
      if (claim.kind !== 'confirmed') {
        ledger.release(leaseId)
        return { kind: 'refused', refusal: refusalOf([{ code: claim.code, clause: ERRORS[claim.code].message, waitHelps: true }]) }
      }
      // The award may have been cancelled, and its lease have expired, while the registrars were asked.
      if (!ledger.start(leaseId, clock.monotonicMs())) {
        this.#c.claims.drop(award.vmId, opened.digest)
        return { kind: 'refused', refusal: refusalOf([{ code: 'BID_EXPIRED', clause: 'the lease ended before the machine could start', waitHelps: true }]) }
      }
      this.#c.take(this.#recordOf(opened, award, leaseId, awardedAtMs, claim.provisional), ticket.signedOrder)
    } catch (error) {
      ledger.release(leaseId)
      this.#c.claims.drop(award.vmId, opened.digest)
      throw error
    }
    return { kind: 'granted', leaseId, leasedAtMs: awardedAtMs, expiresInMs: ledger.leaseTtlMs }
  }

  standing (vmId: VmId): Held | undefined {
    const record = this.#c.records.machine(vmId)
    return record && { vmId, plant: this.#c.self, state: record.state, leasedAtMs: record.lease.awardedAtMs }
  }

  /** A granted award's machine is under way at once: its fate is told by the claim, never undone in silence. */
  release (): boolean { return false }

  /** Books the leases of machines that the records know, after a restart. */
  restore (): void {
    const held = this.#c.records.machines(LIVE_STATES)
    this.#c.ledger.restore(held.map((record) => ({ leaseId: record.lease.id, vmId: record.vmId, need: this.#needOfRecord(record), awardedAtMs: record.lease.awardedAtMs, started: true })), this.#c.clock.monotonicMs())
  }

  #needOfRecord (record: MachineRecord): Need {
    const { cpus, memoryMiB, diskMiB, attachedMiB = 0, networks = [] } = record.lease
    return { cpus, memoryMiB, diskMiB: diskMiB + attachedMiB, networks: networks.map(this.#networkIdIn(record)) }
  }

  #open (signedOrder: Uint8Array): OpenedOrder {
    const call = openCall(this.#c.crypto, signedOrder)
    if (call.kind !== 'order') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'not an order' })
    checkFresh(call, this.#c.clock.nowMs())
    const order = checkOrder(call.body.order)
    return { call, order, vmId: vmIdOfOrder(call), digest: orderDigest(order), ...domainOfOrder(this.#c.crypto, call, this.#c.clock.nowMs()) }
  }

  async #plan (order: Order, { call, domainKey }: OpenedOrder, signal: AbortSignal): Promise<PlanFinding> {
    // Whether the plant has the instruction set that the order asks for is told by itself (ISA_DIFFERS): here it is the plant's, so that it is told once.
    const hardware = { ...order.hardware }
    delete hardware.isa
    const chosen = await planInMesh({ ...order, hardware }, { owner: call.caller, domainKey }, { ...this.#c, figures: this.figures() }, signal)
    if (!chosen.fits) {
      const { clause, field, found, wanted, change } = chosen.refusal
      const reason: Reason = { code: `GOLDEN_${clause}`, clause: field, have: found, need: wanted, waitHelps: false }
      return { found: false, reasons: [change === undefined ? reason : { ...reason, smallestChange: { attribute: field, ...change } }] }
    }
    const { golden, fetchBytes, startBytes, resize, remainder } = chosen
    if (fetchBytes > 0 && this.#c.images?.hasRoom(fetchBytes) === false) {
      return { found: false, reasons: [{ code: 'DISK_FULL', clause: `room to fetch ${golden.name}`, need: fetchBytes, waitHelps: true }] }
    }
    const spare = !resize && this.#c.spares?.isReady(golden.goldenId) === true
    return { found: true, outline: { goldenId: golden.goldenId, actionsLeft: remainder.length, fetchBytes: startBytes, resize, ...(spare && { spare }) } }
  }

  #networkIdIn ({ domain, domainKey }: { domain: string, domainKey: KeyId }): (name: string) => NetworkId {
    return (name) => networkIdOf(this.#c.crypto, { domainKey, domain, name })
  }

  #recordOf (opened: OpenedOrder, award: Award & { handOvers: readonly Uint8Array[] }, leaseId: LeaseId, awardedAtMs: number, provisional: boolean): MachineRecord {
    const { call, order, vmId, digest, domain, domainKey } = opened
    const { cpus, memoryMiB } = award.need
    const networks = networkNames(order, this.#cost)
    const { diskMiB } = order.hardware
    const attachedMiB = award.need.diskMiB - diskMiB
    return {
      vmId,
      state: 'creating',
      owner: call.caller,
      domain,
      domainKey,
      orderId: call.body.orderId,
      orderDigest: digest,
      orderSecret: orderSecret(order),
      handOvers: award.handOvers.map(toHex),
      name: order.metadata.name ?? '',
      labels: order.metadata.labels,
      // A broker may have passed the award on.
      shop: call.via,
      provisional,
      lease: { id: leaseId, awardedAtMs, cpus, memoryMiB, diskMiB, ...(attachedMiB > 0 && { attachedMiB }), ...(networks.length > 0 && { networks }) },
      attributes: {},
      phasesMs: {},
      createdAtMs: awardedAtMs,
      changedAtMs: awardedAtMs
    }
  }
}
