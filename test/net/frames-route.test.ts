/** A client's frames over the plant's API: both real ends on a unix socket, between them a network that is the test's. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastify from 'fastify'
import { expect, onTestFinished, test } from 'vitest'
import { apiClient, type ApiClient } from '../../node/cli/api-client.ts'
import { openUplink, type Uplink } from '../../node/net/proxy-uplink.ts'
import { framesRoute, type ProxyApi } from '../../node/portal/frames-route.ts'
import { upgradeRoutes } from '../../node/portal/upgrades.ts'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Device, MembershipProof, NetworkId, Station } from '../../protocols/tunnel/index.ts'
import { until } from '../support/plants.ts'

/** Takes in who signs `good`, and remembers. */
class TestNetwork implements ProxyApi {
  readonly devices: Device[] = []
  readonly renewed: string[] = []
  detached = 0

  async join (signedCall: Uint8Array, _addressing: string, station: { mac: string }, device: Device): ReturnType<ProxyApi['join']> {
    this.#check(signedCall)
    this.devices.push(device)
    const given: Station = { mac: station.mac, addresses: ['10.192.0.5'] }
    return {
      networkId: '00'.repeat(16) as NetworkId, station: given, onStation: () => {},
      renew: async (proof: MembershipProof) => { if (proof.kind === 'proxy') this.#check(proof.signedCall) },
      detach: () => { this.detached++ }
    }
  }

  #check (signedCall: Uint8Array): void {
    const said = Buffer.from(signedCall).toString()
    if (!said.startsWith('good')) throw new PlantError('NOT_AUTHORISED', { said })
    this.renewed.push(said)
  }
}

async function served (): Promise<{ network: TestNetwork, api: ApiClient }> {
  const dir = await mkdtemp(join(tmpdir(), 'frames-'))
  const network = new TestNetwork()
  const app = fastify()
  const close = upgradeRoutes(app, [framesRoute(network)])
  await app.listen({ path: join(dir, 's') })
  onTestFinished(async () => {
    close()
    await app.close()
    await rm(dir, { recursive: true })
  })
  return { network, api: apiClient(join(dir, 's')) }
}

const never = new AbortController().signal
const MAC = '02:00:00:00:00:05'

async function joined (api: ApiClient, sign: () => string, more: { joinMs?: number, mac?: string } = {}): Promise<Uplink> {
  const socket = await api.upgrade('/v1/networks/frames', 'plantmesh-frames', never)
  const uplink = await openUplink({ socket, signJoin: async () => Buffer.from(sign()).toString('base64'), joinMs: more.joinMs ?? 60_000, addressing: 'mesh', station: { mac: more.mac ?? MAC }, takesOffload: false }, never)
  onTestFinished(() => { uplink.close() })
  return uplink
}

test('frames go both ways once the plant has let the client in, and the plant lets go when it leaves', async () => {
  const { network, api } = await served()
  const uplink = await joined(api, () => 'good')
  expect(uplink.station).toEqual({ mac: MAC, addresses: ['10.192.0.5'] })
  const [got, sent]: [number[], number[]] = [[], []]
  uplink.onFrame(({ bytes }) => { got.push(bytes.length) })
  network.devices[0]?.onFrame(({ bytes }) => { sent.push(bytes.length) })
  for (const count of [60, 1_500, 9_000]) {
    uplink.send({ bytes: new Uint8Array(count) })
    network.devices[0]?.send({ bytes: new Uint8Array(count) })
  }
  await until(() => got.length === 3 && sent.length === 3, 5_000, 'the frames have come')
  expect([got, sent]).toEqual([[60, 1_500, 9_000], [60, 1_500, 9_000]])
  uplink.close()
  await until(() => network.detached === 1, 5_000, 'the plant has let go')
})

test('the call is renewed while the client stays, and what the plant says to a bad one ends it', async () => {
  const { network, api } = await served()
  let calls = 0
  const uplink = await joined(api, () => ++calls < 4 ? `good ${calls}` : 'bad', { joinMs: 150 })
  await until(() => uplink.closed.aborted, 5_000, 'the plant has ended it')
  expect(network.renewed).toEqual(['good 1', 'good 2', 'good 3'])
  expect(uplink.closed.reason).toMatchObject({ code: 'NOT_AUTHORISED', details: { said: 'bad' } })
  await until(() => network.detached === 1, 5_000, 'the plant has let go')
})

test('who is refused is told why, and so is who says something else', async () => {
  const { api } = await served()
  await expect(joined(api, () => 'bad')).rejects.toMatchObject({ code: 'NOT_AUTHORISED' })
  await expect(joined(api, () => 'good', { mac: '01:00:00:00:00:05' })).rejects.toMatchObject({ code: 'MESSAGE_INVALID', details: { path: 'station.mac' } })
  for (const [line, code] of [['{}\n', 'MESSAGE_INVALID'], ['x\n', 'MESSAGE_INVALID'], [`${'x'.repeat(70_000)}\n`, 'STREAM_TOO_LONG']] as const) {
    const socket = await api.upgrade('/v1/networks/frames', 'plantmesh-frames', never)
    socket.on('error', () => {})
    socket.write(line)
    let said = ''
    for await (const piece of socket) said += String(piece)
    expect(JSON.parse(said)).toMatchObject({ error: { code } })
  }
})

test('a plant serves so many clients and no more, and another when one has left', async () => {
  const { api } = await served()
  const uplinks = await Promise.all(Array.from({ length: 64 }, async () => joined(api, () => 'good')))
  await expect(joined(api, () => 'good')).rejects.toMatchObject({ code: 'LIMIT' })
  uplinks[0]?.close()
  await until(async () => joined(api, () => 'good').then(() => true, () => false), 5_000, 'there is room again')
})
