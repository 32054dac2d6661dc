/**
 * Who may call a machine is heard, and nobody else is. Strangers call while things go wrong; in peace one machine is called by its owner, whoever that
 * granted it to, strangers, and those who got hold of what others signed. What came of it is looked up at the host and in what the caller was told.
 */
import { asPlantError, decode, encode, type ErrorCode, type VmId } from '../../protocols/kit/index.ts'
import { askPlant, type CallEvent } from '../../protocols/machine/index.ts'
import { CALL_FRESH_MS, grantKey, signCall, signGrant, NONCE_BYTES, type Call } from '../../protocols/member/index.ts'
import { z } from 'zod'
import type { RandomStream } from '../kernel/index.ts'
import type { ClientOrder } from '../world/client.ts'
import { START_WALL_MS } from '../world/clock.ts'
import type { SimKey } from '../world/crypto.ts'
import type { SimPlant } from '../world/plant.ts'
import { usOf } from '../world/timeline.ts'
import type { Seen } from './seen.ts'

/** What a caller got: machines, an exit status, a golden machine; nothing of it when it was refused. `silent`: why a plant is not in a list that came. */
interface Outcome { silent: ErrorCode | undefined, code: ErrorCode | undefined, machines: VmId[], content: boolean }

/** The mesh in peace hears of a grant, and of its end, within this. */
const GRANT_HEARD_MS = 8_000
/** Whoever may call asks again so often when the network fails it. */
const TRIES_MAX = 5
const AGAIN_MS = 1_000
const AGAIN: readonly ErrorCode[] = ['STREAM_RESET', 'STREAM_TIMEOUT', 'STREAM_TRUNCATED', 'PEER_UNREACHABLE']
const KINDS = ['query', 'list', 'exec', 'publish', 'collect', 'console'] as const
type Kind = typeof KINDS[number]

const envelope = z.object({ payload: z.instanceof(Uint8Array), publicKey: z.instanceof(Uint8Array), signature: z.instanceof(Uint8Array) })

/** The calls of one run that are not those of its orders. */
export class Authority {
  readonly #seen: Seen
  readonly #random: RandomStream
  readonly #blame: (text: string, vmId?: VmId) => void
  readonly #stranger: SimKey
  /** Calls that must have been answered when it is looked. */
  readonly #open = new Set<string>()
  #scripts = 0

  constructor (seen: Seen, blame: (text: string, vmId?: VmId) => void) {
    this.#seen = seen
    this.#blame = blame
    this.#random = seen.world.random.fork('authority')
    this.#stranger = seen.world.newKey('stranger')
  }

  /** A stranger calls some machine, now, through whatever shop is there. */
  stray (): void {
    const { world, orders } = this.#seen
    const order = this.#random.pick(orders.filter(({ vmId }) => world.plants.some(({ host }) => host.machines.has(vmId))))
    const shop = this.#random.pick(world.plants.filter(({ node }) => node !== undefined))
    const kind = this.#random.pick(KINDS)
    if (order !== undefined && shop !== undefined && kind !== undefined) this.#mustFail(`a stranger's ${kind}`, order, shop, this.#signed(this.#stranger, shop, kind, order.vmId))
  }

  /** Everything about one machine, in peace; takes under 40 s, and `finish` says what was not answered. */
  peace (): void {
    const { world, orders, excused } = this.#seen
    const subjects = orders.flatMap((order) => {
      const holder = world.plants.find(({ host }) => host.machines.get(order.vmId)?.alive === true)
      return holder !== undefined && order.acknowledged && !excused.has(order.vmId) && holder.host.machines.get(order.vmId)?.nature.actions === 'done' ? [{ order, holder }] : []
    })
    const subject = this.#random.pick(subjects)
    if (subject === undefined) return
    const { order, holder } = subject
    const [shop = holder, other] = this.#random.shuffled(world.plants)
    this.#owner(order, holder, shop)
    this.#later(5_000, () => { this.#strangers(order, shop) })
    this.#later(6_000, () => { this.#misused(order, holder) })
    this.#later(7_000, () => { this.#granted(order, shop, other ?? shop) })
  }

  /** Of what must have been answered by now. */
  finish (): void {
    const [first] = this.#open
    if (first !== undefined) this.#blame(`${first} has no answer`)
  }

