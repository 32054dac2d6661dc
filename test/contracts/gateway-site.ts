/** A site behind its gateway in real network namespaces: real plants, a real machine, and nothing else reached. Run for each way to be private. */
import { afterAll, describe, expect, test } from 'vitest'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GATEWAY_INSIDE, GATEWAY_OUTSIDE, PRIVATE, gatewayNet, listening, missingFor, openFrom, type GatewayNet } from '../support/gateway-net.ts'
import { TestHost, until, type CliResult, type TestPlant } from '../support/plants.ts'

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

interface Site { outside: TestPlant, gateway: TestPlant, inside: TestPlant[] }

const LISTEN = ['--listen', `/ip4/0.0.0.0/tcp/${PORT}`]

async function startGateway (host: TestHost, made: GatewayNet, dataDir?: string): Promise<TestPlant> {
  const args = [...LISTEN, '--site', 'lab', '--gateway', '--announce', `/ip4/${GATEWAY_OUTSIDE}/tcp/${PORT}`, '--capacity', 'machines=0']
  return host.plant({ golden: false, wrap: made.within(made.gateway), args, ...(dataDir !== undefined && { dataDir }) })
}

async function startSite (host: TestHost, made: GatewayNet): Promise<Site> {
  const gateway = await startGateway(host, made)
  const at = (address: string): string => `/ip4/${address}/tcp/${PORT}/p2p/${gateway.peerId}`
  const outside = await host.plant({ wrap: made.within(made.outside), args: LISTEN, bootstrap: [at(GATEWAY_OUTSIDE)] })
  const inside = await Promise.all(made.private.map(async (namespace) => host.plant({ golden: false, wrap: made.within(namespace), args: [...LISTEN, '--site', 'lab', '--behind', at(GATEWAY_INSIDE)] })))
  return { outside, gateway, inside }
}

/** Places an order. Bids have deadlines, which a host that is busy enough with other things misses: then it is placed again. */
async function create (host: TestHost, shop: TestPlant, id: string, order: Record<string, unknown>): Promise<CliResult> {
  const path = join(host.dir, `${id}.json`)
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name: id }, software: { os: 'tiny' }, ...order }))
  let created = await shop.cli(['create', '-f', path, '--id', id, '--json'])
  for (let again = 0; again < 5 && created.json?.error?.code === 'ORDER_REFUSED'; again++) created = await shop.cli(['create', '-f', path, '--id', id, '--json'])
  expect(created.stderr + created.stdout).toContain('"state":"running"')
  return created
}

const INSIDE = 'Site == "lab"'
const OUTSIDE = 'Site != "lab"'

/** What the tests of one site share, from the first on. */
interface Shared { host: TestHost, net: GatewayNet, site: Site, vmid: string }

function whole (nat: boolean): void {
  const shared: Partial<Shared> & { host: TestHost } = { host: new TestHost() }
  afterAll(async () => {
    await shared.host.cleanUp()
    shared.net?.undo()
  })
  isMade(nat, shared as Shared)
  isUsed(shared as Shared)
}

/** The site is there, and a machine in it. */
function isMade (nat: boolean, shared: Shared): void {
  const { host } = shared

  test('is joined through the gateway: everybody sees everybody', async () => {
    shared.net = gatewayNet(nat)
    const site = shared.site = await startSite(host, shared.net)
    for (const plant of site.inside) {
      expect(plant.addresses.length).toBeGreaterThan(0)
      for (const address of plant.addresses) expect(address).toContain('/p2p-circuit')
    }
    const all = [site.outside, site.gateway, ...site.inside]
    await until(async () => (await Promise.all(all.map(async (plant) => plant.cli(['plants', '--json'])))).every((seen) => seen.json.length === 4), 120_000, 'the plants see each other')
    await until(async () => (await Promise.all(site.inside.map(async (plant) => plant.cli(['golden', 'list', '--mesh', '--json'])))).every((known) => known.json?.length > 0), 120_000, 'the golden machine is known inside')
  })

  test('makes an order that is placed outside: the broker bids, pieces of the golden machine come in, a private plant makes it', async () => {
    const { outside, gateway, inside } = shared.site
    const motd = { id: 'motd', script: 'echo "hello from inside" > /etc/motd' }
    const created = await create(host, outside, 'first', { software: { os: 'tiny', actions: [motd] }, requirements: INSIDE, network: { name: 'lan' } })
    shared.vmid = created.json.vmid
    expect(inside.map(({ peerId }) => peerId)).toContain(created.json.plant)
    expect(created.json.provisional ?? false).toBe(false)
    const why = (await outside.cli(['why', 'first', '--json'])).json.attempts.at(-1).decision
    expect(why.answers.filter(({ kind }: { kind: string }) => kind === 'bid')).toMatchObject([{ plant: created.json.plant, via: gateway.peerId }])
    expect(why.candidates.map(({ plant }: { plant: string }) => plant)).not.toContain(inside[0]?.peerId)
    expect((await outside.cli(['why', 'first'])).stdout).toContain(`through the broker ${gateway.peerId.slice(-8)}`)
  })
}

