/**
 * One host of the network benchmark, in a process and network namespace of its own: a plant's mesh and networks, and a TAP in the place of a machine's
 * card, under a machine's proof and guard.
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { loadOrMakeKey } from '../../node/drivers/key-file.ts'
import { startMesh } from '../../node/drivers/libp2p-mesh.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { keepNurserySmall } from '../../node/drivers/small-nursery.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { SystemRandom } from '../../node/drivers/system-random.ts'
import { openTap } from '../../node/net/tap.ts'
import { keyIdOf } from '../../protocols/kit/index.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { networks } from '../../protocols/tunnel/index.ts'
import { lanOf, machineOf, noGrants, party, proofOf } from '../tunnel/people.ts'

/** What a worker is started with, as JSON in its first argument. */
export interface NetWorkerInit {
  dir: string
  /** The key file of the machines' owner. */
  ownerKey: string
  listen: string
  bootstrap: string[]
  /** The other plant. */
  other: string
  /** Whether there is to be a network. */
  tunnel: boolean
  tap: string
  address: string
}

const quiet = { debug () {}, info () {}, warn () {}, error () {} }
const init = JSON.parse(process.argv[2] ?? '') as NetWorkerInit
keepNurserySmall()
const clock = new SystemClock()
const random = new SystemRandom()
const mesh = await startMesh({ key: loadOrMakeKey(join(init.dir, 'key')), listen: [init.listen], bootstrap: init.bootstrap, mesh: 'bench', mdns: false, clock, random, log: quiet })
const { transport, directory } = mesh
const lan = networks()({
  transport, directory, clock, random, crypto: new NodeCrypto(), log: quiet, grants: noGrants,
  addressing: { allot: async (_, { address, ...station }) => ({ ...station, addresses: [address ?? ''] }), keep () {}, mayHave: () => true, release () {}, onLost: () => () => {} },
  gateway: () => ({ mac: '02:70:6d:67:77:01', address: '10.192.0.1', setStations () {}, onFrame: () => [] })
})
await lan.start()

process.on('disconnect', () => { process.exit(0) })
// In order, so that a profile is written.
process.on('SIGTERM', () => { void lan.stop().then(async () => mesh.stop()).finally(() => { process.exit(0) }) })

const other = init.other as PeerId
await until(() => transport.connected().includes(other))
if (init.tunnel) {
  const tap = openTap({ name: init.tap })
  execFileSync('ip', ['addr', 'add', `${init.address}/10`, 'dev', tap.name])
  const signer = loadOrMakeKey(init.ownerKey)
  const key = keyIdOf(signer.publicKey)
  const owner = { signer, key, id: key as string as PeerId }
  const machine = machineOf({ owner, shop: party(), orderId: init.address, issuedAtMs: clock.nowMs() })
  const on = { network: lanOf(owner), addressing: 'mesh' as const, proof: proofOf(machine, transport.self, clock.nowMs()) }
  await lan.attach(on, { mac: tap.mac, vmId: machine.vmId, address: init.address }, tap, new AbortController().signal)
  await until(() => lan.list()[0]?.stations.some(({ at }) => at === other) === true)
}
process.send?.({ ready: true })

async function until (condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => { setTimeout(resolve, 20) })
}
