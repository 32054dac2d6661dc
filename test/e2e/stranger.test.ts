/**
 * A third peer that speaks the protocols itself: no command line, no shop between. Every plant checks every call on its own (issue: Orders;
 * CONTRACT.md, Conventions).
 */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { startMesh, type Mesh } from '../../node/drivers/libp2p-mesh.ts'
import { loadOrMakeKey, makeKey } from '../../node/drivers/key-file.ts'
import { pinoLog } from '../../node/drivers/pino-log.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { SystemRandom } from '../../node/drivers/system-random.ts'
import { decodeTicket, encodeTicket } from '../../node/shop/ticket.ts'
import { asPlantError, keyIdOf, type PeerId, type Signer, type StreamLimits, type VmId } from '../../protocols/kit/index.ts'
import { AWARD_LIMITS, AWARD_PROTOCOL, BID_LIMITS, BID_PROTOCOL, decodeAwardAnswer, decodeCall, decodeCallAnswer, encodeAwardAsk, encodeCall, encodeCallAnswer } from '../../protocols/bid/index.ts'
import { askPlant, MACHINE_LIMITS, MACHINE_PROTOCOL, type MachineView } from '../../protocols/machine/index.ts'
import { decodeAsk, decodeTell, encodeAsk, type Tell } from '../../protocols/machine/messages.ts'
import { openCall, signCall, signHandOver, vmIdOfOrder, type Call, type OpenedOrderCall } from '../../protocols/member/index.ts'
import { CAPACITY_TOPIC, capacity, type Capacity } from '../../protocols/capacity/index.ts'
import { checkOrder, orderDigest, vmIdOf } from '../../protocols/order/index.ts'
import { TestHost, machinesOf, until, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plants: TestPlant[] = []
let stranger: Mesh
let machine: MachineView
let holder: TestPlant
let other: TestPlant
const never = new AbortController().signal
const strangerKey = makeKey()
const clock = new SystemClock()
const log = pinoLog({ level: 'error' })

/** A call that its signer handed to the stranger itself, unless told otherwise. */
function call (signer: Signer, what: Omit<Call, 'via' | 'issuedAtMs' | 'nonce'>, changes: Partial<Call> = {}): Uint8Array {
  return signCall(signer, { ...what, via: stranger.transport.self, issuedAtMs: Date.now(), nonce: randomBytes(16), ...changes })
}
function orderFile (more: Record<string, unknown> = {}): string {
  const file = join(host.dir, 'order.json')
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny' }, ...more }))
  return file
}
const ask = async (plant: TestPlant, signed: Uint8Array): Promise<unknown> => askPlant(stranger.transport, plant.peerId as PeerId, signed, {}, never)

beforeAll(async () => {
  plants = await host.mesh(2)
  machine = (await (plants[0] as TestPlant).cli(['create', '-f', orderFile(), '--id', 'mine', '--json'])).json
  holder = plants.find((p) => p.peerId === machine.plant) as TestPlant
  other = plants.find((p) => p !== holder) as TestPlant
  stranger = await startMesh({ key: strangerKey, listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: plants.flatMap((p) => p.addresses), mesh: 'plantmesh', mdns: false, clock, log, topics: [CAPACITY_TOPIC] })
  await until(() => stranger.transport.connected().length === 2, 10_000, 'the stranger is connected')
})
afterAll(async () => {
  await stranger.stop()
  await host.cleanUp()
})

describe('a peer that speaks the protocols itself', () => {
  test('is refused query, exec, console, publish and collect of another\'s machine by every plant', async () => {
    const vmId = machine.vmid as VmId
    for (const plant of plants) {
      const wanted = plant.peerId === machine.plant ? 'NOT_AUTHORISED' : 'VM_UNKNOWN'
      for (const what of [{ kind: 'query', vmId, body: {} }, { kind: 'exec', vmId, body: { script: 'id', timeoutMs: 1000 } }, { kind: 'console', vmId, body: {} }, { kind: 'publish', vmId, body: { name: 'stolen' } }, { kind: 'collect', vmId, body: {} }] as const) {
        await expect(ask(plant, call(strangerKey, what))).rejects.toMatchObject({ code: wanted })
      }
      const seen: MachineView[] = []
      await askPlant(stranger.transport, plant.peerId as PeerId, call(strangerKey, { kind: 'list', body: { all: true } }), { onEvent: (e) => { if (e.kind === 'machines') seen.push(...e.machines) } }, never)
      expect(seen).toEqual([])
    }
    expect(machinesOf(host.dir)).toHaveLength(1)
  })

  test('may relay what the owner signed for it, once', async () => {
    const owner = loadOrMakeKey(host.key('owner'))
    const plant = holder
    const signed = call(owner, { kind: 'exec', vmId: machine.vmid as VmId, body: { script: 'exit 5', timeoutMs: 10_000 } })
    expect(await ask(plant, signed)).toEqual({ kind: 'exit', status: 5 })
    await expect(ask(plant, signed)).rejects.toMatchObject({ code: 'CALL_REPLAYED' })
  })

  test('cannot use what the owner signed long ago, nor alter it', async () => {
    const owner = loadOrMakeKey(host.key('owner'))
    const plant = holder
    const query = { kind: 'query', vmId: machine.vmid as VmId, body: {} } as const
    await expect(ask(plant, call(owner, query, { issuedAtMs: Date.now() - 3_600_000 }))).rejects.toMatchObject({ code: 'CALL_STALE' })
    await expect(ask(plant, call(owner, query, { issuedAtMs: Date.now() + 3_600_000 }))).rejects.toMatchObject({ code: 'CALL_STALE' })
    const altered = call(owner, query)
    const at = altered.length - 70
    altered[at] = (altered[at] ?? 0) ^ 1
    await expect(ask(plant, altered)).rejects.toMatchObject({ code: expect.stringMatching(/SIGNATURE_INVALID|MESSAGE_INVALID/) })
  })

  test('gets no bid for an order that is not sound', async () => {
    for (const order of [{ apiVersion: 'plantmesh/v1', kind: 'Machine', software: {} }, { apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions: [{ id: 'a', after: ['a'], script: 'x' }] } }]) {
      const signedOrder = encodeTicket({ signedOrder: call(strangerKey, { kind: 'order', body: { orderId: 'bad', documentIndex: 0, copyIndex: 0, order } }), claimId: '0'.repeat(32), provisional: false })
      const stream = await stranger.transport.open((plants[0] as TestPlant).peerId as PeerId, BID_PROTOCOL, BID_LIMITS)
      await stream.send(encodeCall({ t: 0, callId: '0'.repeat(32), signedOrder, withinMs: 1000 }))
      const answer = decodeCallAnswer(await stream.receive() as Uint8Array)
      expect(answer).toMatchObject({ t: 1, refusal: { reasons: [{ code: 'ORDER_INVALID' }] } })
      stream.abort(new Error('done'))
    }
  })

  test('with rubbish, or no call at all, gets an error and the plant goes on', async () => {
    const peer = (plants[1] as TestPlant).peerId as PeerId
    for (const first of [Uint8Array.of(0xff, 0xff), new Uint8Array(0), randomBytes(1000), encodeAsk({ t: 2 }), encodeAsk({ t: 0, signedCall: randomBytes(300) })]) {
      const stream = await stranger.transport.open(peer, MACHINE_PROTOCOL, MACHINE_LIMITS)
      await stream.send(first)
      const answer = decodeTell(await stream.receive() as Uint8Array)
      expect(answer).toMatchObject({ t: 7, error: { code: expect.stringMatching(/MESSAGE_INVALID|SIGNATURE_INVALID/) } })
    }
    expect((await (plants[1] as TestPlant).cli(['query', machine.vmid])).status).toBe(0)
  })

  test('cannot use what the owner signed for a shop, whatever it asks for', async () => {
    const owner = loadOrMakeKey(host.key('owner'))
    const vmId = machine.vmid as VmId
    const document = { apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny' } }
    for (const via of plants.map((plant) => plant.peerId as PeerId)) {
      for (const what of [
        { kind: 'query', vmId, body: {} }, { kind: 'list', body: { all: true } }, { kind: 'exec', vmId, body: { script: 'id', timeoutMs: 1000 } }, { kind: 'console', vmId, body: {} },
        { kind: 'publish', vmId, body: { name: 'stolen' } }, { kind: 'collect', vmId, body: {} }, { kind: 'order', body: { orderId: 'mine', documentIndex: 0, copyIndex: 0, order: document } }
      ] as const) {
        const signed = call(owner, what, { via })
        if (what.kind === 'order') expect(vmIdOfOrder(openCall(new NodeCrypto(), signed) as never)).toBe(vmId)
        await expect(ask(holder, signed)).rejects.toMatchObject({ code: 'CALL_MISDIRECTED', details: { via } })
      }
    }
  })

  test('gets nothing from the plant by a call that a shop handed it because it says that it has the machine', async () => {
    const owner = loadOrMakeKey(host.key('owner'))
    const vmId = vmIdOf({ owner: keyIdOf(owner.publicKey), domain: 'default', orderId: 'prey', documentIndex: 0, copyIndex: 0 })
    await stranger.directory.provide(`vm/${vmId}`)
    const caught: Uint8Array[] = []
    const told: Tell[] = []
    const cancel = await stranger.transport.handle(MACHINE_PROTOCOL, MACHINE_LIMITS, async (stream) => {
      const ask = decodeAsk(await stream.receive() as Uint8Array)
      if (ask.t !== 0) throw new Error('not a call')
      caught.push(ask.signedCall)
      const onward = await stranger.transport.open(holder.peerId as PeerId, MACHINE_PROTOCOL, MACHINE_LIMITS)
      await onward.send(encodeAsk(ask))
      for (let bytes = await onward.receive(); bytes !== undefined; bytes = await onward.receive()) {
        told.push(decodeTell(bytes))
        await stream.send(bytes)
      }
      await stream.close()
    })
    const prey = await holder.cli(['create', '-f', orderFile({ requirements: `PeerId == "${holder.peerId}"` }), '--id', 'prey', '--json'])
    expect(prey.json).toMatchObject({ vmid: vmId, plant: holder.peerId })
    const ran = await other.cli(['exec', vmId, '--', 'echo', 'secret'])
    expect(ran).toMatchObject({ status: 0, stdout: 'secret\n' })
    expect(caught).toHaveLength(1)
    expect(told).toMatchObject([{ t: 7, error: { code: 'CALL_MISDIRECTED' } }])
    await expect(ask(holder, caught[0] as Uint8Array)).rejects.toMatchObject({ code: 'CALL_MISDIRECTED' })
    stranger.directory.withdraw(`vm/${vmId}`)
    cancel()
  })

  test('that was asked for a bid cannot follow the machine that another makes', async () => {
    const seen: Uint8Array[] = []
    const cancel = await stranger.transport.handle(BID_PROTOCOL, BID_LIMITS, async (stream) => {
      const { callId, signedOrder } = decodeCall(await stream.receive() as Uint8Array)
      seen.push(decodeTicket(signedOrder).signedOrder)
      const vmId = vmIdOfOrder(openCall(new NodeCrypto(), decodeTicket(signedOrder).signedOrder) as never)
      await stream.send(encodeCallAnswer({ t: 0, bid: { bidId: callId, vmId, plant: stranger.transport.self, items: [{ item: 'dear', cost: 1e12, why: 'to lose' }], total: 1e12, expiresInMs: 10_000 } }))
      await stream.close()
    })
    const view = await boast(stranger)
    try {
      await until(async () => (await other.cli(['plants', '--json'])).json.length === 3, 10_000, 'the stranger is in view')
      const made = (await other.cli(['create', '-f', orderFile(), '--id', 'auctioned', '--json'])).json
      const winner = plants.find((p) => p.peerId === made.plant) as TestPlant
      expect(made).toMatchObject({ state: 'running' })
      expect(seen).toHaveLength(1)
      for (const plant of plants) await expect(ask(plant, seen[0] as Uint8Array).catch((error: unknown) => { throw asPlantError(error) })).rejects.toMatchObject({ code: 'CALL_MISDIRECTED' })
      // Asked again through another shop it is signed anew, and the same machine.
      const again = (await winner.cli(['create', '-f', orderFile(), '--id', 'auctioned', '--json'])).json
      expect(again.vmid).toBe(made.vmid)
    } finally {
      await view.stop()
      cancel()
    }
  })

  test('that was shown an order cannot have its machine made: only its shop hands it over', async () => {
    const owner = loadOrMakeKey(host.key('owner'))
    const [shop, maker] = [plants[0] as TestPlant, plants[1] as TestPlant]
    const shown = call(owner, { kind: 'order', body: { orderId: 'shown', documentIndex: 0, copyIndex: 0, order: { apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny' } } } }, { via: shop.peerId as PeerId })
    const opened = openCall(new NodeCrypto(), shown) as OpenedOrderCall
    const signedOrder = encodeTicket({ signedOrder: shown, claimId: '0'.repeat(32), provisional: false })
    const vmId = vmIdOfOrder(opened)
    const handOver = { vmId, orderDigest: orderDigest(checkOrder(opened.body.order)), to: maker.peerId as PeerId, issuedAtMs: Date.now() }
    const asked = async (protocol: string, limits: StreamLimits, question: Uint8Array): Promise<Uint8Array> => {
      const stream = await stranger.transport.open(maker.peerId as PeerId, protocol, limits)
      await stream.send(question)
      const answer = await stream.receive() as Uint8Array
      await stream.close()
      return answer
    }
    for (const handOvers of [[], [signHandOver(strangerKey, handOver)], [signHandOver(owner, handOver)]]) {
      const call = decodeCallAnswer(await asked(BID_PROTOCOL, BID_LIMITS, encodeCall({ t: 0, callId: '0'.repeat(32), signedOrder, withinMs: 1000 })))
      if (call.t !== 0) throw new Error('no bid')
      const answer = decodeAwardAnswer(await asked(AWARD_PROTOCOL, AWARD_LIMITS, encodeAwardAsk({ t: 0, bidId: call.bid.bidId, vmId, signedOrder, handOvers })))
      expect(answer).toMatchObject({ t: 1, refusal: { reasons: [{ code: 'NOT_AUTHORISED' }] } })
    }
    expect((await maker.cli(['query', vmId])).status).toBe(4)
  })
})

/** Says by gossip that it has all the room one could wish for. */
async function boast (mesh: Mesh): Promise<Capacity> {
  const { transport, pubsub } = mesh
  const view = capacity()({ clock, random: new SystemRandom(), pubsub, transport, signer: strangerKey, crypto: new NodeCrypto(), log })
  const plenty = 1_000_000
  view.setOwn({
    site: '', isa: 'x86_64', accelerator: 'kvm', cpus: plenty, freeCpus: plenty, memoryMiB: plenty, freeMemoryMiB: plenty, diskMiB: plenty, freeDiskMiB: plenty,
    machines: plenty, freeMachines: plenty, freeNetworks: plenty, load: 0, goldenMachines: [{ name: 'tiny', os: 'tiny', isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }], goldenMore: false
  })
  await view.start()
  return view
}
