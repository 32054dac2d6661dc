/** Tenant networks on real machines: across plants, apart from other domains, and through the death of a plant. */
import { randomBytes } from 'node:crypto'
import { writeFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadOrMakeKey, makeKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { keyIdOf, type PeerId } from '../../protocols/kit/index.ts'
import { openCall, signCall, signHandOver, vmIdOfOrder, type OpenedOrderCall } from '../../protocols/member/index.ts'
import { checkOrder, orderDigest } from '../../protocols/order/index.ts'
import { greet, type GreetingAnswer } from '../../protocols/tunnel/greeting.ts'
import { TUNNEL_LIMITS, TUNNEL_PROTOCOL, type NetworkId } from '../../protocols/tunnel/index.ts'
import { meshNode } from '../support/mesh.ts'
import { TestHost, until, type CliResult, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plants: TestPlant[] = []
afterAll(async () => host.cleanUp())

/** The very first that a guest does on its network, as an action. */
const REACH = 'echo "Had=$(ip -4 -o addr show eth0 | wc -l)" >> $PLANT_OUTPUT; ping -c 1 -W 5 10.192.0.1'

interface Made { vmid: string, attributes: Record<string, string> }

/** An order's file; every machine is put where the test says. */
function orderFile (name: string, plant: TestPlant, network: Record<string, unknown>): string {
  const path = join(host.dir, `${name}.json`)
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, network, software: { os: 'tiny', actions: [{ id: 'reach', script: REACH }] }, requirements: `PeerId == "${plant.peerId}"` }))
  return path
}

async function make (name: string, plant: TestPlant, network: Record<string, unknown>, key = host.key('owner')): Promise<Made> {
  const made = await plant.cli(['create', '-f', orderFile(name, plant, network), '--json'], { key })
  if (made.status !== 0) throw new Error(`${made.stdout}${made.stderr}${plant.log()}`)
  return made.json as Made
}

const exec = async (machine: Made, script: string, key = host.key('owner')): Promise<CliResult> => (plants[0] as TestPlant).cli(['exec', machine.vmid, '--timeout', '30000', '--', script], { key })
const pings = async (from: Made, to: string): Promise<boolean> => (await exec(from, `ping -c 1 -W 2 ${to}`)).status === 0

/** Prints each frame that the card gets within the time and did not send: its sender, and how it goes on. */
const listenMs = (ms: number): string => `perl -e '
socket(my $s, 17, 3, 0x0300) or die; my $end = time + ${Math.ceil(ms / 1000)}; $| = 1; print "listening\\n";
while ((my $left = $end - time) > 0) { my $r = ""; vec($r, fileno($s), 1) = 1; select($r, undef, undef, $left) or last;
my $from = recv($s, my $f, 70000, 0); next if unpack("x10 C", $from) == 4 || unpack("x10 C", $from) == 5; print unpack("H*", substr($f, 6, 6)), " ", unpack("H*", substr($f, 14)), "\\n" }'`
/** A word that goes to all of the network by UDP. */
const shout = (word: string): string => `perl -e 'socket(my $s, 2, 2, 17) or die; setsockopt($s, 1, 6, pack("l", 1)); bind($s, pack("S n a4 x8", 2, 0, pack("N", 0))); for (1 .. 3) { send($s, "${word}", 0, pack("S n C4 x8", 2, 9999, 255, 255, 255, 255)) or die "$!" } '`
const hexOf = (word: string): string => Buffer.from(word).toString('hex')

