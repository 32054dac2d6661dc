/**
 * The shop (VMPlants 3.1): order in, classad out. One order makes one machine, through whichever shops and however often it is asked: the
 * claim of its VMID at the registrars decides who makes it, and whoever asks again is led to the machine that there is.
 */
import { PlantError, asPlantError, type Clock, type Crypto, type Directory, type Log, type PeerId, type Signer, type Transport, type VmId } from '../../protocols/kit/index.ts'
import type { AuctionResult, Bidding } from '../../protocols/bid/index.ts'
import { adAttributes, type Capacity } from '../../protocols/capacity/index.ts'
import type { Claiming, GrantedClaim } from '../../protocols/claim/index.ts'
import { askPlant, type MachineView } from '../../protocols/machine/index.ts'
import { checkFresh, checkVia, openCall, signHandOver, vmIdOfOrder, type OpenedCall, type OpenedOrderCall } from '../../protocols/member/index.ts'
import { checkOrder, orderDigest, type Order } from '../../protocols/order/index.ts'
import type { Records } from '../../storage/records/records.ts'
import { askedOf, needOf } from './asked.ts'
import { Decisions } from './decisions.ts'
import type { CallTraffic, PlantView, Shop, ShopAnswer } from './shop-face.ts'
import { encodeTicket } from './ticket.ts'
import { Whereabouts } from './whereabouts.ts'

export interface ShopComponents {
  transport: Transport
  clock: Clock
  crypto: Crypto
  /** The plant's key, which hands orders over. */
  signer: Signer
  directory: Directory
  log: Log
  capacity: Capacity
  bidding: Bidding
  claiming: Claiming
  records: Records
  /** Whether the mesh is known to have a golden machine of this family, name or id: then a plant without it can fetch it. */
  hasGolden: (os: string) => boolean
}

/** Plants that `list` asks at once; a mesh of a thousand is asked in some twenty rounds. */
const LIST_AT_ONCE_MAX = 48
/** A plant that is slow to list is left out after this, and said to be. */
const LIST_TIMEOUT_MS = 10_000
/** A machine's plant that has just gone may come back or another may know: how often `create` looks again before it fails. */
const FOLLOW_TRIES_MAX = 3
/** Plants that may give an order back, because what it is to be made from cannot be fetched there, before `create` fails. */
const GIVEN_BACK_MAX = 4
/** Registrars forget a holder that gave up within this. */
const GIVEN_BACK_PAUSE_MS = 250
/** Claims lost to other shops before `create` gives up: each loss means that another shop gained it. */
const CLAIM_TRIES_MAX = 5

/** A shop over these components; it keeps nothing that it cannot lose. */
export function shop (c: ShopComponents): Shop {
  return new ShopService(c)
}

class ShopService implements Shop {
  readonly #c: ShopComponents
  readonly #decisions: Decisions
  readonly #whereabouts: Whereabouts

  constructor (components: ShopComponents) {
    this.#c = components
    this.#decisions = new Decisions(components.records, components.clock)
    this.#whereabouts = new Whereabouts(components)
  }

