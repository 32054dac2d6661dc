/**
 * The network does what the drawn faults say and nothing else: worked out here from the faults alone, message by message. A partition holds up
 * what goes its way, one way or both, from when it strikes until it ends; slow links are as slow as they were drawn, and lose what they were drawn to lose.
 */
import type { PeerId } from '../../protocols/kit/index.ts'
import type { Fault, FaultTarget, LinkSpec } from '../scenario/index.ts'
import type { LinkWatch } from '../world/network/links.ts'
import { usOf } from '../world/timeline.ts'
import type { World } from '../world/world.ts'

type OnLinks = Extract<Fault, { kind: 'partition' | 'slowLink' }>
interface Struck { fault: OnLinks, from: ReadonlySet<PeerId>, to: ReadonlySet<PeerId>, fromUs: number, untilUs: number }

/** Watches the links of one run. */
export class LinkTruth implements LinkWatch {
  readonly #world: World
  readonly #struck: Struck[]
  readonly #blame: (text: string) => void
  #endedUs = Infinity

  constructor (world: World, faults: readonly Fault[], blame: (text: string) => void) {
    this.#world = world
    this.#blame = blame
    const peers = ({ plants }: FaultTarget): Set<PeerId> => new Set(world.plants.filter(({ name }) => plants.includes(name)).map(({ peer }) => peer))
    this.#struck = faults.filter((fault) => fault.kind === 'partition' || fault.kind === 'slowLink').map((fault) => ({
      fault, from: peers(fault.from), to: peers(fault.to), fromUs: usOf(fault.atMs), untilUs: fault.untilMs === undefined ? Infinity : usOf(fault.untilMs)
    })).sort((a, b) => a.fromUs - b.fromUs) // Each slow link worsens what those before it left: drawn later may strike earlier.
  }

  /** All faults have ended. */
  ended (): void { this.#endedUs = this.#world.timeline.nowUs }

  held (from: PeerId, to: PeerId): void {
    const there = this.#isCut(from, to)
    const back = this.#isCut(to, from)
    if (there === false) this.#blame(`a message from ${this.#name(from)} to ${this.#name(to)} is held up, and no fault cuts that way`)
    else if (there === true && back !== undefined) this.#world.strikes.add(back ? 'partition' : 'oneWay')
  }

  passed (from: PeerId, to: PeerId): void {
    if (this.#struck.length === 0) return
    const there = this.#isCut(from, to)
    if (there === true) this.#blame(`a message from ${this.#name(from)} to ${this.#name(to)} comes through a cut`)
    else if (there === false && this.#isCut(to, from) === true) this.#world.strikes.add('otherWay')
  }

  sent (from: PeerId, to: PeerId, { takesUs, bytes, lateUs, draws, losses }: Parameters<LinkWatch['sent']>[2]): void {
    const slow = this.#struck.filter((one) => one.fault.kind === 'slowLink' && isBetween(one, from, to))
    if (slow.length === 0 || slow.some((one) => this.#isNow(one) === undefined)) return
    const natural = this.#world.naturalLink(from, to)
    const link = slow.reduce((sum, one) => this.#isNow(one) === true && one.fault.kind === 'slowLink' ? worse(sum, one.fault) : sum, natural)
    const where = `from ${this.#name(from)} to ${this.#name(to)}`
    if (lateUs < usOf(link.latencyMs)) this.#blame(`a message ${where} takes ${lateUs / 1_000} ms, on a link of ${link.latencyMs} ms`)
    if (takesUs < Math.floor(bytes * 8 / link.bandwidthMbit)) this.#blame(`${bytes} bytes ${where} take ${takesUs / 1_000} ms, on a link of ${link.bandwidthMbit} Mbit/s`)
    const { strikes } = this.#world
    if (link.latencyMs > natural.latencyMs) strikes.add('latency')
    if (link.bandwidthMbit < natural.bandwidthMbit) strikes.add('bandwidth')
    // A segment is sent again until it comes through, so that one is lost more than once.
    if (link.lossShare > natural.lossShare) {
      strikes.add('loss', losses)
      strikes.add('lossExpected', Math.max(1, draws) * link.lossShare / (1 - link.lossShare))
    }
  }

  /** Undefined: something begins or ends in this very instant. */
  #isCut (from: PeerId, to: PeerId): boolean | undefined {
    let cut: boolean | undefined = false
    for (const one of this.#struck) {
      if (one.fault.kind !== 'partition' || !(isFromTo(one, from, to) || (!one.fault.oneWay && isFromTo(one, to, from)))) continue
      const now = this.#isNow(one)
      if (now === true) return true
      if (now === undefined) cut = undefined
    }
    return cut
  }

  #isNow ({ fromUs, untilUs }: Struck): boolean | undefined {
    const { nowUs } = this.#world.timeline
    const endUs = Math.min(untilUs, this.#endedUs)
    return nowUs === fromUs || nowUs === endUs ? undefined : nowUs > fromUs && nowUs < endUs
  }

  #name (peer: PeerId): string { return this.#world.nameOf(peer) }
}

function isFromTo ({ from, to }: Struck, a: PeerId, b: PeerId): boolean { return from.has(a) && to.has(b) }

function isBetween (struck: Struck, a: PeerId, b: PeerId): boolean { return isFromTo(struck, a, b) || isFromTo(struck, b, a) }

function worse (link: LinkSpec, { latencyTimes, addLatencyMs, lossShare, bandwidthShare }: Extract<Fault, { kind: 'slowLink' }>): LinkSpec {
  return {
    ...link,
    latencyMs: link.latencyMs * latencyTimes + addLatencyMs,
    lossShare: 1 - (1 - link.lossShare) * (1 - lossShare),
    bandwidthMbit: link.bandwidthMbit * bandwidthShare
  }
}
