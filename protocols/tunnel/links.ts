/**
 * The tunnels of one network: how they are begun, replaced and ended. A member has one port and one queue here for as long as there is a tunnel to it; the stream
 * under it may be another from one moment to the next.
 */
import { Lifetime, PlantError, asPlantError, type Cancel, type Clock, type Log, type MessageStream, type OpenHow, type PeerId, type Random, type Transport, type VmId } from '../kit/index.ts'
import { DIRECT_FIRST_MS, DIRECT_MS_MAX, FRAME_BYTES_MAX, LEAVE_MS, LOOK_FACTOR, TUNNEL_LIMITS, TUNNEL_PROTOCOL } from './constants.ts'
import type { Ending, Members } from './core.ts'
import { FlowQueue, type QueueDrops } from './flow-queue.ts'
import { greet, refuse } from './greeting.ts'
import type { MacOwners } from './mac-owners.ts'
import { encodeControl, type Control, type Hello, type Refusal, type Stations } from './messages.ts'
import { ranked } from './own-stations.ts'
import { PeerStations } from './peer-stations.ts'
import { checkProof, type ProofComponents } from './proof.ts'
import type { PortStation } from './switch-core.ts'
import { Tunnel } from './tunnel.ts'
import type { Frame, MembershipProof, NetworkId, NetworkName, Station } from './types.ts'
import type { PeerPort } from './virtual-network.ts'

export interface LinksComponents extends ProofComponents {
  transport: Transport
  clock: Clock
  random: Random
  log: Log
  members: Members
  networkId: NetworkId
  network: NetworkName
  /** What this plant shows of itself; undefined when it has nothing to show (any more). */
  greeting (): Omit<Hello, 'network'> | undefined
  snapshot (): Stations[]
  addPeer (peer: PeerId, send: (frame: Frame) => void): PeerPort | undefined
  macs: MacOwners
  /** Cards are others' now than before. */
  onOwners (macs: ReadonlySet<string>): void
  /** The members, their stations, or when something is due have changed. */
  onChange (): void
  /** Whether a machine can have been given an address of the network. */
  mayHave (vmId: VmId, address: string, ordered: readonly string[]): boolean
  /** A peer was refused, or told what does not hold. */
  onRefused (code: string): void
}

interface Link {
  peer: PeerId
  queue: FlowQueue
  port: PeerPort
  stations: PeerStations
  /** Its stations as they were entered among all. */
  entered: PortStation[]
  tunnel: Tunnel
  /** By what it greeted. */
  shown: Shown
  ending: Ending
}

/** Until when the proof that a member greeted with holds; `proof` is kept where a grant may be revoked before. */
interface Shown { untilMs: number, proof?: MembershipProof }

/** See the head of this file. None of its methods throws for what a peer does, but `accept`, whose stream is then reset. */
export class Links {
  readonly #c: LinksComponents
  readonly #lifetime = new Lifetime()
  readonly #links = new Map<PeerId, Link>()
  /** Our own hellos that were not answered yet: which dial it is. */
  readonly #greeting = new Map<PeerId, symbol>()
  /** Proofs of others that are being checked, and welcomes under way. */
  readonly #accepting = new Set<PeerId>()
  #leaving = false

