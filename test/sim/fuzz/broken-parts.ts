/** Plants with one part broken, put in through the composition's components: what the checkers must catch. */
import { startPlantNode, type PlantNodeComponents } from '../../../node/composition/plant-node.ts'
import { AWARD_PROTOCOL } from '../../../protocols/bid/index.ts'
import { decodeHoldingsAsk, encodeKept } from '../../../protocols/image/holdings-messages.ts'
import { HOLDINGS_PROTOCOL, HOLDINGS_TOPIC } from '../../../protocols/image/holdings-limits.ts'
import { CLAIM_PROTOCOL, decodeAsk, encodeAnswer } from '../../../protocols/claim/index.ts'
import type { MessageStream, VmId } from '../../../protocols/kit/index.ts'
import type { LiveMachine } from '../../../node/lines/line.ts'
import type { SimPack } from '../../../sim/world/images/sim-pack.ts'
import type { Compose } from '../../../sim/world/plant.ts'
import type { MachineRecord } from '../../../storage/records/records.ts'

/** Wrong decision: every registrar grants whatever it is asked. */
export const registrarsThatGrantAll: Compose = async (init, c, signal) => {
  const yes = async (stream: MessageStream): Promise<void> => {
    for (let bytes = await stream.receive(); bytes !== undefined; bytes = await stream.receive()) {
      const ask = decodeAsk(bytes)
      await stream.send(encodeAnswer(ask.t === 0 || ask.t === 2 ? { t: 0 } : ask.t === 3 ? { t: 6, rivals: [], full: [] } : { t: 5 }))
    }
  }
  const transport: PlantNodeComponents['transport'] = {
    self: c.transport.self,
    open: async (...args) => c.transport.open(...args),
    connected: () => c.transport.connected(),
    onNeighbour: (fn) => c.transport.onNeighbour(fn),
    handle: async (protocol, limits, handler) => c.transport.handle(protocol, limits, protocol === CLAIM_PROTOCOL ? yes : handler)
  }
  return startPlantNode(init, { ...c, transport }, signal)
}

/** Broken book: a ledger that takes the plant for twice as big. */
export const plantsThatOvercommit: Compose = async (init, c, signal) => {
  const { cpus, memoryMiB, diskMiB, machines, networks } = init.capacity
  return startPlantNode({ ...init, capacity: { cpus: 2 * cpus, memoryMiB: 2 * memoryMiB, diskMiB: 2 * diskMiB, machines: 2 * machines, networks: 2 * networks } }, c, signal)
}

/** Broken promise: records of machines are on disk a second after they were said to be. */
export const recordsThatLag: Compose = async (init, c, signal) => {
  const late = new Map<VmId, MachineRecord>()
  const orders = new Map<VmId, Uint8Array>()
  const { records, clock } = c
  const lagging: PlantNodeComponents['records'] = {
    putMachine (record, signedOrder) {
      late.set(record.vmId, record)
      if (signedOrder !== undefined) orders.set(record.vmId, signedOrder)
      clock.after(1_000, () => {
        const newest = late.get(record.vmId)
        late.delete(record.vmId)
        if (newest !== undefined) records.putMachine(newest, orders.get(record.vmId))
        orders.delete(record.vmId)
      })
    },
    machine: (vmId) => late.get(vmId) ?? records.machine(vmId),
    signedOrder: (vmId) => orders.get(vmId) ?? records.signedOrder(vmId),
    machines: (states) => {
      const all = new Map([...records.machines().map((record) => [record.vmId, record] as const), ...late])
      return [...all.values()].filter(({ state }) => states === undefined || states.includes(state))
    },
    owners: () => records.owners(),
    machinesOf: (whose, states) => records.machinesOf(whose, states),
    hasLive: (domain, domainKey) => records.hasLive(domain, domainKey),
    saveMarks: (changes) => { records.saveMarks(changes) },
    marks: () => records.marks(),
    noteUse: (goldenId, atMs) => { records.noteUse(goldenId, atMs) },
    templateUses: () => records.templateUses(),
    noteCopy: (goldenId, atMs) => { records.noteCopy(goldenId, atMs) },
    dropCopy: (goldenId) => { records.dropCopy(goldenId) },
    copies: () => records.copies(),
    dropMachine: (vmId) => {
      late.delete(vmId)
      records.dropMachine(vmId)
    },
    forget: (ms) => records.forget(ms),
    putDecision: (record) => { records.putDecision(record) },
    decision: (owner, orderId) => records.decision(owner, orderId),
    putGrant: (grant) => { records.putGrant(grant) },
    grants: () => records.grants(),
    saveClaims: (changes) => { records.saveClaims(changes) },
    claims: () => records.claims(),
    saveKnownPlants: (known) => { records.saveKnownPlants(known) },
    knownPlants: () => records.knownPlants(),
    seenCall: (call, ms) => records.seenCall(call, ms),
    close: () => { records.close() }
  }
  return startPlantNode(init, { ...c, records: lagging }, signal)
}

