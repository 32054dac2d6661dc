/**
 * A third peer that speaks the protocols itself: no command line, no shop between. Every plant checks every call on its own (issue: Orders;
 * CONTRACT.md, Conventions).
 */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startMesh, type Mesh } from '../../node/drivers/libp2p-mesh.ts'
import { loadOrMakeKey, makeKey } from '../../node/drivers/key-file.ts'
import { pinoLog } from '../../node/drivers/pino-log.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { encodeTicket } from '../../node/shop/ticket.ts'
import type { PeerId, Signer, VmId } from '../../protocols/kit/index.ts'
import { BID_LIMITS, BID_PROTOCOL, decodeCallAnswer, encodeCall } from '../../protocols/bid/index.ts'
import { askPlant, MACHINE_LIMITS, MACHINE_PROTOCOL, type MachineView } from '../../protocols/machine/index.ts'
import { decodeTell, encodeAsk } from '../../protocols/machine/messages.ts'
import { signCall, type Call } from '../../protocols/member/index.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TestHost, machinesOf, until, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plants: TestPlant[] = []
let stranger: Mesh
let machine: MachineView
const never = new AbortController().signal
const strangerKey = makeKey()

function call (signer: Signer, what: Omit<Call, 'issuedAtMs' | 'nonce'>, changes: Partial<Call> = {}): Uint8Array {
  return signCall(signer, { ...what, issuedAtMs: Date.now(), nonce: randomBytes(16), ...changes })
}
const ask = async (plant: TestPlant, signed: Uint8Array): Promise<unknown> => askPlant(stranger.transport, plant.peerId as PeerId, signed, {}, never)

beforeAll(async () => {
  plants = await host.mesh(2)
  const file = join(host.dir, 'order.json')
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny' } }))
  machine = (await (plants[0] as TestPlant).cli(['create', '-f', file, '--id', 'mine', '--json'])).json
  stranger = await startMesh({ key: makeKey(), listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: plants.flatMap((p) => p.addresses), mesh: 'plantmesh', mdns: false, clock: new SystemClock(), log: pinoLog({ level: 'error' }) })
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

  test('may relay what the owner signed, once', async () => {
    const owner = loadOrMakeKey(host.key('owner'))
    const plant = plants.find((p) => p.peerId === machine.plant) as TestPlant
    const signed = call(owner, { kind: 'exec', vmId: machine.vmid as VmId, body: { script: 'exit 5', timeoutMs: 10_000 } })
    expect(await ask(plant, signed)).toEqual({ kind: 'exit', status: 5 })
    await expect(ask(plant, signed)).rejects.toMatchObject({ code: 'CALL_REPLAYED' })
  })

  test('cannot use what the owner signed long ago, nor alter it', async () => {
    const owner = loadOrMakeKey(host.key('owner'))
    const plant = plants.find((p) => p.peerId === machine.plant) as TestPlant
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
})
