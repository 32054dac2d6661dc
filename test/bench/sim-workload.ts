/** One workload of the simulator's benchmark in a process of its own: `sim-workload.ts NAME PLANTS MEASURED`; prints one line of JSON. */
import { CalendarQueue, HeapQueue, NONE, RandomStream, type EventQueue } from '../../sim/kernel/index.ts'
import { BidRounds, CoreDesk, FluidSwarm, marketOf, MessageGossip, simulateAtScale, TypedDesk } from '../../sim/scale/index.ts'
import { scenarioFile, type Scenario } from '../../sim/scenario/index.ts'

/** What a workload prints: `count` of what it counts in `seconds`, after its warm-up. */
export interface Measured { count: number, seconds: number, events?: number, bytes?: number, maxRssBytes?: number, simulatedSeconds?: number }

/** Mean time between a shop's orders, and of a machine's life: those of simgrid/bids.cpp. */
export const ORDER_EVERY_MS = 600_000
const LIFE_MS = 300_000

function timed (run: () => void): number {
  const startMs = performance.now()
  run()
  return (performance.now() - startMs) / 1_000
}

/** `periods`: measured, after two. */
function gossip (plants: number, periods: number): Measured {
  const model = new MessageGossip({ seed: 1, plants })
  model.runUntil(20_000)
  const [messages, events] = [model.messages, model.events]
  const seconds = timed(() => { model.runUntil(20_000 + 10_000 * periods) })
  return { count: model.messages - messages, events: model.events - events, seconds, bytes: model.bytes }
}

function bids (plants: number, orders: number, desk: 'cores' | 'typed', fanOut: 'one event' | 'message'): Measured {
  const market = marketOf({ seed: 1, plants, orderEveryMs: ORDER_EVERY_MS, lifeMs: LIFE_MS, fanOut })
  const rounds = new BidRounds(market, (of, ties) => desk === 'cores' ? new CoreDesk(of, ties) : new TypedDesk(of, ties))
  const measuredMs = orders / plants * ORDER_EVERY_MS
  const warmUpMs = measuredMs / 5
  rounds.runUntil(warmUpMs)
  const before = rounds.counts
  const seconds = timed(() => { rounds.runUntil(warmUpMs + measuredMs) })
  return { count: rounds.counts.orders - before.orders, events: rounds.counts.events - before.events, seconds, bytes: rounds.bytes }
}

function flows (peers: number, flowsPerSlot: number): Measured {
  const swarm = new FluidSwarm({ seed: 1, peers, flowsPerSlot })
  const seconds = timed(() => { swarm.run() })
  return { count: swarm.flows, seconds, bytes: swarm.bytes, simulatedSeconds: swarm.nowTicks / 1e6 }
}

/** Every event pushes one a drawn time ahead, with so many pending. */
function hold (pending: number, events: number, queue: EventQueue): Measured {
  const random = new RandomStream(1)
  for (let i = 0; i < pending; i++) queue.push(random.int(2_000_000), 0, i, 0)
  const step = (): void => {
    if (queue.pop() !== NONE) queue.push(queue.nowTicks + (random.next() >>> 11), 0, queue.a, 0)
  }
  for (let i = 0; i < pending; i++) step()
  return { count: events, seconds: timed(() => { for (let i = 0; i < events; i++) step() }), bytes: queue.bytes }
}

/** Plants that order once in ten minutes and keep the machine five, for as long as it takes to place so many orders. */
async function million (plants: number, orders: number): Promise<Measured> {
  const file = scenarioFile.parse({
    apiVersion: 'plantmesh-sim/v1',
    kind: 'Scenario',
    name: 'million',
    mode: 'arrays',
    plants: [{ count: plants }],
    policy: { costModel: 'memory' },
    orders: [{ kind: 'poisson', per: 'plant', meanIntervalMs: ORDER_EVERY_MS, machine: { os: 'linux' }, hold: { kind: 'exponential', meanMs: LIFE_MS } }],
    scale: { sampledPlants: 0 },
    until: { ms: orders / plants * ORDER_EVERY_MS }
  })
  const startMs = performance.now()
  const { figures, events } = await simulateAtScale({ ...file, orders: file.orders as Scenario['orders'] }, 1)
  return { count: figures['orders'] ?? 0, events, seconds: (performance.now() - startMs) / 1_000, bytes: figures['bytes'] ?? 0 }
}

async function measure (name: string, plants: number, measured: number): Promise<Measured> {
  switch (name) {
    case 'gossip': return gossip(plants, measured)
    case 'bids-cores': return bids(plants, measured, 'cores', 'one event')
    case 'bids-typed': return bids(plants, measured, 'typed', 'one event')
    case 'bids-typed-messages': return bids(plants, measured, 'typed', 'message')
    case 'flows': return flows(plants, measured)
    case 'calendar': return hold(plants, measured, new CalendarQueue())
    case 'heap': return hold(plants, measured, new HeapQueue())
    case 'million': return million(plants, measured)
    default: throw new Error(`no workload ${name}`)
  }
}

if (import.meta.main) {
  const [name = '', plants = '', measured = ''] = process.argv.slice(2)
  const found = await measure(name, Number(plants), Number(measured))
  console.log(JSON.stringify({ ...found, maxRssBytes: process.resourceUsage().maxRSS * 1_024 }))
}
