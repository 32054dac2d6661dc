/** From a request to its lease: `node test/bench/bid.bench.ts`. Three plants and a shop, real libp2p on loopback and streams in memory. */
import { pathToFileURL } from 'node:url'
import { makeKey } from '../../node/drivers/key-file.ts'
import { startMesh } from '../../node/drivers/libp2p-mesh.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { SystemRandom } from '../../node/drivers/system-random.ts'
import { bidding } from '../../protocols/bid/index.ts'
import type { Transport } from '../../protocols/kit/index.ts'
import { biddingPlant, bytesOfOrder, orderOf, vmIdOf } from '../bid/bidding-plant.ts'
import { fakeLog } from '../support/fake-log.ts'
import { FakeNetwork } from '../support/fake-transport.ts'

const PLANTS = 3
const WARM_UP = 30
const ORDERS = 300
const AT_ONCE = 16
const BIG = { cpus: 1e6, memoryMiB: 1e9, diskMiB: 1e9, machines: 1e6, networks: 4 }

const clock = new SystemClock()
const random = new SystemRandom()

async function measure (name: string, shopTransport: Transport, transports: Transport[]): Promise<void> {
  const plants = await Promise.all(transports.map((transport) => biddingPlant({ transport, clock, random, capacity: BIG })))
  const shop = bidding()({ transport: shopTransport, clock, random, log: fakeLog() })
  const candidates = plants.map(({ id }) => ({ plant: id, why: 'all' }))
  let n = 0
  const sell = async (): Promise<number> => {
    const vmId = vmIdOf(n++)
    const startMs = performance.now()
    const { end } = await shop.auction({ vmId, signedOrder: bytesOfOrder({ vmId, domainId: 'bench', order: orderOf() }), ranked: false, handOvers: () => [], candidates })
    if (end.kind !== 'awarded') throw new Error(`order ${n} ended ${end.kind}`)
    return performance.now() - startMs
  }
  for (let i = 0; i < WARM_UP; i++) await sell()
  const alone: number[] = []
  for (let i = 0; i < ORDERS; i++) alone.push(await sell())
  print(`request-to-lease, ${name}, one at a time`, alone)
  const together: number[] = []
  const startMs = performance.now()
  for (let i = 0; i < ORDERS; i += AT_ONCE) together.push(...await Promise.all(Array.from({ length: AT_ONCE }, sell)))
  print(`request-to-lease, ${name}, ${AT_ONCE} at once`, together, together.length / (performance.now() - startMs) * 1_000)
  await Promise.all([shop.stop(), ...plants.map((plant) => plant.bidding.stop())])
}

function print (name: string, tookMs: number[], perSecond?: number): void {
  const sorted = tookMs.toSorted((a, b) => a - b)
  const at = (share: number): string => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]?.toFixed(2) ?? '-'
  console.log(`${name}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, n ${sorted.length}${perSecond === undefined ? '' : `, ${perSecond.toFixed(0)} leases/s`}`)
}

async function main (): Promise<void> {
  const fake = new FakeNetwork({ clock })
  await measure('streams in memory', fake.peer('shop'), Array.from({ length: PLANTS }, (_, i) => fake.peer(`plant${i}`)))

  const base = { listen: ['/ip4/127.0.0.1/tcp/0'], mesh: 'bench', mdns: false, clock, log: fakeLog() }
  const shopMesh = await startMesh({ ...base, key: makeKey(), bootstrap: [] })
  const meshes = await Promise.all(Array.from({ length: PLANTS }, () => startMesh({ ...base, key: makeKey(), bootstrap: shopMesh.addresses() })))
  while (shopMesh.transport.connected().length < PLANTS) await new Promise((resolve) => { setTimeout(resolve, 20) })
  await measure('libp2p on loopback', shopMesh.transport, meshes.map((mesh) => mesh.transport))
  await Promise.all([shopMesh, ...meshes].map((mesh) => mesh.stop()))
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main()
