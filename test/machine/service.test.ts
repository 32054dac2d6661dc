/** Who is served, and what strangers may cost (protocols/machine/README.md, Authority). */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { keyIdOf, type KeyId, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import { askPlant, serveMachines, type MachineHost, type MachineStateName, type MachineView } from '../../protocols/machine/index.ts'
import { signCall, type Call } from '../../protocols/member/index.ts'
import { person, type Person } from '../member/support.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeNetwork, type FakeTransport } from '../support/fake-transport.ts'

const vmId = 'ab'.repeat(16) as VmId
const [owner, stranger] = [person(), person()]
const never = new AbortController().signal
const view = { vmid: vmId, name: '', state: 'running', plant: 'p', owner: owner.id, domain: 'd', orderId: 'o', labels: {}, attributes: {}, classad: '[]', phasesMs: {} } satisfies MachineView

/** A plant with one machine of the owner, and what it was made to write down. */
async function plant (state: MachineStateName = 'running'): Promise<{ clock: FakeClock, shop: FakeTransport, other: FakeTransport, noted: string[], ask: (by: FakeTransport, signed: Uint8Array) => Promise<unknown>, sign: (who: Person, what: Pick<Call, 'kind' | 'body'>) => Uint8Array }> {
  const clock = new FakeClock()
  const network = new FakeNetwork({ clock })
  const [self, shop, other] = [person(), person(), person()].map(({ signer }) => network.peer(keyIdOf(signer.publicKey))) as [FakeTransport, FakeTransport, FakeTransport]
  const noted: string[] = []
  const unused = async (): Promise<never> => { throw new Error('not asked for') }
  const host: MachineHost = {
    subject: (id) => id === vmId ? { owner: owner.id, domain: 'd', domainKey: owner.id, state, shop: shop.self } : undefined,
    mayCall: async (subject, caller) => caller === subject.owner,
    seenCall: ({ nonce }) => !noted.includes(nonce) && noted.push(nonce) > 0,
    view: () => view,
    list: async (caller: KeyId) => caller === owner.id ? [view] : [],
    exec: async () => 0,
    follow: unused, console: unused, publish: unused, collect: unused
  }
  await serveMachines({ transport: self, clock, crypto: new NodeCrypto(), host })
  return {
    clock, shop, other, noted,
    ask: async (by, signed) => clock.settle(askPlant(by, self.self, signed, {}, never)),
    sign: (who, what) => signCall(who.signer, { ...what, ...(what.kind !== 'list' && { vmId }), via: shop.self as string as PeerId, issuedAtMs: clock.nowMs(), nonce: randomBytes(16) })
  }
}

test('a call is served to the shop that it was signed for, and to no other peer that shows it', async () => {
  const { shop, other, ask, sign, noted } = await plant()
  const signed = sign(owner, { kind: 'query', body: {} })
  await expect(ask(other, signed)).rejects.toMatchObject({ code: 'CALL_MISDIRECTED' })
  expect(noted).toEqual([])
  // Whoever showed it first has not used it up.
  expect(await ask(shop, signed)).toMatchObject({ kind: 'machine' })
  await expect(ask(shop, signed)).rejects.toMatchObject({ code: 'CALL_REPLAYED' })
})

test('what strangers sign is refused without a write', async () => {
  const { shop, ask, sign, noted } = await plant()
  await expect(ask(shop, sign(stranger, { kind: 'exec', body: { script: 'id', timeoutMs: 1 } }))).rejects.toMatchObject({ code: 'NOT_AUTHORISED' })
  expect(await ask(shop, sign(stranger, { kind: 'list', body: { all: true } }))).toEqual({ kind: 'done' })
  expect(noted).toEqual([])
})

test('a list is answered once, and a call that came too early is used up', async () => {
  const { shop, ask, sign } = await plant('creating')
  const list = sign(owner, { kind: 'list', body: { all: true } })
  expect(await ask(shop, list)).toEqual({ kind: 'done' })
  await expect(ask(shop, list)).rejects.toMatchObject({ code: 'CALL_REPLAYED' })
  const exec = sign(owner, { kind: 'exec', body: { script: 'id', timeoutMs: 1 } })
  await expect(ask(shop, exec)).rejects.toMatchObject({ code: 'VM_STATE' })
  await expect(ask(shop, exec)).rejects.toMatchObject({ code: 'CALL_REPLAYED' })
})