  async create (signedOrder: Uint8Array, options: { strict: boolean }, traffic: CallTraffic, signal: AbortSignal): Promise<MachineView> {
    const sinceMs = this.#c.clock.monotonicMs()
    const call = this.#opened(signedOrder)
    if (call.kind !== 'order') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'not an order' })
    checkFresh(call, this.#c.clock.nowMs())
    const order = checkOrder(call.body.order)
    const job = { call, order, signedOrder, vmId: vmIdOfOrder(call), digest: orderDigest(order) }
    await traffic.onEvent?.({ kind: 'progress', step: 'claiming the order', share: 0 })
    const { found, machine } = await this.#made(job, options.strict, traffic, signal)
    if (found.fresh) {
      machine.phasesMs = { bid: found.bidMs, ...machine.phasesMs, total: Math.round(this.#c.clock.monotonicMs() - sinceMs) }
      this.#decisions.ended(call, job.vmId, machine)
    }
    if (machine.error !== undefined && machine.state === 'failed') throw new PlantError(asCode(machine.error.code), { vmid: job.vmId, ...machine.error.details })
    return machine
  }

  /** From plant to plant, until one makes the machine or fails at it: what could not be fetched at one may be had at the next. */
  async #made (job: OrderJob, strict: boolean, traffic: CallTraffic, signal: AbortSignal): Promise<{ found: Placed, machine: MachineView }> {
    const gaveBack = new Map<PeerId, PlantError>()
    for (let tries = 1; ; tries++) {
      const found = await this.#place(job, strict, gaveBack, traffic, signal)
      try {
        return { found, machine: await this.#follow(job, found.plant, traffic, signal) }
      } catch (thrown) {
        const error = asPlantError(thrown)
        // It knows of no machine and said so, or said so to another shop before: the claim decides anew.
        const gone = error.code === 'FETCH_STALLED' || (gaveBack.size > 0 && error.code === 'VM_UNKNOWN')
        if (signal.aborted || !gone || tries > GIVEN_BACK_MAX) throw error
        if (found.fresh) this.#decisions.gaveBack(job.call, job.vmId, found.plant, error)
        gaveBack.set(found.plant, error)
        await traffic.onEvent?.({ kind: 'progress', step: 'a plant could not fetch the golden machine; asking others', share: 0 })
        await this.#pause(GIVEN_BACK_PAUSE_MS, signal)
      }
    }
  }

  async #pause (ms: number, signal: AbortSignal): Promise<void> {
    const over = Promise.withResolvers<void>()
    const cancel = this.#c.clock.after(ms, over.resolve)
    const onAbort = (): void => { over.reject(signal.reason) }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      signal.throwIfAborted()
      await over.promise
    } finally {
      cancel()
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** What a client handed to this shop; no plant would serve it what was signed for another. */
  #opened (signed: Uint8Array): OpenedCall {
    const call = openCall(this.#c.crypto, signed)
    checkVia(call, this.#c.transport.self)
    return call
  }

  /** The plant that has the machine or has begun to make it. */
  async #place (job: OrderJob, strict: boolean, gaveBack: ReadonlyMap<PeerId, PlantError>, traffic: CallTraffic, signal: AbortSignal): Promise<Placed> {
    const here = this.#c.records.machine(job.vmId)
    if (here !== undefined) {
      checkSame(job, here.orderDigest)
      return { plant: this.#c.transport.self, fresh: false, bidMs: 0 }
    }
    for (let tries = 1; ; tries++) {
      const claim = await this.#c.claiming.claim({ vmId: job.vmId, orderDigest: job.digest, strict }, signal)
      if (claim.kind !== 'granted') {
        checkSame(job, claim.orderDigest)
        return { plant: claim.plant, fresh: false, bidMs: 0 }
      }
      try {
        return await this.#auction(job, claim, strict, gaveBack, traffic, AbortSignal.any([signal, claim.lost]))
      } catch (error) {
        // Another shop has it now: wait for what it makes.
        if (signal.aborted || tries >= CLAIM_TRIES_MAX || asPlantError(error).code !== 'CLAIM_LOST') throw error
      } finally {
        await claim.end()
      }
    }
  }

  async #auction (job: OrderJob, claim: GrantedClaim, strict: boolean, gaveBack: ReadonlyMap<PeerId, PlantError>, traffic: CallTraffic, signal: AbortSignal): Promise<Placed> {
    await traffic.onEvent?.({ kind: 'progress', step: 'asking for bids', share: 0.01 })
    const sinceMs = this.#c.clock.monotonicMs()
    const result = await this.#c.bidding.auction({
      signedOrder: encodeTicket({ signedOrder: job.signedOrder, claimId: claim.claimId, provisional: claim.provisional }),
      handOvers: (to) => [signHandOver(this.#c.signer, { vmId: job.vmId, orderDigest: job.digest, to, issuedAtMs: this.#c.clock.nowMs() })],
      vmId: job.vmId,
      ranked: job.order.rank !== undefined,
      candidates: askedOf(this.#c.capacity.candidates({ ...needOf(job.order), fetchable: this.#c.hasGolden(job.order.software.os) }), [...gaveBack.keys()], this.#c.capacity.get(this.#c.transport.self)?.ad.behind ?? this.#c.transport.self),
      without: [...gaveBack.keys()],
      strict
    }, signal)
    this.#decisions.decided(job.call, job.vmId, result.decision, claim.provisional)
    return { plant: this.#awarded(job, result, gaveBack), fresh: true, bidMs: Math.round(this.#c.clock.monotonicMs() - sinceMs) }
  }

  #awarded (job: OrderJob, { end, decision }: AuctionResult, gaveBack: ReadonlyMap<PeerId, PlantError>): PeerId {
    switch (end.kind) {
      case 'awarded':
      case 'held':
        this.#whereabouts.learn(job.vmId, end.plant)
        return end.plant
      case 'unsettled': throw new PlantError('MESH_CUT', { plant: end.plant, problem: 'a plant fell silent while it was awarded the order' })
      default: throw new PlantError('ORDER_REFUSED', {
        refusals: [
          ...[...gaveBack].map(([plant, { code, details }]) => ({ plant, problem: 'took the order and gave it back', code, ...details })),
          ...decision.answers.filter((answer) => answer.kind === 'refusal' || answer.kind === 'none').map((answer) => ({
            plant: answer.plant, ...(answer.via !== undefined && { via: answer.via }), ...(answer.refusal ?? { problem: answer.problem ?? 'no answer in time' })
          })),
          ...decision.attempts.filter((attempt) => attempt.outcome !== 'granted').map((attempt) => ({
            plant: attempt.plant, problem: `award ${attempt.outcome ?? 'failed'}`, ...attempt.refusal
          }))
        ],
        ...(decision.candidates.length === 0 && { problem: 'no plant is in view' })
      })
    }
  }

  /** Stays with the plant until the machine runs or has failed; a plant that goes away meanwhile is looked for again. */
  async #follow (job: OrderJob, first: PeerId, traffic: CallTraffic, signal: AbortSignal): Promise<MachineView> {
    let plant = first
    for (let tries = 1; ; tries++) {
      try {
        const answer = await askPlant(this.#c.transport, plant, job.signedOrder, traffic, signal)
        if (answer.kind !== 'machine') throw new PlantError('MESSAGE_INVALID', { path: 't', problem: 'not a machine' })
        return answer.machine
      } catch (error) {
        const { code } = asPlantError(error)
        if (signal.aborted || tries >= FOLLOW_TRIES_MAX || !(code.startsWith('STREAM_') || code === 'PEER_UNREACHABLE' || code === 'VM_UNKNOWN')) throw error
        plant = (await this.#whereabouts.find(job.vmId, signal, plant)) ?? plant
      }
    }
  }

  async call (signedCall: Uint8Array, traffic: CallTraffic, signal: AbortSignal): Promise<ShopAnswer> {
    const call = this.#opened(signedCall)
    if (call.kind === 'list' || call.kind === 'networks') return this.#list(signedCall, traffic, signal)
    if (call.kind === 'capture') return askPlant(this.#c.transport, call.body.plant, signedCall, traffic, signal)
    if (call.kind === 'order' || call.kind === 'why' || call.kind === 'join') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: `a call of kind ${call.kind} goes another way` })
    return this.#whereabouts.ask(call.vmId, signedCall, traffic, signal)
  }

  /** Asks every plant in the view. */
  async #list (signedCall: Uint8Array, traffic: CallTraffic, signal: AbortSignal): Promise<ShopAnswer> {
    const plants = this.#c.capacity.plants().map(({ peer }) => peer)
    const queue = plants.values()
    const failures = new Map<PeerId, PlantError>()
    const worker = async (): Promise<void> => {
      for (const plant of queue) {
        const late = new AbortController()
        const cancel = this.#c.clock.after(LIST_TIMEOUT_MS, () => { late.abort(new PlantError('STREAM_TIMEOUT', { plant, timeoutMs: LIST_TIMEOUT_MS })) })
        try {
          await askPlant(this.#c.transport, plant, signedCall, traffic, AbortSignal.any([signal, late.signal]))
        } catch (error) {
          signal.throwIfAborted()
          const { code } = asPlantError(error)
          // One plant that is down or whose clock is off must not hide the machines of all others.
          failures.set(plant, asPlantError(error))
          this.#c.log.warn({ plant, code }, 'a plant did not list what it has')
        } finally {
          cancel()
        }
      }
    }
    await Promise.all(Array.from({ length: LIST_AT_ONCE_MAX }, worker))
    const [first] = failures.values()
    if (first !== undefined && failures.size === plants.length) throw first
    return { kind: 'listed', silent: [...failures].map(([plant, { code }]) => ({ plant, code })) }
  }

  why (signedCall: Uint8Array): Record<string, unknown> {
    const call = this.#opened(signedCall)
    if (call.kind !== 'why') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'not a call of kind why' })
    checkFresh(call, this.#c.clock.nowMs())
    return this.#decisions.of(call.caller, call.body.orderId)
  }

  plants (): PlantView[] {
    return this.#c.capacity.plants().map(({ peer, ad, ageMs }) => ({ plant: peer, self: peer === this.#c.transport.self, ageMs, ad: adAttributes(peer, ad) }))
  }
}

/** The plant that has the machine or has begun to make it; `fresh`: it was awarded now. */
interface Placed { plant: PeerId, fresh: boolean, bidMs: number }

interface OrderJob { call: OpenedOrderCall, order: Order, signedOrder: Uint8Array, vmId: VmId, digest: string }

/** The same id with other content is an error (CONTRACT.md, Conventions). */
function checkSame (job: OrderJob, digest: string): void {
  if (digest !== job.digest) throw new PlantError('ORDER_CONFLICT', { orderId: job.call.body.orderId, vmid: job.vmId })
}

function asCode (code: string): PlantError['code'] {
  return asPlantError(new PlantError(code as PlantError['code'])).code
}
