/**
 * Plants that lie. Beneath the lie the plant is the daemon's own; what it says to others goes through here. A liar knows its own key only, and what
 * it was told: it can say anything about itself, hand old words of others on, and break its promises.
 */
import { PlantError, type MessageStream, type PeerId, type StreamHandler, type Transport } from '../../protocols/kit/index.ts'
import { AWARD_PROTOCOL, BID_PROTOCOL, decodeAwardAsk, decodeCallAnswer, encodeAwardAnswer, encodeCallAnswer, refusalOf } from '../../protocols/bid/index.ts'
import { CAPACITY_TOPIC, VIEW_PROTOCOL } from '../../protocols/capacity/index.ts'
import { decodeAdvert, decodeViewPart, encodeAdvert, encodeViewPart } from '../../protocols/capacity/messages.ts'
import { CLAIM_PROTOCOL, decodeAnswer, decodeAsk, encodeAnswer, type Ask } from '../../protocols/claim/index.ts'
import type { PlantNodeComponents } from '../../node/composition/plant-node.ts'
import { never } from './life.ts'

/**
 * `capacity`: advertises room that it does not have. `silence`: never answers. `verdicts`: as registrar, answers claims and confirmations with what it
 * likes. `holds`: says that it holds machines it does not, and had them before those that do. `lowball`: bids next to nothing and refuses the
 * award. `replay`: hands on the oldest advert it knows of each plant as if it were fresh. `repeat`: as shop, says each award twice. `forge`: makes up
 * adverts of others, without their keys.
 */
export const LIES = ['capacity', 'silence', 'verdicts', 'holds', 'lowball', 'replay', 'repeat', 'forge'] as const
/** What only a source of pieces can do. `wrongPieces`: sends something else. `stalls`: says that it has all, and sends nothing. */
export const SWARM_LIES = ['wrongPieces', 'stalls'] as const
export type Lie = typeof LIES[number] | typeof SWARM_LIES[number]

/** As long as a proof of the claim protocol is. */
const PROOF_BYTES = 32
/** As long as Ed25519's. */
const SIGNATURE_BYTES = 64
/** What a lying plant pretends to have. */
const PLENTY = 1_000_000

/** Told of each lie as it is told. */
type Told = (lie: Lie) => void

/** The parts of a plant that tells these lies; the set may change while it runs. */
export function liarParts (honest: PlantNodeComponents, lies: ReadonlySet<Lie>, told: Told = () => {}): PlantNodeComponents {
  const oldest = new Map<PeerId, Uint8Array>()
  const remember = (message: Uint8Array): void => {
    const { by } = decodeAdvert(message).advert
    if (!oldest.has(by)) oldest.set(by, message)
  }
  return {
    ...honest,
    transport: lyingTransport({ c: honest, lies, oldest, told }),
    pubsub: {
      publish: async (topic, message) => {
        if (topic === CAPACITY_TOPIC && lies.has('forge')) {
          for (const known of oldest.values()) await honest.pubsub.publish(topic, forged(known, told))
        }
        return honest.pubsub.publish(topic, topic === CAPACITY_TOPIC && lies.has('capacity') ? boastful(message, honest, told) : message)
      },
      subscribe: async (topic, handler) => honest.pubsub.subscribe(topic, (from, message) => {
        const verdict = handler(from, message)
        if (topic === CAPACITY_TOPIC && verdict === 'accept') remember(message)
        return verdict
      })
    }
  }
}

/** The same advert with all the room one could wish for. */
function boastful (message: Uint8Array, { signer }: PlantNodeComponents, told: Told): Uint8Array {
  const { advert } = decodeAdvert(message)
  if (advert.ad === undefined) return message
  told('capacity')
  const ad = { ...advert.ad, freeCpus: PLENTY, freeMemoryMiB: PLENTY, freeDiskMiB: PLENTY, freeMachines: PLENTY, freeNetworks: PLENTY, cpus: PLENTY, memoryMiB: PLENTY, diskMiB: PLENTY, machines: PLENTY, load: 0 }
  return encodeAdvert({ ...advert, ad }, (bytes) => signer.sign(bytes))
}

/** A newer advert of its author, full of promises, under a signature that is none. */
function forged (message: Uint8Array, told: Told): Uint8Array {
  const { advert } = decodeAdvert(message)
  if (advert.ad === undefined) return message
  told('forge')
  return encodeAdvert({ ...advert, seq: advert.seq + PLENTY, ad: { ...advert.ad, freeCpus: PLENTY, freeMemoryMiB: PLENTY, freeMachines: PLENTY, load: 0 } }, () => new Uint8Array(SIGNATURE_BYTES))
}

/** What a liar has to lie with. */
interface Liar { c: PlantNodeComponents, lies: ReadonlySet<Lie>, oldest: ReadonlyMap<PeerId, Uint8Array>, told: Told }

function lyingTransport (liar: Liar): Transport {
  const { c: { transport }, lies, told } = liar
  return {
    self: transport.self,
    async open (peer, protocol, limits, signal) {
      const stream = await transport.open(peer, protocol, limits, signal)
      return protocol === AWARD_PROTOCOL && lies.has('repeat') ? repeating(stream, told, async () => transport.open(peer, protocol, limits, signal)) : stream
    },
    connected: () => transport.connected(),
    onNeighbour: (fn) => transport.onNeighbour(fn),
    handle: async (protocol, limits, handler) => transport.handle(protocol, limits, async (stream) => {
      if (lies.size === 0) return handler(stream)
      if (lies.has('silence')) {
        told('silence')
        return silent(stream)
      }
      if (protocol === AWARD_PROTOCOL && lies.has('lowball')) return refuseAwards(stream, transport.self)
      return handler(lyingStream(stream, protocol, liar))
    })
  }
}