/** A leak: what is destroyed stays where it is. */
export const machinesThatStay: Compose = async (init, c, signal) => {
  const { line } = c
  const staying = (machine: LiveMachine): LiveMachine => new Proxy(machine, {
    get: (target, name) => {
      if (name === 'destroy') return async () => {}
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) as unknown : value
    }
  })
  const leaky = new Proxy(line, {
    get: (target, name) => {
      if (name === 'clone') return async (...args: Parameters<typeof line.clone>) => staying(await target.clone(...args))
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) as unknown : value
    }
  })
  return startPlantNode(init, { ...c, line: leaky }, signal)
}

/** Broken promise: registrars write down nothing of what they grant. */
export const registrarsThatForget: Compose = async (init, c, signal) => startPlantNode(init, { ...c, records: without(c.records, 'saveClaims') }, signal)

/** Broken promise: registrars write down what they grant, and do not read it when they start again. */
export const registrarsThatStartAnew: Compose = async (init, c, signal) => startPlantNode(init, { ...c, records: without(c.records, 'claims', []) }, signal)

/** A leak: the directory is never told that a machine is gone. */
export const directoriesThatKeep: Compose = async (init, c, signal) => startPlantNode(init, { ...c, directory: without(c.directory, 'withdraw') }, signal)

/** A leak: one timer, far in the future, for each stream that a plant serves. */
export const timersThatStay: Compose = async (init, c, signal) => {
  const { transport, clock } = c
  return startPlantNode(init, {
    ...c,
    transport: {
      self: transport.self,
      open: async (...args) => transport.open(...args),
      connected: () => transport.connected(),
      onNeighbour: (fn) => transport.onNeighbour(fn),
      handle: async (protocol, limits, handler) => transport.handle(protocol, limits, async (stream) => {
        if (protocol === AWARD_PROTOCOL) clock.after(FAR_MS, () => {})
        return handler(stream)
      })
    }
  }, signal)
}

const FAR_MS = 1e9

/** The same part, of which one thing to do is not done, and answers always the same. */
function without<T extends object> (part: T, left: keyof T, answer?: unknown): T {
  return new Proxy(part, {
    get: (target, name) => {
      if (name === left) return () => answer
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) as unknown : value
    }
  })
}

/** A lost identity: the line gives every clone the same address. */
export const clonesWithOneAddress: Compose = async (init, c, signal) => {
  const { line } = c
  const alike = new Proxy(line, {
    get: (target, name) => {
      if (name === 'clone') return async (request: Parameters<typeof line.clone>[0], until?: AbortSignal) => target.clone({ ...request, mac: '02:00:00:00:00:01' }, until)
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) as unknown : value
    }
  })
  return startPlantNode(init, { ...c, line: alike }, signal)
}

/** Broken trust: whatever is signed is believed, whoever signed it. */
export const plantsThatBelieveSignatures: Compose = async (init, c, signal) => startPlantNode(init, { ...c, crypto: { sha256: (bytes) => c.crypto.sha256(bytes), verify: () => true } }, signal)

/** Short memory: a call that was honoured may be shown again. */
export const plantsThatForgetCalls: Compose = async (init, c, signal) => startPlantNode(init, { ...c, records: without(c.records, 'seenCall', true) }, signal)

/** The same part, of which some is done otherwise. */
function otherwise<T extends object> (part: T, how: Partial<T>): T {
  return new Proxy(part, {
    get: (target, name) => {
      const value: unknown = Reflect.get(name in how ? how : target, name, target)
      return typeof value === 'function' ? value.bind(name in how ? how : target) as unknown : value
    }
  })
}