function isUsed (shared: Shared): void {
  const { host } = shared

  test('its machine is used from outside: exec, console, query, list, collect', async () => {
    const { site: { outside, gateway }, vmid } = shared
    expect(await outside.cli(['exec', vmid, '--', 'cat', '/etc/motd'])).toMatchObject({ status: 0, stdout: 'hello from inside\n' })
    expect((await outside.cli(['console', vmid], { input: '\necho con$((40+2))sole\n' })).stdout).toContain('con42sole')
    expect((await outside.cli(['query', vmid, '--json'])).json).toMatchObject({ state: 'running' })
    expect((await gateway.cli(['list', '--json'])).json).toHaveLength(1)
    const bulk = await outside.cli(['exec', vmid, '--', 'sh', '-c', 'dd if=/dev/zero bs=1M count=4 2>/dev/null | tr "\\0" x'])
    expect(bulk.stdout).toHaveLength(4 * 2 ** 20)
  })

  test('its machine is on one network with one outside', async () => {
    const { site, vmid } = shared
    const outer = await create(host, site.outside, 'outer', { requirements: OUTSIDE, network: { name: 'lan' } })
    expect(outer.json.plant).toBe(site.outside.peerId)
    const address = String(outer.json.attributes.Address).split('/')[0] ?? ''
    expect(address).toMatch(/^10\./)
    await until(async () => (await site.outside.cli(['exec', vmid, '--', 'ping', '-c', '1', '-w', '5', address])).status === 0, 60_000, 'the machines reach each other')
    expect((await site.outside.cli(['collect', outer.json.vmid, '--json'])).status).toBe(0)
  })

  test('an order that is placed inside is made inside', async () => {
    const { site } = shared
    const shop = site.inside[0] as TestPlant
    const created = await create(host, shop, 'second', { requirements: INSIDE })
    const { answers } = (await shop.cli(['why', 'second', '--json'])).json.attempts.at(-1).decision
    expect(answers.filter(({ kind }: { kind: string }) => kind === 'bid').every(({ via }: { via?: string }) => via === undefined)).toBe(true)
    expect((await site.outside.cli(['collect', created.json.vmid, '--json'])).status).toBe(0)
  })

  test('nothing else of it is reached from outside', () => {
    const { net: made } = shared
    for (const [i, address] of PRIVATE.entries()) {
      const open = listening(made.private[i] as string)
      expect(open).toContain(PORT)
      expect(openFrom(made.outside, address, [...PORTS, ...open])).toEqual([])
      expect(openFrom(made.gateway, address, [PORT])).toEqual([PORT])
    }
    expect(openFrom(made.outside, GATEWAY_OUTSIDE, [PORT])).toEqual([PORT])
  })

  test('goes on after its gateway was killed and started anew', async () => {
    const { site, vmid } = shared
    await site.gateway.kill('SIGKILL')
    site.gateway = await startGateway(host, shared.net, site.gateway.dataDir)
    await until(async () => (await site.outside.cli(['exec', vmid, '--', 'echo', 'still here'])).stdout === 'still here\n', 120_000, 'the machine is reached again')
    expect((await site.outside.cli(['collect', vmid, '--json'])).status).toBe(0)
  })
}