describe('a network of two plants', () => {
  let [web, db, alien]: Made[] = []
  const stranger = host.key('stranger')

  beforeAll(async () => {
    plants = await host.mesh(2)
    const [a, b] = plants as [TestPlant, TestPlant];
    [web, db, alien] = await Promise.all([make('web', a, { name: 'lan', address: '10.200.1.2' }), make('db', b, { name: 'lan' }), make('alien', b, { name: 'lan', address: '10.200.1.2' }, stranger)])
  })

  test('joins its machines by name, with the addresses that their ads say', async () => {
    const [on, other] = [web as Made, db as Made]
    expect(on.attributes).toMatchObject({ Network: 'lan', Address: '10.200.1.2', Had: '1' })
    expect(other.attributes['Address']).toMatch(/^10\./)
    await until(async () => pings(on, other.attributes['HostName'] as string), 15_000, 'one reaches the other by name')
    expect(await pings(other, on.attributes['HostName'] as string)).toBe(true)
    expect(await pings(other, '10.200.1.2')).toBe(true)
  })

  test('is another than that of another domain with its name and addresses: no frame passes, broadcast included', async () => {
    // Again and again: on a busy host the commands begin seconds apart.
    const said = exec(web as Made, `for _ in $(seq 14); do ${shout('for-all-of-mine')}; sleep 1; done`)
    const [own, foreign] = [exec(db as Made, listenMs(12_000)), exec(alien as Made, listenMs(12_000), stranger)]
    expect((await said).status).toBe(0)
    expect((await own).stdout).toContain(hexOf('for-all-of-mine'))
    const heard = (await foreign).stdout
    expect(heard).toContain('listening')
    expect(heard).not.toContain(hexOf('for-all-of-mine'))
    for (const machine of [web, db]) expect(heard).not.toContain((machine as Made).attributes['Mac']?.replaceAll(':', ''))
  })

  test('is shown and captured for its owner, and is not there for others', async () => {
    const [a, b] = plants as [TestPlant, TestPlant]
    const [listed] = (await a.cli(['network', 'list', '--json'])).json
    expect(listed).toMatchObject({ name: 'lan', domain: 'default', addressing: 'mesh' })
    expect(listed.plants).toHaveLength(2)
    const shown = (await b.cli(['network', 'show', 'lan', '--json'])).json
    expect(shown.plants[0].detail.stations.map(({ vmid }: { vmid: string }) => vmid).sort()).toEqual([web?.vmid, db?.vmid].sort())
    expect((await b.cli(['network', 'list', '--json'], { key: host.key('nobody') })).json).toEqual([])
    expect((await b.cli(['network', 'capture', listed.id], { key: host.key('nobody') })).status).toBe(4)
    const file = join(host.dir, 'lan.pcapng')
    const stop = new AbortController()
    const captured = a.cli(['network', 'capture', 'lan', '-w', file, '--json'], { signal: stop.signal })
    await until(async () => {
      await exec(db as Made, shout('on-the-record'))
      return readIf(file).includes('on-the-record')
    }, 15_000, 'the word is in the capture')
    stop.abort()
    expect(await captured).toMatchObject({ status: 0, json: { file, plant: a.peerId } })
    expect(readFileSync(file).readUInt32LE(0)).toBe(0x0a0d0d0a)
  })

  test('lets no peer in that was only shown an order of it', async () => {
    const [a] = plants as [TestPlant]
    const { id } = (await a.cli(['network', 'list', '--json'])).json[0] as { id: NetworkId }
    const shop = makeKey()
    const order = checkOrder({ apiVersion: 'plantmesh/v1', kind: 'Machine', network: { name: 'lan' }, software: { os: 'tiny' } })
    const signedOrder = signCall(loadOrMakeKey(host.key('owner')), { kind: 'order', via: keyIdOf(shop.publicKey) as string as PeerId, body: { orderId: 'shown', documentIndex: 0, copyIndex: 0, order }, issuedAtMs: Date.now(), nonce: randomBytes(16) })
    const vmId = vmIdOfOrder(openCall(new NodeCrypto(), signedOrder) as OpenedOrderCall)
    const peer = await meshNode({ bootstrap: a.addresses, mesh: 'plantmesh' })
    await until(() => peer.transport.connected().includes(a.peerId as PeerId), 10_000, 'the peer is connected')
    const knocks = async (handOvers: Uint8Array[]): Promise<GreetingAnswer> => {
      const stream = await peer.transport.open(a.peerId as PeerId, TUNNEL_PROTOCOL, TUNNEL_LIMITS)
      return greet(stream, { network: id, proof: { kind: 'machine', signedOrder, handOvers }, uplink: false })
    }
    const handOver = { vmId, orderDigest: orderDigest(order), to: peer.transport.self, issuedAtMs: Date.now() }
    for (const handOvers of [[], [signHandOver(makeKey(), handOver)]]) expect(await knocks(handOvers)).toMatchObject({ t: 'refusal', code: 'NOT_AUTHORISED' })
    // With what the shop of the order would have given it, it would be one of them.
    expect(await knocks([signHandOver(shop, handOver)])).toMatchObject({ t: 'welcome' })
  })

  test('comes back with its addresses when a plant was killed and started again', async () => {
    const [a, b] = plants as [TestPlant, TestPlant]
    await b.kill('SIGKILL')
    plants = [a, await host.plant({ dataDir: b.dataDir, bootstrap: a.addresses })]
    await until(async () => pings(web as Made, db?.attributes['HostName'] as string), 30_000, 'they reach each other again')
    expect((await a.cli(['query', db?.vmid as string, '--json'])).json.attributes['Address']).toBe(db?.attributes['Address'])
    await Promise.all([web, db].map(async (machine) => a.cli(['collect', (machine as Made).vmid])))
    await until(async () => (await a.cli(['network', 'list', '--json'])).json.length === 0, 10_000, 'the last machine has freed the network')
  })
})

function readIf (path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // Not begun yet.
  }
}