/** Broken trust: whatever is said to be a piece is kept. */
export const packsThatKeepAnything: Compose = async (init, c, signal) => {
  if (c.images === undefined) return startPlantNode(init, c, signal)
  const { store } = c.images
  const trusting = <P extends object>(pack: P): P => otherwise(pack, { write: async (index: number, bytes: Uint8Array) => (pack as unknown as SimPack).keep(index, bytes) } as unknown as Partial<P>)
  type Coming = Awaited<ReturnType<typeof store.receive>>
  const coming = (one: Coming): Coming => otherwise(one, { packs: one.packs.map((wanted) => otherwise(wanted, { pack: trusting(wanted.pack) })) })
  const broken = otherwise(store, { receive: async (...args) => coming(await store.receive(...args)), incoming: () => store.incoming().map(coming) })
  return startPlantNode(init, { ...c, images: { ...c.images, store: broken } }, signal)
}

/** A template that is lost: after a while a plant clears its shelf, whoever else has what is on it. */
export const shelvesThatAreCleared: Compose = async (init, c, signal) => {
  c.clock.after(30_000, () => { for (const { goldenId } of c.warehouse.list()) c.warehouse.remove(goldenId).catch(() => {}) })
  return startPlantNode(init, c, signal)
}

/** Fetches that wait for ever for somebody who has what they want. */
export const fetchesThatWait: Compose = async (init, c, signal) => {
  if (c.images === undefined) return startPlantNode(init, c, signal)
  const { swarm } = c.images
  return startPlantNode(init, { ...c, images: { ...c.images, swarm: otherwise(swarm, { fetch: (pack, how) => swarm.fetch(pack, { ...how, stalledMs: Infinity }) }) } }, signal)
}

/** Each pack is fetched twice at once. */
export const fetchesThatAreDoubled: Compose = async (init, c, signal) => {
  if (c.images === undefined) return startPlantNode(init, c, signal)
  const { swarm } = c.images
  const twice: typeof swarm.fetch = (pack, how) => {
    const pieces = [...how.pieces ?? []]
    swarm.fetch(pack, { ...how, pieces }).done.catch(() => {}) // The other one is waited for.
    return swarm.fetch(pack, { ...how, pieces })
  }
  return startPlantNode(init, { ...c, images: { ...c.images, swarm: otherwise(swarm, { fetch: twice }) } }, signal)
}

/** Nobody is told what is on a plant's shelf after it has started, neither by gossip nor by neighbours that are asked again. */
export const shelvesThatAreKeptQuiet: Compose = async (init, c, signal) => {
  const { pubsub, transport } = c
  const quiet = otherwise(transport, {
    open: async (to, protocol, limits, until) => {
      const stream = await transport.open(to, protocol, limits, until)
      if (protocol !== HOLDINGS_PROTOCOL) return stream
      // What is asked by a summary is asked by this plant's own, which lacks nothing.
      return otherwise(stream, { send: async (bytes) => decodeHoldingsAsk(bytes).t === 4 ? stream.abort(new Error('not asked')) : stream.send(bytes) })
    }
  })
  return startPlantNode(init, { ...c, transport: quiet, pubsub: otherwise(pubsub, { publish: async (topic, message) => topic === HOLDINGS_TOPIC ? undefined : pubsub.publish(topic, message) }) }, signal)
}

/** Copies are given up on the word of nobody: whoever is asked to keep its own is taken to have said so. */
export const copiesGivenUpUnasked: Compose = async (init, c, signal) => {
  const { transport } = c
  const unasked = otherwise(transport, {
    open: async (to, protocol, limits, until) => {
      if (protocol !== HOLDINGS_PROTOCOL) return transport.open(to, protocol, limits, until)
      let kept: Uint8Array | undefined
      let opened: MessageStream | undefined
      const nobody: MessageStream = {
        peer: to,
        protocol,
        signal: new AbortController().signal,
        send: async (bytes) => {
          const ask = decodeHoldingsAsk(bytes)
          if (ask.t === 3) kept = encodeKept(ask.goldenIds)
          else {
            opened = await transport.open(to, protocol, limits, until)
            await opened.send(bytes)
          }
        },
        receive: async (options) => kept ?? opened?.receive(options),
        close: async () => opened?.close(),
        abort: (reason) => { opened?.abort(reason) }
      }
      return nobody
    }
  })
  return startPlantNode(init, { ...c, transport: unasked }, signal)
}
