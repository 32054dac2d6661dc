/**
 * Matching and planning against the paper's three tests written down directly: every assignment of what was done to nodes of the DAG is
 * tried, with none of the implementation's own graph code.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type PlantError, type ActionDigest, type GoldenId } from '../../protocols/kit/index.ts'
import { actionDigest, checkOrder, matchActions, orderGraph, type Action, type Golden, type Order, type OrderGraph } from '../../protocols/order/index.ts'
import { digestPrefixes, QuickMatcher } from '../../protocols/order/quick-match.ts'
import { actionsDoneOf, plan, type Plan } from '../../node/plant/planner.ts'
import { graphs } from './generate.ts'

function orderOf (actions: Action[], hardware: object = {}, os = 'tiny'): Order {
  return checkOrder({ apiVersion: 'plantmesh/v1', kind: 'Machine', hardware: { isa: 'x86_64', ...hardware }, software: { os, actions } })
}

let counter = 0
function goldenOf (done: ReadonlyArray<Pick<Action, 'id'> & Action>, more: Partial<Golden> & { bytes?: number } = {}): Golden {
  const { bytes = 100, ...rest } = more
  return {
    goldenId: String(++counter).padStart(32, '0') as GoldenId, name: 'tiny', os: 'tiny', hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }, lineFingerprint: 'line',
    actionsDone: done.map((action) => ({ digest: actionDigest(action), id: action.id, outputs: { [`Of_${action.id}`]: '1' } })), files: [{ name: 'disk', bytes, sha256: '' }], createdAtMs: 0, ...rest
  }
}

const act = (id: string, after: string[] = [], script = id): Action => ({ id, after, run: 'guest', script, parameters: {}, files: {}, timeoutMs: 1000 })

/** All ids that must come before each, by following edges until nothing is added. */
function closure (actions: readonly Action[]): Map<string, Set<string>> {
  const before = new Map(actions.map((a) => [a.id, new Set(a.after)]))
  for (let changed = true; changed;) {
    changed = false
    for (const set of before.values()) for (const id of set) for (const further of before.get(id) ?? []) if (!set.has(further)) { set.add(further); changed = true }
  }
  return before
}

/** The three tests for one assignment: position i of what was done is node nodes[i] (undefined: asked for by name only). */
function passes (actions: readonly Action[], before: ReadonlyMap<string, ReadonlySet<string>>, nodes: ReadonlyArray<string | undefined>): boolean {
  const place = new Map(nodes.flatMap((id, index) => id === undefined ? [] : [[id, index] as const]))
  const prefix = [...place.keys()].every((id) => [...before.get(id) ?? []].every((earlier) => place.has(earlier)))
  const ordered = actions.every((a) => actions.every((b) => !before.get(b.id)?.has(a.id) || !place.has(a.id) || !place.has(b.id) || (place.get(a.id) ?? 0) < (place.get(b.id) ?? 0)))
  return prefix && ordered
}

/** Most nodes that an assignment passing all tests takes, or undefined when there is none. The subset test is that an assignment exists. */
function bruteForce (actions: readonly Action[], done: readonly ActionDigest[], named: boolean): number | undefined {
  const before = closure(actions)
  const labels = new Map(actions.map((a) => [a.id, actionDigest(a)]))
  const countOf = (list: Iterable<ActionDigest>, digest: ActionDigest): number => [...list].filter((other) => other === digest).length
  let best: number | undefined
  const assign = (index: number, nodes: Array<string | undefined>): void => {
    const digest = done[index]
    if (digest === undefined) {
      // By name, as many are matched of each digest as the order asks for and were done.
      const enough = [...new Set(done)].every((d) => nodes.filter((id) => id !== undefined && labels.get(id) === d).length === Math.min(countOf(done, d), countOf(labels.values(), d)))
      if (enough && passes(actions, before, nodes)) best = Math.max(best ?? 0, nodes.filter((id) => id !== undefined).length)
      return
    }
    for (const [id, label] of labels) if (label === digest && !nodes.includes(id)) assign(index + 1, [...nodes, id])
    if (named) assign(index + 1, [...nodes, undefined])
  }
  assign(0, [])
  return best
}