/** Takes what is said and never answers; the other side's patience ends it. */
const silent: StreamHandler = async (stream) => {
  while (await stream.receive({ timeoutMs: 60_000 }) !== undefined) { /* Not a word. */ }
  await never()
}

async function refuseAwards (stream: MessageStream, self: PeerId): Promise<void> {
  const bytes = await stream.receive()
  if (bytes === undefined) return
  decodeAwardAsk(bytes)
  await stream.send(encodeAwardAnswer({ t: 1, plant: self, refusal: refusalOf([{ code: 'CAPACITY_SHORT', clause: 'hardware', waitHelps: true }]) }))
  await stream.close()
}

/** What is said on it is said on a second stream too, at the same time. */
function repeating (stream: MessageStream, told: Told, again: () => Promise<MessageStream>): MessageStream {
  return {
    peer: stream.peer,
    protocol: stream.protocol,
    signal: stream.signal,
    close: async () => stream.close(),
    abort: (reason) => { stream.abort(reason) },
    receive: async (options) => stream.receive(options),
    async send (message) {
      again().then(async (second) => {
        await second.send(message)
        told('repeat')
        await second.close()
        await second.receive()
      }).catch(() => {}) // Whatever is said to it.
      return stream.send(message)
    }
  }
}

/** A stream whose answers are lies. */
function lyingStream (stream: MessageStream, protocol: string, liar: Liar): MessageStream {
  let asked: Ask | undefined
  return {
    peer: stream.peer,
    protocol: stream.protocol,
    signal: stream.signal,
    close: async () => stream.close(),
    abort: (reason) => { stream.abort(reason) },
    async receive (options) {
      const bytes = await stream.receive(options)
      if (bytes !== undefined && protocol === CLAIM_PROTOCOL) asked = decodeAsk(bytes)
      return bytes
    },
    send: async (message) => stream.send(twist(message, protocol, asked, liar))
  }
}

function twist (message: Uint8Array, protocol: string, asked: Ask | undefined, liar: Liar): Uint8Array {
  const { lies } = liar
  try {
    if (protocol === BID_PROTOCOL) return twistBid(message, liar)
    if (protocol === CLAIM_PROTOCOL && asked !== undefined) return twistVerdict(message, asked, liar)
    if (protocol === VIEW_PROTOCOL && lies.has('replay')) return replayed(message, liar)
    if (protocol === VIEW_PROTOCOL && lies.has('forge')) return forgedView(message, liar)
    return message
  } catch (error) {
    if (error instanceof PlantError) return message // Not one it understands: it says what the plant says.
    throw error
  }
}

function replayed (message: Uint8Array, { oldest, told }: Liar): Uint8Array {
  return encodeViewPart(decodeViewPart(message).map(({ advert }) => {
    const old = oldest.get(decodeAdvert(advert).advert.by) ?? advert
    if (old.some((byte, i) => byte !== advert[i])) told('replay')
    return { advert: old, ageMs: 0 }
  }))
}

function forgedView (message: Uint8Array, { c: { transport: { self } }, told }: Liar): Uint8Array {
  return encodeViewPart(decodeViewPart(message).map(({ advert }) => ({ advert: decodeAdvert(advert).advert.by === self ? advert : forged(advert, told), ageMs: 0 })))
}

function twistBid (message: Uint8Array, { c: { transport: { self } }, lies, told }: Liar): Uint8Array {
  const answer = decodeCallAnswer(message)
  if (answer.t !== 0) return message
  if (lies.has('holds')) {
    told('holds')
    return encodeCallAnswer({ t: 2, held: { vmId: answer.bid.vmId, plant: self, state: 'running', leasedAtMs: 1 } })
  }
  if (!lies.has('lowball')) return message
  told('lowball')
  return encodeCallAnswer({ t: 0, bid: { ...answer.bid, items: [{ item: 'special offer', cost: 0, why: 'today only' }], total: 0 } })
}

function twistVerdict (message: Uint8Array, asked: Ask, { c: { transport: { self }, random }, lies, told }: Liar): Uint8Array {
  const answer = decodeAnswer(message)
  if (lies.has('holds')) {
    const twisted = twistHolder(asked, self)
    if (twisted !== undefined) {
      told('holds')
      return encodeAnswer(twisted)
    }
  }
  if (!lies.has('verdicts') || (asked.t !== 0 && asked.t !== 2) || answer.t > 4) return message
  told('verdicts')
  switch (random.int(4)) {
    case 0: return encodeAnswer({ t: 1, shop: self, leftMs: 10_000 })
    case 1: return encodeAnswer({ t: 2, holder: self, orderDigest: asked.orderDigest, awardedAtMs: 1, settled: true })
    case 2: return encodeAnswer({ t: 4 })
    default: return encodeAnswer({ t: 0 })
  }
}

/** It had all machines first, and does not know their orders: what it shows for a proof is none. */
function twistHolder (asked: Ask, self: PeerId): ReturnType<typeof decodeAnswer> | undefined {
  if (asked.t === 3 && asked.holdings.length > 0) return { t: 6, rivals: asked.holdings.map(({ vmId }) => ({ vmId, holder: self, awardedAtMs: 1 })), full: [] }
  return asked.t === 4 ? { t: 7, orderDigest: asked.orderDigest, awardedAtMs: 1, proof: new Uint8Array(PROOF_BYTES) } : undefined
}
