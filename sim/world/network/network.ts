/** The network of a world: which processes are on it, and what each of them is given of it. */
import type { Cancel, Clock, Crypto, Directory, Log, PeerId, PubSub } from '../../../protocols/kit/index.ts'
import type { LinkSpec } from '../../scenario/index.ts'
import type { Life } from '../life.ts'
import { RandomStream } from '../../kernel/index.ts'
import type { Timeline } from '../timeline.ts'
import { connect, type ConnectionEnd, type EndOwner } from './connection.ts'
import { SimDirectory, type RecordRules } from './directory.ts'
import { Links, type Sides } from './links.ts'
import { Neighbours } from './neighbours.ts'
import { SimPubSub, type Gossip } from './pubsub.ts'
import type { StreamWatch } from './stream.ts'
import { SimTransport } from './transport.ts'

/** What the world is told of the network. */
export interface NetworkWatch extends StreamWatch {
  gossiped (gossip: Gossip): void
  gossipTaken (at: PeerId, gossip: Gossip, verdict: string): void
  asked (at: PeerId, what: 'provide' | 'find' | 'put' | 'get', key: string): void
  neighbour (at: PeerId, peer: PeerId, change: 'joined' | 'left'): void
}

export interface NetworkInit {
  timeline: Timeline
  seed: string
  link (from: PeerId, to: PeerId): LinkSpec
  watch: NetworkWatch
}

/** What one life of a process is given. */
export interface ProcessInit {
  self: PeerId
  life: Life
  clock: Clock
  crypto: Crypto
  log: Log
  topics: readonly string[]
  rules: Record<string, RecordRules>
  bootstrap: readonly PeerId[]
}

/** A process on the network. */
export class NetProcess implements EndOwner {
  readonly self: PeerId
  readonly life: Life
  readonly transport: SimTransport
  readonly pubsub: SimPubSub & PubSub
  readonly directory: SimDirectory & Directory
  readonly neighbours: Neighbours

  constructor (network: Network, { timeline, seed, watch }: NetworkInit, init: ProcessInit) {
    const { self, life, clock, crypto, log } = init
    this.self = self
    this.life = life
    const links = network.links
    const rng = new RandomStream(seed, 'net', self, life.incarnation)
    const parts = { timeline, links, rng }
    this.neighbours = new Neighbours({ ...parts, self, life, clock, random: rng, target: (peer) => network.target(this, peer), others: () => network.running() })
    const onNeighbour = (fn: (peer: PeerId, change: 'joined' | 'left') => void): Cancel => this.neighbours.onNeighbour(fn)
    onNeighbour((peer, change) => { watch.neighbour(self, peer, change) })
    this.transport = new SimTransport({
      self, life, clock, log, watch,
      dial: async (peer, signal) => this.neighbours.dial(peer, signal),
      connected: () => this.neighbours.list(),
      onNeighbour,
      transportAt: (end) => network.processAt(end).transport
    })
    this.pubsub = new SimPubSub({
      self, life, timeline, rng, topics: init.topics,
      ends: () => this.neighbours.ends(),
      pubsubAt: (end) => network.processAt(end).pubsub,
      onPublish: (gossip) => { watch.gossiped(gossip) },
      onTaken: (gossip, verdict) => { watch.gossipTaken(self, gossip, verdict) }
    })
    this.directory = new SimDirectory({
      self, life, clock, crypto, timeline, links, rules: init.rules,
      neighbours: () => this.neighbours.size,
      onNeighbour,
      peers: () => network.peers(),
      at: (peer) => network.process(peer)?.directory,
      onAsk: (what, key) => { watch.asked(self, what, key) }
    })
  }

  onClosed (end: ConnectionEnd): void { this.neighbours.left(end) }
}

/** Hosts and processes that can be reached, and the links between them. */
export class Network {
  readonly links: Links
  readonly #init: NetworkInit
  readonly #processes = new Map<PeerId, NetProcess>()
  /** Hosts that answer, also without a process: they refuse. */
  readonly #up = new Set<PeerId>()
  readonly #known = new Set<PeerId>()

  constructor (init: NetworkInit) {
    this.#init = init
    this.links = new Links(init.link)
  }

  /** Puts a process on the network; it begins to look for its bootstrap peers. */
  join (init: ProcessInit): NetProcess {
    const process = new NetProcess(this, this.#init, init)
    this.#processes.set(init.self, process)
    this.#up.add(init.self)
    this.#known.add(init.self)
    process.neighbours.start(init.bootstrap)
    return process
  }

  process (peer: PeerId): NetProcess | undefined { return this.#processes.get(peer) }
  running (): PeerId[] { return [...this.#processes.keys()] }
  peers (): PeerId[] { return [...this.#known] }

  processAt (end: ConnectionEnd): NetProcess { return end.owner as NetProcess }

  /** The process has died; `silent` when its host has too, and nothing resets its connections. */
  gone (peer: PeerId, silent: boolean): void {
    const process = this.#processes.get(peer)
    this.#processes.delete(peer)
    if (silent) this.#up.delete(peer)
    for (const end of process?.neighbours.ends() ?? []) end.processGone(silent)
  }

  /** The host answers again, if only to refuse. */
  hostUp (peer: PeerId): void { this.#up.add(peer) }

  /** Nothing passes one way, or both; connections between the sides find out by and by. */
  cut (sides: Sides, oneWay: boolean): () => void {
    const undo = [this.links.cut(sides)]
    if (!oneWay) undo.push(this.links.cut({ from: sides.to, to: sides.from }))
    for (const process of this.#processes.values()) {
      for (const end of process.neighbours.ends()) if (this.links.isBroken(end.owner.self, end.peer)) end.noticeSilence()
    }
    return () => { for (const one of undo) one() }
  }

  /** A process that stands still for long is taken for dead by its neighbours. */
  stoodStill (peer: PeerId): void {
    for (const end of this.#processes.get(peer)?.neighbours.ends() ?? []) end.far.noticeSilence()
  }

  target (from: NetProcess, peer: PeerId): { connect: () => ConnectionEnd } | 'refused' | 'silent' {
    const to = this.#processes.get(peer)
    if (to === undefined) return this.#up.has(peer) ? 'refused' : 'silent'
    return {
      connect: () => {
        const rng = new RandomStream(this.#init.seed, 'link', `${from.self}/${peer}`, this.#init.timeline.nowUs)
        const [near, far] = connect({ timeline: this.#init.timeline, links: this.links, rng }, from, to)
        to.neighbours.joined(far)
        from.neighbours.joined(near)
        return near
      }
    }
  }
}
