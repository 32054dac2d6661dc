/** A site behind its gateway in real network namespaces: real plants, a real machine, and nothing else reached. Run for each way to be private. */
import { afterAll, describe, expect, test } from 'vitest'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GATEWAY_INSIDE, GATEWAY_OUTSIDE, PRIVATE, gatewayNet, listening, missingFor, openFrom, type GatewayNet } from '../support/gateway-net.ts'
import { TestHost, until, type TestPlant } from '../support/plants.ts'

const PORT = 4001
/** Four plants and a machine, on a host that may be busy with more. */
const TIMEOUT_MS = 300_000
/** Well-known ones; those that the private plants listen at are added. */
const PORTS = Array.from({ length: 1_024 }, (_, i) => i + 1)

/** Defines the tests; `nat`: the private plants can go out. Where something is missing to make the networks, the one test says what. */
export function gatewaySite (nat: boolean): void {
  const missing = missingFor(nat)
  test.each(missing === undefined ? [] : [missing])('needs what is missing here: %s', (what) => { expect(what).toMatch(/root|apt-get install|cannot be made here/) })
  describe.each(missing === undefined ? [{ nat }] : [])('a site whose plants are private', { timeout: TIMEOUT_MS }, () => { whole(nat) })
}

function whole (nat: boolean): void {
  const host = new TestHost()
  let net: GatewayNet | undefined
  afterAll(async () => {
    await host.cleanUp()
    net?.undo()
  })

  let outside: TestPlant
  let gateway: TestPlant
  let inside: TestPlant[]
  let vmid = ''

  test('is joined through the gateway: everybody sees everybody', async () => {
    const made = net = gatewayNet(nat)
    const listen = ['--listen', `/ip4/0.0.0.0/tcp/${PORT}`]
    gateway = await host.plant({ golden: false, wrap: made.within(made.gateway), args: [...listen, '--site', 'lab', '--gateway', '--announce', `/ip4/${GATEWAY_OUTSIDE}/tcp/${PORT}`, '--capacity', 'machines=0'] })
    const at = (address: string): string => `/ip4/${address}/tcp/${PORT}/p2p/${gateway.peerId}`
    outside = await host.plant({ wrap: made.within(made.outside), args: [...listen, '--capacity', 'machines=0'], bootstrap: [at(GATEWAY_OUTSIDE)] })
    inside = await Promise.all(made.private.map(async (namespace) => host.plant({ golden: false, wrap: made.within(namespace), args: [...listen, '--site', 'lab', '--behind', at(GATEWAY_INSIDE)] })))
    for (const plant of inside) {
      expect(plant.addresses.length).toBeGreaterThan(0)
      for (const address of plant.addresses) expect(address).toContain('/p2p-circuit')
    }
    const all = [outside, gateway, ...inside]
    await until(async () => (await Promise.all(all.map(async (plant) => plant.cli(['plants', '--json'])))).every((seen) => seen.json.length === 4), 120_000, 'the plants see each other')
  })

  test('makes an order that is placed outside: the broker bids, pieces of the golden machine come in, a private plant makes it', async () => {
    const order = join(host.dir, `order-${String(nat)}.json`)
    writeFileSync(order, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name: 'inner' }, software: { os: 'tiny', actions: [{ id: 'motd', script: 'echo "hello from inside" > /etc/motd' }] } }))
    await until(async () => (await Promise.all(inside.map(async (plant) => plant.cli(['golden', 'list', '--mesh', '--json'])))).every((known) => known.json?.length > 0), 120_000, 'the golden machine is known inside')
    // Bids have deadlines, which a host that is busy enough with other things misses: then the order is placed again.
    let created = await outside.cli(['create', '-f', order, '--id', 'first', '--json'])
    for (let again = 0; again < 5 && created.json?.error?.code === 'ORDER_REFUSED'; again++) created = await outside.cli(['create', '-f', order, '--id', 'first', '--json'])
    expect(created.stderr + created.stdout).toContain('"state":"running"')
    vmid = created.json.vmid
    expect(inside.map(({ peerId }) => peerId)).toContain(created.json.plant)
    expect(created.json.provisional ?? false).toBe(false)
    const why = (await outside.cli(['why', 'first', '--json'])).json.attempts.at(-1).decision
    expect(why.answers.filter(({ kind }: { kind: string }) => kind === 'bid')).toMatchObject([{ plant: created.json.plant, via: gateway.peerId }])
    expect(why.candidates.map(({ plant }: { plant: string }) => plant)).not.toContain(inside[0]?.peerId)
    expect((await outside.cli(['why', 'first'])).stdout).toContain(`through the broker ${gateway.peerId.slice(-8)}`)
  })

  test('its machine is used from outside: exec, console, query, list, collect', async () => {
    expect(await outside.cli(['exec', vmid, '--', 'cat', '/etc/motd'])).toMatchObject({ status: 0, stdout: 'hello from inside\n' })
    expect((await outside.cli(['console', vmid], { input: '\necho con$((40+2))sole\n' })).stdout).toContain('con42sole')
    expect((await outside.cli(['query', vmid, '--json'])).json).toMatchObject({ state: 'running' })
    expect((await gateway.cli(['list', '--json'])).json).toHaveLength(1)
    const bulk = await outside.cli(['exec', vmid, '--', 'sh', '-c', 'dd if=/dev/zero bs=1M count=4 2>/dev/null | tr "\\0" x'])
    expect(bulk.stdout).toHaveLength(4 * 2 ** 20)
  })

  test('an order that is placed inside is made inside', async () => {
    const order = join(host.dir, 'second.json')
    writeFileSync(order, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name: 'second' }, software: { os: 'tiny' } }))
    const shop = inside[0] as TestPlant
    const created = await shop.cli(['create', '-f', order, '--id', 'second', '--json'])
    expect(created.json).toMatchObject({ state: 'running' })
    const { answers } = (await shop.cli(['why', 'second', '--json'])).json.attempts.at(-1).decision
    expect(answers.filter(({ kind }: { kind: string }) => kind === 'bid').every(({ via }: { via?: string }) => via === undefined)).toBe(true)
    expect((await outside.cli(['collect', created.json.vmid, '--json'])).status).toBe(0)
  })

  test('nothing else of it is reached from outside', () => {
    const made = net as GatewayNet
    for (const [i, address] of PRIVATE.entries()) {
      const open = listening(made.private[i] as string)
      expect(open).toContain(PORT)
      expect(openFrom(made.outside, address, [...PORTS, ...open])).toEqual([])
      expect(openFrom(made.gateway, address, [PORT])).toEqual([PORT])
    }
    expect(openFrom(made.outside, GATEWAY_OUTSIDE, [PORT])).toEqual([PORT])
  })

  test('goes on after its gateway was killed and started anew', async () => {
    const made = net as GatewayNet
    await gateway.kill('SIGKILL')
    gateway = await host.plant({ dataDir: gateway.dataDir, golden: false, wrap: made.within(made.gateway), args: ['--listen', `/ip4/0.0.0.0/tcp/${PORT}`, '--site', 'lab', '--gateway', '--announce', `/ip4/${GATEWAY_OUTSIDE}/tcp/${PORT}`, '--capacity', 'machines=0'] })
    await until(async () => (await outside.cli(['exec', vmid, '--', 'echo', 'still here'])).stdout === 'still here\n', 120_000, 'the machine is reached again')
    expect((await outside.cli(['collect', vmid, '--json'])).status).toBe(0)
  })
}
