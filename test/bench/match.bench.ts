/**
 * How fast an order is planned, and what matching by partial order saves (issue: matching).
 *   node test/bench/match.bench.ts
 * Part one: 1,000 golden machines, orders of 50 actions; the time of one whole plan, digests of the order's actions included. Part two: a
 * stream of orders, each published when made; counts the actions executed with no reuse, with reuse of equal beginnings of a linear list
 * (as layers of container images are reused, every intermediate one kept), and with ours (only whole machines kept).
 */
import { pathToFileURL } from 'node:url'
import { plan } from '../../node/plant/planner.ts'
import type { GoldenId } from '../../protocols/kit/index.ts'
import { actionDigest, checkOrder, topologicalOrder, type Action, type Golden, type Order } from '../../protocols/order/index.ts'

const GOLDENS = 1000
const ACTIONS = 50
const PLANS = 1000
const WARM_UP = 100
/** The aim of the issue, for the median and the 99th percentile. */
const AIM_MS = 5

/** A small generator (mulberry32): the same stream in every run. */
function chance (seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

function dag (next: (below: number) => number, count: number, scripts: number): Action[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `a${index}`, after: [...new Set(Array.from({ length: next(4) }, () => index === 0 ? '' : `a${next(index)}`))].filter((id) => id !== ''), run: 'guest' as const,
    script: `install package-${scripts === 0 ? index : next(scripts)} --with "some options" && echo done >> "$PLANT_OUTPUT"`, parameters: { VERSION: '1' }, files: {}, timeoutMs: 1000
  }))
}

function orderOf (actions: Action[]): Order {
  return checkOrder({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions } })
}

function goldenOf (id: number, done: readonly Action[], bytes: number): Golden {
  return {
    goldenId: id.toString(16).padStart(32, '0') as GoldenId, name: `g${id}`, os: 'tiny', hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }, lineFingerprint: 'line',
    actionsDone: done.map((action) => ({ digest: actionDigest(action), id: action.id, outputs: {} })), files: [{ name: 'disk', bytes, sha256: '' }], createdAtMs: 0
  }
}

/** A random walk through the DAG, `length` actions long. */
function walk (actions: readonly Action[], length: number, next: (below: number) => number): Action[] {
  const done: Action[] = []
  const ids = new Set<string>()
  while (done.length < length) {
    const ready = actions.filter((a) => !ids.has(a.id) && a.after.every((id) => ids.has(id)))
    const action = ready[next(ready.length)]
    if (action === undefined) break
    ids.add(action.id)
    done.push(action)
  }
  return done
}

export interface Timing { what: string, medianMs: number, p99Ms: number, matched: number }

/** With `cold`, the warehouse's descriptions are new for each plan, so that nothing made of them earlier helps. Times whole plans over a warehouse of `GOLDENS` machines, made by `done` from the actions of the base order. */
export function timePlans (what: string, scripts: number, done: (actions: Action[], index: number, next: (below: number) => number) => Action[], cold = false): Timing {
  const next = chance(7)
  const actions = dag(next, ACTIONS, scripts)
  const goldens = Array.from({ length: GOLDENS }, (_, index) => goldenOf(index, done(actions, index, next), next(1000)))
  const times: number[] = []
  let matched = 0
  for (let run = 0; run < WARM_UP + PLANS; run++) {
    // Each order is a fresh value, as after parsing: nothing is cached from run to run.
    const order = structuredClone(orderOf(actions))
    const shelf = cold ? goldens.map((golden) => ({ ...golden })) : goldens
    const start = performance.now()
    const result = plan(order, shelf, 'line')
    if (run >= WARM_UP) times.push(performance.now() - start)
    if (run >= WARM_UP && result.fits) matched++
  }
  times.sort((a, b) => a - b)
  return { what, medianMs: times[PLANS >> 1] ?? 0, p99Ms: times[Math.floor(PLANS * 0.99)] ?? 0, matched }
}

export interface Reuse { orders: number, none: number, prefixOnly: number, ours: number }

/**
 * A stream of orders over a course's catalogue of actions: each order asks for a down-set of one DAG (what is needed, with all it needs), written
 * in a random order that the DAG allows.
 */
export function countExecuted (orders: number, kinds: number, seed: number): Reuse {
  const next = chance(seed)
  const catalogue = dag(next, 20, 0)
  const byId = new Map(catalogue.map((action) => [action.id, action]))
  const wanted = Array.from({ length: kinds }, () => {
    const ids = new Set<string>()
    const add = (id: string): void => {
      ids.add(id)
      for (const before of byId.get(id)?.after ?? []) add(before)
    }
    for (let i = 0; i < 3; i++) add(`a${next(catalogue.length)}`)
    return ids
  })
  const layers = new Set<string>()
  const goldens: Golden[] = [goldenOf(0, [], 100)]
  const counts: Reuse = { orders, none: 0, prefixOnly: 0, ours: 0 }
  for (let index = 1; index <= orders; index++) {
    const ids = wanted[next(kinds)] ?? new Set<string>()
    const actions = walk(catalogue.filter((action) => ids.has(action.id)), ids.size, next)
    counts.none += actions.length
    let layer = ''
    let hit = true
    for (const action of topologicalOrder(actions)) {
      layer = `${layer}/${actionDigest(action)}`
      hit &&= layers.has(layer)
      if (!hit) counts.prefixOnly++
      layers.add(layer)
    }
    const result = plan(orderOf(actions), goldens, 'line')
    if (!result.fits) throw new Error('the blank machine matches every order')
    counts.ours += result.remainder.length
    if (result.remainder.length > 0) {
      const done = [...result.skipped.map(({ id }) => byId.get(id)), ...result.remainder].filter((action) => action !== undefined)
      goldens.push(goldenOf(index, done, 100 + done.length))
    }
  }
  return counts
}

export function main (): void {
  const timings = [
    timePlans('every machine matches, all must be compared', 0, (actions, _index, next) => walk(actions, 49, next)),
    timePlans('machines of all lengths, half of them with a stranger', 0, (actions, index, next) => {
      const done = walk(actions, next(ACTIONS + 1), next)
      if (index % 2 === 1) done.splice(next(done.length + 1), 0, { ...actions[0] as Action, script: `stranger ${index}` })
      return done
    }),
    timePlans('none matches: only the last action is a stranger', 0, (actions, index, next) => [...walk(actions, 49, next), { ...actions[0] as Action, script: `stranger ${index}` }]),
    timePlans('actions that do the same: 50 over 25 scripts', 25, (actions, _index, next) => walk(actions, next(ACTIONS + 1), next)),
    timePlans('a warehouse read anew for each plan', 0, (actions, _index, next) => walk(actions, 49, next), true)
  ]
  for (const { what, medianMs, p99Ms, matched } of timings) {
    console.log(`plan, ${GOLDENS} golden machines x ${ACTIONS} actions, ${what}: median ${medianMs.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms (aim ${AIM_MS} ms: ${p99Ms < AIM_MS ? 'met' : 'missed'}), ${matched}/${PLANS} matched`)
  }
  for (const [orders, kinds] of [[200, 10], [200, 50], [1000, 50]] as const) {
    const { none, prefixOnly, ours } = countExecuted(orders, kinds, 11)
    console.log(`reuse, ${orders} orders of ${kinds} kinds in permuted order: ${none} actions executed without reuse, ${prefixOnly} with prefix-only reuse, ${ours} with partial-order matching`)
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main()