/** A DAG and what some machine has done: mostly a walk through a like DAG, sometimes disturbed, so that each test passes and fails often. */
function cases (max: number, scripts: number): fc.Arbitrary<{ actions: Action[], done: Action[] }> {
  return graphs(max, scripts).chain((actions) => fc.tuple(fc.infiniteStream(fc.nat(100)), fc.nat(actions.length), fc.integer({ min: 0, max: 5 }), fc.nat(20), fc.nat(20)).map(([chance, length, disturb, i, j]) => {
    const next = (below: number): number => (chance.next().value as number) % below
    const done: Action[] = []
    while (done.length < length) {
      const ready = actions.filter((a) => !done.includes(a) && a.after.every((id) => done.some((d) => d.id === id)))
      done.push(ready[next(ready.length)] as Action)
    }
    if (disturb === 0 && done.length > 0) done.splice(i % done.length, 1)
    if (disturb === 1 && done.length > 1) [done[i % done.length], done[j % done.length]] = [done[j % done.length] as Action, done[i % done.length] as Action]
    if (disturb === 2) done.splice(i % (done.length + 1), 0, actions.length > 0 && j % 2 === 0 ? actions[j % actions.length] as Action : act('stranger'))
    return { actions, done }
  }))
}

describe('the three tests', () => {
  for (const [what, scripts] of [['different actions', 0], ['actions of which some do the same', 3], ['actions that nearly all do the same', 2]] as const) {
    test(`agree with their definition for ${what}`, () => {
      let matched = 0
      let runs = 0
      fc.assert(fc.property(cases(6, scripts), fc.boolean(), ({ actions, done }, named) => {
        const digests = done.map(actionDigest)
        const expected = bruteForce(actions, digests, named)
        const graph = orderGraph(actions)
        const match = matchActions(graph, digests, named)
        expect(match.matches ? match.nodes.filter((node) => node !== undefined).length : undefined).toBe(expected)
        runs++
        if (!match.matches) return
        matched++
        const ids = match.nodes.map((node) => node === undefined ? undefined : graph.actions[node]?.id)
        expect(passes(actions, closure(actions), ids)).toBe(true)
        for (const [index, node] of match.nodes.entries()) if (node !== undefined) expect(graph.digests[node]).toBe(digests[index])
        expect(new Set(ids.filter((id) => id !== undefined)).size).toBe(ids.filter((id) => id !== undefined).length)
      }), { numRuns: 1500 })
      // The generator is worth something only if it reaches both answers.
      expect(matched).toBeGreaterThan(runs / 10)
      expect(matched).toBeLessThan(runs * 0.98)
    })
  }

  test('a failed match names the first test that fails', () => {
    fc.assert(fc.property(cases(7, 0), ({ actions, done }) => {
      const digests = done.map(actionDigest)
      const match = matchActions(orderGraph(actions), digests)
      const ids = digests.map((digest) => actions.find((a) => actionDigest(a) === digest)?.id)
      const before = closure(actions)
      const subset = ids.every((id, index) => id !== undefined && ids.indexOf(id) === index)
      const prefix = ids.every((id) => [...before.get(id ?? '') ?? []].every((earlier) => ids.includes(earlier)))
      if (!match.matches) expect(match.clause).toBe(!subset ? 'SUBSET' : !prefix ? 'PREFIX' : 'PARTIAL_ORDER')
      expect(match.matches).toBe(subset && passes(actions, before, ids))
    }), { numRuns: 800 })
  })

  test('the quick comparison never fails what matches, and names the same test', () => {
    fc.assert(fc.property(fc.constantFrom(0, 3).chain((scripts) => cases(7, scripts)), ({ actions, done }) => {
      const digests = done.map(actionDigest)
      const graph = orderGraph(actions)
      const match = matchActions(graph, digests)
      const quick = new QuickMatcher(graph).test(digestPrefixes(digests))
      if (match.matches) expect(quick.verdict).not.toBe('fails')
      else if (!graph.twins) expect(quick).toEqual(expect.objectContaining({ verdict: 'fails', clause: match.clause }))
    }), { numRuns: 1000 })
  })

  test('digests that begin alike are told apart', () => {
    const alike = (end: string): ActionDigest => `00000000${end.repeat(56)}` as ActionDigest
    const graph: OrderGraph = { actions: [act('a'), act('b', ['a'])], digests: [alike('a'), alike('b')], before: [[], [0]], nodesOf: new Map([[alike('a'), [0]], [alike('b'), [1]]]), twins: false }
    const quick = new QuickMatcher(graph)
    for (const [done, matches] of [[['a'], true], [['a', 'b'], true], [['b'], false], [['b', 'a'], false], [['c'], false]] as const) {
      const digests = done.map(alike)
      expect(matchActions(graph, digests).matches).toBe(matches)
      if (matches) expect(quick.test(digestPrefixes(digests)).verdict).not.toBe('fails')
    }
  })

  test('many actions that do the same end in a bounded search', () => {
    const actions = Array.from({ length: 400 }, (_, index) => act(`n${index}`, index % 2 === 0 ? [] : [`n${index - 1}`], index % 2 === 0 ? 'same' : `own ${index}`))
    const done = actions.slice(0, 200).map(actionDigest)
    // Without the bound this takes longer than anyone waits: the test's own time-out is the assertion.
    expect(matchActions(orderGraph(actions), done)).toHaveProperty('matches')
  })
})

