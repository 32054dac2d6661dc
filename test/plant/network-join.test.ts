/** What a plant asks of a client's call before it lets its end onto a network. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { makeKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { joinNetwork } from '../../node/plant/network-join.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { CALL_FRESH_MS, signCall } from '../../protocols/member/index.ts'
import type { Device } from '../../protocols/tunnel/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeNetworks } from '../support/fake-networks.ts'

const [client, here, elsewhere] = [makeKey(), makeKey(), makeKey()]
const never = new AbortController().signal

function plantOf () {
  const clock = new FakeClock()
  const networks = new FakeNetworks()
  const nonces = new Set<string>()
  const seen = { seenCall: ({ nonce }: { nonce: string }) => nonces.size < nonces.add(nonce).size }
  const device: Device = { takesOffload: false, closed: never, send: () => {}, onFrame: () => {}, close: () => {} }
  const join = async (signedCall: Uint8Array) => joinNetwork({ self: here.peerId, crypto: new NodeCrypto(), clock, seen, networks }, signedCall, 'mesh', { mac: '02:00:00:00:00:01' }, device, never)
  const call = (via: PeerId, issuedAtMs = clock.nowMs()): Uint8Array =>
    signCall(client, { kind: 'join', body: { domain: 'd', domainKey: client.keyId, network: 'lan', expiresAtMs: clock.nowMs() + 60_000 }, via, issuedAtMs, nonce: randomBytes(16) })
  return { clock, networks, join, call }
}

test('a join lets one end in, at the plant that it was signed for', async () => {
  const { networks, join, call } = plantOf()
  const signed = call(here.peerId)
  expect((await join(signed)).station.addresses).toEqual(['10.192.0.2'])
  await expect(join(signed)).rejects.toMatchObject({ code: 'CALL_REPLAYED' })
  await expect(join(call(elsewhere.peerId))).rejects.toMatchObject({ code: 'CALL_MISDIRECTED' })
  expect(networks.said.filter((said) => said.includes('asks'))).toHaveLength(1)
})

test('a join that was signed long ago, or is of the future, lets nobody in, whatever it says of its end', async () => {
  const { clock, networks, join, call } = plantOf()
  for (const ms of [-CALL_FRESH_MS - 1, CALL_FRESH_MS + 1]) await expect(join(call(here.peerId, clock.nowMs() + ms))).rejects.toMatchObject({ code: 'CALL_STALE' })
  expect(networks.said).toEqual([])
})