  #owner (order: ClientOrder, holder: SimPlant, shop: SimPlant): void {
    const { key, vmId } = order
    this.#must('the owner\'s query', order, () => this.#through(shop, this.#signed(key, shop, 'query', vmId)), ({ machines }) => machines.includes(vmId))
    this.#must('the owner\'s list', order, () => this.#through(shop, this.#signed(key, shop, 'list', vmId)), ({ machines }) => machines.includes(vmId))
    const script = this.#script()
    const signed = this.#signed(key, shop, 'exec', vmId, { script })
    this.#must('the owner\'s command', order, () => this.#through(shop, signed), ({ content }) => content, () => {
      const once = (): void => { if (this.#runs(order, script) !== 1) this.#blame(`a command of the owner's ran ${this.#runs(order, script)} times in ${vmId}`, vmId) }
      once()
      // Who got hold of it shows it again: to the shop, and, as that shop, to the plant.
      this.#mustFail('a command that is shown again', order, shop, signed)
      this.#later(AGAIN_MS, () => { if (shop !== holder) this.#mustFailAt('a command that is shown again', order, holder, shop, signed) })
      this.#later(4 * AGAIN_MS, once)
    })
  }

  #strangers (order: ClientOrder, shop: SimPlant): void {
    for (const kind of KINDS) this.#mustFail(`a stranger's ${kind}`, order, shop, this.#signed(this.#stranger, shop, kind, order.vmId))
    const why = signCall(this.#stranger, { kind: 'why', via: shop.peer, body: { orderId: order.orderId }, ...this.#fresh() })
    try {
      shop.node?.shop.why(why)
      this.#blame(`a stranger is told how ${order.orderId} was decided`, order.vmId)
    } catch {
      // Refused, as it must be.
    }
  }

  /** What the owner signed for one shop in the hands of others, changed, or long ago. */
  #misused (order: ClientOrder, holder: SimPlant): void {
    const { key, vmId } = order
    const { world } = this.#seen
    const rogue = this.#random.pick(world.plants.filter((plant) => plant !== holder))
    const changed = { ...decode(envelope, this.#signed(key, holder, 'query', vmId)), signature: new Uint8Array(64) }
    this.#mustFail('a call under another\'s name', order, holder, encode(changed))
    const stale = { kind: 'query' as const, vmId, via: holder.peer, body: {}, ...this.#fresh() }
    this.#mustFail('a call of long ago', order, holder, signCall(key, { ...stale, issuedAtMs: stale.issuedAtMs - CALL_FRESH_MS - 60_000 }))
    if (rogue === undefined) return
    this.#mustFail('a call that was signed for another shop', order, rogue, this.#signed(key, holder, 'query', vmId))
    this.#mustFailAt('a call that was signed for another shop', order, holder, rogue, this.#signed(key, holder, 'query', vmId))
  }

  /** Grants: by the owner, over, revoked, and by who is not the owner. */
  #granted (order: ClientOrder, shop: SimPlant, other: SimPlant): void {
    const { world } = this.#seen
    const { domain } = order.plan.machine
    const [guest, late, liar] = ['guest', 'late', 'liar'].map((name) => world.newKey(`authority/${name}`)) as [SimKey, SimKey, SimKey]
    const terms = (grantee: SimKey): Parameters<typeof signGrant>[1] => ({ domain, grantee: grantee.id, issuedAtMs: this.#fresh().issuedAtMs, revoked: false })
    const forged = encode({ ...decode(envelope, signGrant(order.key, terms(liar))), signature: new Uint8Array(64) })
    this.#grant(shop, signGrant(order.key, terms(guest)))
    this.#grant(shop, signGrant(order.key, { ...terms(late), expiresAtMs: terms(late).issuedAtMs + 1 }))
    this.#grant(shop, signGrant(this.#stranger, terms(this.#stranger)))
    this.#grant(shop, forged)
    other.process?.directory.put(grantKey(world.ring, { domainKey: order.key.id, domain, grantee: liar.id }), forged).catch(() => {}) // Nobody has to take it.
    // Over bad links the query may be asked again until its grant has been revoked.
    let revoked = false
    this.#later(GRANT_HEARD_MS, () => {
      this.#must('the query of one who was granted it', order, () => this.#through(other, this.#signed(guest, other, 'query', order.vmId)), ({ machines }) => revoked || machines.includes(order.vmId))
      this.#mustFail('a query after its grant was over', order, other, this.#signed(late, other, 'query', order.vmId))
      this.#mustFail('a query under a forged grant', order, other, this.#signed(liar, other, 'query', order.vmId))
      this.#mustFail('a query under a stranger\'s grant', order, other, this.#signed(this.#stranger, other, 'query', order.vmId))
    })
    this.#later(GRANT_HEARD_MS + 5_000, () => {
      revoked = true
      this.#grant(other, signGrant(order.key, { ...terms(guest), revoked: true }))
    })
    this.#later(2 * GRANT_HEARD_MS + 5_000, () => { this.#mustFail('a query after its grant was revoked', order, shop, this.#signed(guest, shop, 'query', order.vmId)) })
  }

  #grant ({ node, life }: SimPlant, signed: Uint8Array): void {
    if (life !== undefined) this.#seen.world.timeline.after(0, () => { node?.grant(signed, new AbortController().signal).catch(() => {}) }, life) // Whether it counts is seen by calling.
  }

  /** Asked again when the network fails it; `then` when it was answered as it must be. */
  #must (what: string, { vmId }: ClientOrder, ask: () => Promise<Outcome>, good: (outcome: Outcome) => boolean, then: () => void = () => {}): void {
    const name = `${what} on ${vmId}`
    this.#open.add(name)
    const attempt = (tries: number): void => {
      ask().then((outcome) => {
        // A list says which plants were silent: what it lacks may be theirs.
        const failure = outcome.code ?? (good(outcome) ? undefined : outcome.silent)
        if (failure !== undefined && AGAIN.includes(failure) && tries < TRIES_MAX) return this.#later(AGAIN_MS, () => { attempt(tries + 1) })
        // What reached the plant before the network failed cannot be shown it again: it is known by what it did.
        this.#open.delete(name)
        if (outcome.code === 'CALL_REPLAYED' && tries > 1) return
        if (!good(outcome)) return this.#blame(`${name} ends in ${outcome.code ?? 'an answer without it'}`, vmId)
        then()
      }, () => {})
    }
    attempt(1)
  }

  #mustFail (what: string, order: ClientOrder, shop: SimPlant, signed: Uint8Array): void {
    this.#refused(what, order, this.#through(shop, signed))
  }

  /** Past every shop: one plant shows it to another by itself. */
  #mustFailAt (what: string, order: ClientOrder, plant: SimPlant, by: SimPlant, signed: Uint8Array): void {
    const { process, life } = by
    if (process === undefined || life === undefined) return
    this.#refused(what, order, this.#answer(by, async (onEvent) => askPlant(process.transport, plant.peer, signed, { onEvent }, new AbortController().signal)))
  }

  #refused (what: string, { vmId }: ClientOrder, answer: Promise<Outcome>): void {
    answer.then((outcome) => {
      if (outcome.content) this.#blame(`${what} on ${vmId} is answered`, vmId)
    }, () => {})
  }

  async #through (shop: SimPlant, signed: Uint8Array): Promise<Outcome> {
    return this.#answer(shop, async (onEvent) => shop.node?.shop.call(signed, { onEvent }, new AbortController().signal))
  }

  /** Whatever content came is what came of it, also when it ended in an error after that. */
  async #answer (at: SimPlant, call: (onEvent: (event: CallEvent) => void) => Promise<Awaited<ReturnType<typeof askPlant>> | { kind: 'listed', silent: Array<{ code: ErrorCode }> } | undefined>): Promise<Outcome> {
    const outcome: Outcome = { code: undefined, silent: undefined, machines: [], content: false }
    const { timeline } = this.#seen.world
    return new Promise((resolve) => {
      timeline.after(0, () => {
        const onEvent = (event: CallEvent): void => {
          if (event.kind === 'machines') outcome.machines.push(...event.machines.map(({ vmid }) => vmid as VmId))
          if (event.kind === 'output' || (event.kind === 'machines' && event.machines.length > 0)) outcome.content = true
        }
        call(onEvent).then((answer) => {
          if (answer?.kind === 'machine') outcome.machines.push(answer.machine.vmid as VmId)
          if (answer?.kind === 'listed') outcome.silent = answer.silent[0]?.code
          if (answer !== undefined && answer.kind !== 'listed' && answer.kind !== 'done') outcome.content = true
          resolve(outcome)
        }, (error: unknown) => {
          resolve({ ...outcome, code: asPlantError(error).code })
        })
      }, at.life)
    })
  }

  #signed (key: SimKey, shop: SimPlant, kind: Kind, vmId: VmId, exec: { script: string } = { script: this.#script() }): Uint8Array {
    const bodies: Record<Kind, unknown> = { query: {}, collect: {}, console: {}, list: { all: true }, exec: { ...exec, timeoutMs: 5_000 }, publish: { name: 'taken' } }
    return signCall(key, { kind, ...(kind !== 'list' && { vmId }), via: shop.peer, body: bodies[kind], ...this.#fresh() })
  }

  #fresh (): Pick<Call, 'issuedAtMs' | 'nonce'> { return { issuedAtMs: Math.floor(START_WALL_MS + this.#seen.world.timeline.nowMs), nonce: this.#random.bytes(NONCE_BYTES) } }

  #script (): string { return `authority ${++this.#scripts}` }

  #runs ({ vmId }: ClientOrder, script: string): number {
    return this.#seen.world.plants.reduce((sum, { host }) => sum + (host.machines.get(vmId)?.scripts.get(script) ?? 0), 0)
  }

  #later (ms: number, fn: () => void): void { this.#seen.world.timeline.after(usOf(ms), fn) }
}