describe('plan', () => {
  const [a, b, c] = [act('a'), act('b', ['a']), act('c', ['a'])]

  test('takes, of all golden machines that match, the least left to do, then the smaller image, then the lower id; whatever their order', () => {
    fc.assert(fc.property(graphs(6, 3).chain((actions) => fc.tuple(fc.constant(actions), fc.array(fc.tuple(fc.shuffledSubarray(actions), fc.nat(3), fc.integer({ min: 1, max: 2 }), fc.integer({ min: 511, max: 513 }), fc.constantFrom('line', 'line', 'other'), fc.constantFrom('tiny', 'tiny', 'big')), { maxLength: 12 }))), fc.infiniteStream(fc.nat(1000)), ([actions, specs], chance) => {
      const order = orderOf(actions)
      const goldens = specs.map(([done, bytes, cpus, diskMiB, lineFingerprint, os]) => goldenOf(done, { bytes, lineFingerprint, os, name: os, hardware: { isa: 'x86_64', cpus, memoryMiB: 256, diskMiB } }))
      const fit = goldens.filter((g) => g.os === 'tiny' && g.hardware.diskMiB <= 512).map((golden) => ({ golden, done: bruteForce(actions, golden.actionsDone.map((d) => d.digest), false), resize: golden.hardware.cpus !== 1 || golden.lineFingerprint !== 'line' }))
        .filter((candidate) => candidate.done !== undefined)
        .sort((x, y) => Number(x.resize) - Number(y.resize) || (y.done ?? 0) - (x.done ?? 0) || (x.golden.files[0]?.bytes ?? 0) - (y.golden.files[0]?.bytes ?? 0) || (x.golden.goldenId < y.golden.goldenId ? -1 : 1))
      const shuffled = goldens.map((golden) => ({ golden, key: chance.next().value as number })).sort((x, y) => x.key - y.key).map(({ golden }) => golden)
      const result = plan(order, shuffled, 'line')
      expect(result.fits).toBe(fit.length > 0)
      if (!result.fits) return
      expect([result.golden.goldenId, result.resize, result.skipped.length]).toEqual([fit[0]?.golden.goldenId, fit[0]?.resize, fit[0]?.done])
      expect([...result.skipped, ...result.remainder].map((action) => action.id).sort()).toEqual(actions.map((action) => action.id).sort())
      const done = new Set(result.skipped.map((action) => action.id))
      for (const action of result.remainder) {
        expect(action.after.every((id) => done.has(id))).toBe(true)
        done.add(action.id)
      }
    }), { numRuns: 400 })
  })

  test('skips what is done and gives its outputs, later ones over earlier ones', () => {
    const golden = goldenOf([a, c], {})
    golden.actionsDone[0] = { ...golden.actionsDone[0] as Golden['actionsDone'][0], outputs: { X: 'old', Y: 'y' } }
    golden.actionsDone[1] = { ...golden.actionsDone[1] as Golden['actionsDone'][0], outputs: { X: 'new' } }
    expect(plan(orderOf([c, b, a].map((action) => ({ ...action, timeoutMs: 7 }))), [golden], 'line')).toMatchObject({ fits: true, resize: false, skipped: [{ id: 'a', outputs: { X: 'old', Y: 'y' } }, { id: 'c' }], outputs: { X: 'new', Y: 'y' }, remainder: [{ id: 'b' }] })
  })

  test('asks to resize only when nothing of the right size matches', () => {
    const small = goldenOf([a, b, c], { hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 128, diskMiB: 512 } })
    expect(plan(orderOf([a, b, c]), [small, goldenOf([])], 'line')).toMatchObject({ fits: true, resize: false, remainder: [{}, {}, {}] })
    expect(plan(orderOf([a, b, c]), [small], 'line')).toMatchObject({ fits: true, resize: true, golden: { goldenId: small.goldenId }, remainder: [] })
    expect(plan(orderOf([a, b, c]), [goldenOf([a])], 'another line')).toMatchObject({ fits: true, resize: true, remainder: [{ id: 'b' }, { id: 'c' }] })
  })

  test('an order that names a published machine gets it with all that was done on it', () => {
    const published = goldenOf([a, act('extra')], { name: 'lab' })
    expect(plan(orderOf([a, b], {}, 'lab'), [goldenOf([]), published], 'line')).toMatchObject({ fits: true, golden: { name: 'lab' }, skipped: [{ id: 'a' }], remainder: [{ id: 'b' }], outputs: { Of_extra: '1' } })
    expect(plan(orderOf([], {}, 'lab'), [published], 'line')).toMatchObject({ fits: true, skipped: [], remainder: [] })
    expect(plan(orderOf([act('x'), { ...a, after: ['x'] }], {}, 'lab'), [published], 'line')).toMatchObject({ fits: false, refusal: { clause: 'PREFIX' } })
  })

  const refused: Array<[string, Golden[], Order, Partial<(Plan & { fits: false })['refusal']>]> = [
    ['no golden machine at all', [], orderOf([]), { clause: 'OS', field: 'software.os', found: expect.stringContaining('plantmesh golden build tiny') as unknown as string }],
    ['another OS', [goldenOf([])], orderOf([], {}, 'redhat'), { clause: 'OS', field: 'software.os', found: 'tiny', wanted: 'redhat', change: { from: 'redhat', to: 'tiny' } }],
    ['another OS of several', [goldenOf([]), goldenOf([], { name: 'lab' })], orderOf([], {}, 'redhat'), { clause: 'OS', found: 'lab, tiny', change: { from: 'redhat', to: 'one of lab, tiny' } }],
    ['another instruction set', [goldenOf([])], orderOf([], { isa: 'aarch64' }), { clause: 'ISA', field: 'hardware.isa', found: 'x86_64', wanted: 'aarch64', change: { from: 'aarch64', to: 'x86_64' } }],
    ['a smaller disk', [goldenOf([], { hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 900 } }), goldenOf([])], orderOf([], { diskMiB: 100 }), { clause: 'DISK', field: 'hardware.diskMiB', found: 512, wanted: 100, change: { from: 100, to: 512 } }],
    ['something done that is not asked for', [goldenOf([act('z')])], orderOf([a]), { clause: 'SUBSET', field: 'software.actions', found: expect.stringContaining('"z"') as unknown as string }],
    ['something done without what comes before', [goldenOf([b])], orderOf([a, b]), { clause: 'PREFIX', field: 'software.actions[1].after' }],
    ['something done too early', [goldenOf([b, a])], orderOf([a, b]), { clause: 'PARTIAL_ORDER' }],
    ['the nearest of several', [goldenOf([act('z')]), goldenOf([b, a]), goldenOf([b])], orderOf([a, b]), { clause: 'PARTIAL_ORDER' }]
  ]
  test.each(refused)('names the clause for %s', (_name, goldens, order, refusal) => {
    expect(plan(order, goldens, 'line')).toMatchObject({ fits: false, refusal })
  })
})