  constructor (components: LinksComponents) { this.#c = components }

  /** The tunnels there are. */
  views (): Array<{ peer: PeerId, relayed: boolean, queuedBytes: number, drops: QueueDrops }> {
    return [...this.#links.values()].map(({ peer, tunnel, queue }) => ({ peer, relayed: tunnel.stream.relayed === true, queuedBytes: queue.bytes, drops: queue.drops }))
  }

  /** The stations of all members. */
  stations (): Array<Station & { at: PeerId }> {
    return [...this.#links.values()].flatMap(({ peer, stations }) => stations.list.map(({ sinceMs: _, ...station }) => ({ ...station, at: peer })))
  }

  /** Stations of ours have changed. */
  tell (message: Stations): void {
    for (const { tunnel } of this.#links.values()) tunnel.tell({ t: 'stations', ...message })
  }

  /** Dials a member; never throws. The core is told what came of it. */
  async dial (peer: PeerId, how?: OpenHow): Promise<void> {
    const attempt = Symbol(peer)
    let stream: MessageStream | undefined
    try {
      stream = await this.#c.transport.open(peer, TUNNEL_PROTOCOL, TUNNEL_LIMITS, this.#lifetime.signal, how)
      const greeting = this.#c.greeting()
      // It may have come by itself meanwhile, or left us nothing to do.
      if (this.#leaving || greeting === undefined || this.#accepting.has(peer) || this.#greeting.has(peer) || (how?.direct !== true && this.#links.has(peer))) {
        throw new PlantError('PEER_UNREACHABLE', { peer, problem: 'no longer wanted' })
      }
      this.#greeting.set(peer, attempt)
      const answer = await greet(stream, { network: this.#c.networkId, ...greeting })
      if (answer.t === 'refusal') {
        stream.abort(new PlantError('STREAM_RESET', { problem: answer.code }))
        this.#end(peer, answer.code === 'BUSY' ? 'busy' : answer.code === 'NOT_HERE' ? 'unreachable' : 'refused')
        return
      }
      const shown = await this.#check(peer, answer.proof)
      if (this.#greeting.get(peer) !== attempt) throw new PlantError('STREAM_RESET', { problem: 'another stream was begun' })
      this.#greeting.delete(peer)
      const link = this.#establish(stream, shown)
      void this.#run(link, link.tunnel)
    } catch (error) {
      const failure = asPlantError(error)
      stream?.abort(failure)
      const unreachable = failure.code === 'PEER_UNREACHABLE' || failure.code.startsWith('STREAM_')
      if (!unreachable) this.#c.onRefused(failure.code)
      this.#end(peer, unreachable ? 'unreachable' : 'refused')
    } finally {
      if (this.#greeting.get(peer) === attempt) this.#greeting.delete(peer)
    }
  }

  /** Serves a stream that a peer opened, whose hello is for this network, until its end; `greeted` is called once it has a tunnel. Throws when it got none. */
  async accept (stream: MessageStream, hello: Hello, greeted: () => unknown): Promise<void> {
    const { peer } = stream
    const refusal = await this.#judge(peer, hello)
    if ('code' in refusal) {
      this.#c.onRefused(refusal.code)
      await refuse(stream, refusal.code)
      return
    }
    // Ours, if one is under way, gives way: the other end has seen the same and does not wait for it.
    this.#greeting.delete(peer)
    this.#accepting.add(peer)
    let link: Link
    try {
      await stream.send(encodeControl({ t: 'welcome', ...refusal.greeting }))
      link = this.#establish(stream, refusal.shown)
    } finally {
      this.#accepting.delete(peer)
    }
    greeted()
    await this.#run(link, link.tunnel)
  }

  /** Takes off what of the members' proofs has ended; tunnels whose member has nothing left to show end too. */
  async recheck (): Promise<void> {
    const nowMs = this.#c.clock.nowMs()
    for (const link of this.#links.values()) {
      const changed = await link.stations.recheck(this.#lifetime.signal)
      const { shown, peer } = link
      const revoked = shown.proof !== undefined && !await this.#check(peer, shown.proof).then(() => true, () => false)
      if (this.#lifetime.ended) return
      if (this.#links.get(peer) !== link) continue
      if (revoked && link.shown === shown) link.shown = { untilMs: 0 }
      if (Math.max(link.shown.untilMs, link.stations.untilMs) <= nowMs) {
        link.ending = 'left'
        link.tunnel.end(new PlantError('NOT_AUTHORISED', { peer, part: 'its proof has ended' }))
      } else if (changed) this.#stationsOf(link)
    }
  }

  /** Ends all, telling the members. */
  async leave (): Promise<void> {
    this.#leaving = true
    const told = Promise.all([...this.#links.values()].map(async ({ tunnel }) => tunnel.leave()))
    let cancel: Cancel = () => {}
    await Promise.race([told, new Promise<void>((resolve) => { cancel = this.#c.clock.after(LEAVE_MS, resolve) })])
    cancel()
    await this.#lifetime.end(new PlantError('INTERRUPTED'))
    for (const link of this.#links.values()) this.#drop(link)
  }

  async #check (peer: PeerId, proof: MembershipProof): Promise<Shown> {
    const { untilMs, granted } = await checkProof(this.#c, proof, peer, this.#c.network, this.#c.clock.nowMs(), this.#lifetime.signal)
    return { untilMs, ...(granted && { proof }) }
  }

  /** Whether a peer that greets is let in, and what it is answered with. */
  async #judge (peer: PeerId, hello: Hello): Promise<Refusal | { shown: Shown, greeting: Omit<Hello, 'network'> }> {
    const { members, transport } = this.#c
    let shown: Shown
    try {
      shown = await this.#check(peer, hello.proof)
    } catch (error) {
      this.#c.log.debug({ peer, code: asPlantError(error).code, networkId: this.#c.networkId }, 'a peer greeted without a proof that holds')
      return { code: 'NOT_AUTHORISED' }
    }
    const greeting = this.#c.greeting()
    if (this.#leaving || greeting === undefined) return { code: 'NOT_HERE' }
    if (members.isFull(peer)) return { code: 'LIMIT' }
    // Both dialled: the lower peer id's stream is the one.
    if (this.#accepting.has(peer) || (this.#greeting.has(peer) && transport.self < peer)) return { code: 'BUSY' }
    return { shown, greeting }
  }

  /** From here on this stream is the tunnel; one that was there before is read to its end. */
  #establish (stream: MessageStream, shown: Shown): Link {
    const { peer } = stream
    // Left while greeting: nobody would ever end it.
    if (this.#leaving) throw new PlantError('PEER_UNREACHABLE', { peer, problem: 'the network was left' })
    const known = this.#links.get(peer)
    const link = known ?? this.#newLink(peer, stream)
    link.shown = shown
    link.ending = 'lost'
    if (known !== undefined) {
      const before = known.tunnel
      known.stations.newStream()
      known.tunnel = this.#tunnel(() => known, known.queue, stream)
      before.retire()
    }
    this.#c.members.onUp(peer)
    for (const message of this.#c.snapshot()) link.tunnel.tell({ t: 'stations', ...message })
    const peers = this.#c.members.toTell(peer)
    if (peers.length > 0) link.tunnel.tell({ t: 'members', peers })
    link.tunnel.wake()
    if (stream.relayed === true) this.#tryDirect(link, DIRECT_FIRST_MS)
    this.#c.onChange()
    return link
  }

  #newLink (peer: PeerId, stream: MessageStream): Link {
    const queue = new FlowQueue(this.#c.random.int(2 ** 31))
    const port = this.#c.addPeer(peer, (frame) => {
      if (frame.bytes.length > FRAME_BYTES_MAX) return
      queue.push(frame, this.#c.clock.monotonicMs())
      link.tunnel.wake()
    })
    if (port === undefined) throw new PlantError('LIMIT', { bound: 'ports of a switch' })
    const link: Link = {
      peer, queue, port, stations: new PeerStations(this.#c, peer, this.#c.network), tunnel: this.#tunnel(() => link, queue, stream), entered: [], shown: { untilMs: 0 }, ending: 'lost'
    }
    this.#links.set(peer, link)
    return link
  }

  #tunnel (link: () => Link, queue: FlowQueue, stream: MessageStream): Tunnel {
    const tunnel: Tunnel = new Tunnel({
      stream,
      clock: this.#c.clock,
      queue,
      onFrames: (frames) => { link().port.onFrames(frames) },
      onControl: async (message) => this.#onControl(link(), tunnel, message)
    })
    return tunnel
  }

  async #run (link: Link, tunnel: Tunnel): Promise<void> {
    let failure: PlantError | undefined
    try {
      await tunnel.run()
    } catch (error) {
      failure = asPlantError(error)
      if (failure.code === 'MESSAGE_INVALID' || failure.code === 'LIMIT' || failure.code === 'STREAM_TOO_LONG') this.#c.onRefused(failure.code)
    }
    if (link.tunnel !== tunnel || this.#links.get(link.peer) !== link) return
    tunnel.end(failure ?? new PlantError('STREAM_RESET', { problem: 'the member ended the stream' }))
    this.#drop(link)
    this.#c.members.onEnd(link.peer, link.ending, this.#c.clock.monotonicMs())
    this.#c.log.debug({ peer: link.peer, networkId: this.#c.networkId, why: link.ending, code: failure?.code }, 'a tunnel has ended')
    this.#c.onChange()
  }

  #drop (link: Link): void {
    this.#links.delete(link.peer)
    this.#enter(link, [])
    link.port.remove()
  }

  async #onControl (link: Link, tunnel: Tunnel, message: Control): Promise<void> {
    // Of a stream that was replaced only frames count: the new one began with all that there is to tell.
    if (link.tunnel !== tunnel) return
    switch (message.t) {
      case 'stations':
        if (await link.stations.take(message, tunnel.stream.signal)) this.#stationsOf(link)
        return
      case 'members':
        this.#c.members.onNames(message.peers, this.#c.clock.monotonicMs(), { teller: link.peer })
        this.#c.onChange()
        return
      case 'leave':
        link.ending = 'left'
        tunnel.end(new PlantError('STREAM_RESET', { problem: 'the member has left' }))
        return
      case 'alive': return
      default: throw new PlantError('MESSAGE_INVALID', { path: 't', problem: 'a greeting after the greeting' })
    }
  }

  /** Members' stations are ranked anew whose cards are others' now. */
  rank (macs: ReadonlySet<string>): void {
    for (const link of this.#links.values()) if (link.entered.some(({ mac }) => macs.has(mac))) this.#toSwitch(link)
  }

  #stationsOf (link: Link): void {
    if (this.#links.get(link.peer) !== link) return
    this.#enter(link, link.stations.list)
    this.#toSwitch(link)
    this.#c.onChange()
  }

  #toSwitch (link: Link): void {
    link.port.setStations(link.entered.map((station) => ranked(this.#c.macs, station, link.peer)), link.stations.hasUplink)
  }

  /** Those that stay keep their place in line. */
  #enter (link: Link, stations: PortStation[]): void {
    const { macs } = this.#c
    const changed = new Set<string>()
    for (const station of stations) if (macs.enter(station, link.peer)) changed.add(station.mac)
    for (const station of link.entered) if (macs.leave(station, link.peer)) changed.add(station.mac)
    link.entered = stations
    if (changed.size > 0) this.#c.onOwners(changed)
  }

  /** As long as the tunnel goes through a relay, looks for a direct way now and then; a stream that comes of it takes its place. */
  #tryDirect (link: Link, afterMs: number): void {
    const { clock, random } = this.#c
    const { tunnel, peer } = link
    const cancel = clock.after(afterMs + random.int(afterMs), () => {
      if (link.tunnel !== tunnel || this.#links.get(peer) !== link) return
      void this.dial(peer, { direct: true }).then(() => {
        if (link.tunnel === tunnel && this.#links.get(peer) === link) this.#tryDirect(link, Math.min(DIRECT_MS_MAX, afterMs * LOOK_FACTOR))
      })
    })
    tunnel.stream.signal.addEventListener('abort', cancel, { once: true })
  }

  #end (peer: PeerId, why: Ending): void {
    this.#c.members.onEnd(peer, why, this.#c.clock.monotonicMs())
    this.#c.onChange()
  }
}