describe('what publishing records', () => {
  const order = orderOf([act('a'), act('b', ['a']), act('c', ['a'])])
  const byId = new Map(order.software.actions.map((action) => [action.id, action]))
  const base = goldenOf([byId.get('a') as Action]).actionsDone

  test('is what the golden machine had, then what ran, in the order in which it ended, with the outputs', () => {
    expect(actionsDoneOf(order, base, ['c', 'b'], { Of_a: '1', Uid: '1000', VMID: 'x', MemoryMiB: 256 })).toEqual([
      ...base, { id: 'c', digest: actionDigest(byId.get('c') as Action), outputs: {} }, { id: 'b', digest: actionDigest(byId.get('b') as Action), outputs: { Uid: '1000' } }
    ])
  })

  test('matches the same order again with nothing left', () => {
    const golden = { ...goldenOf([]), actionsDone: actionsDoneOf(order, [], ['a', 'c', 'b'], { Uid: '1' }) }
    expect(plan(order, [golden], 'line')).toMatchObject({ fits: true, remainder: [], outputs: { Uid: '1' } })
  })

  test('is refused when an action failed and was mended', () => {
    expect(() => actionsDoneOf(order, base, ['c'], {})).toThrow(expect.objectContaining({ code: 'VM_STATE', details: expect.objectContaining({ actions: ['b'] }) }) as unknown as PlantError)
  })
})
