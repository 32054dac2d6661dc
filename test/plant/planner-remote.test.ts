/** The planner over what is here and what the mesh has: the least time to the machine, and whose golden machine an order may get. */
import { describe, expect, test } from 'vitest'
import { keyIdOf, type GoldenId, type KeyId } from '../../protocols/kit/index.ts'
import { actionDigest, checkOrder, type Action, type Golden, type Order } from '../../protocols/order/index.ts'
import { makeKey } from '../../node/drivers/key-file.ts'
import { plan, type Production } from '../../node/plant/planner.ts'

const MIB = 2 ** 20
/** 0.5 s an action, 15 s a boot, 12.5 MB/s: 1 s is two actions or 12.5 MB. */
const figures = { actionMs: 500, bootMs: 15_000, fetchBytesPerMs: 12_500 }
const act = (id: string, after: string[] = []): Action => ({ id, after, run: 'guest', script: id, parameters: {}, files: {}, timeoutMs: 1000 })
const chain = (length: number): Action[] => Array.from({ length }, (_, i) => act(`a${i}`, i === 0 ? [] : [`a${i - 1}`]))
const mine: KeyId = keyIdOf(makeKey().publicKey)
const theirs: KeyId = keyIdOf(makeKey().publicKey)

function orderOf (actions: Action[], os = 'tiny'): Order {
  return checkOrder({ apiVersion: 'plantmesh/v1', kind: 'Machine', domain: 'lab', hardware: { isa: 'x86_64' }, software: { os, actions } })
}

let counter = 0
function goldenOf (done: Action[], more: Partial<Golden> = {}): Golden {
  return {
    goldenId: String(++counter).padStart(32, '0') as GoldenId, name: 'tiny', os: 'tiny', hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }, lineFingerprint: 'line',
    actionsDone: done.map((action) => ({ digest: actionDigest(action), id: action.id, outputs: {} })), files: [{ name: 'disk', bytes: 100, root: '0'.repeat(64) }], createdAtMs: 0, ...more
  }
}
const by = (domainKey: KeyId | undefined, name: string, more: Partial<Golden> = {}): Golden =>
  goldenOf([], { name, ...(domainKey !== undefined && { publishedBy: { domain: 'lab', domainKey } }), ...more })
const away = (golden: Golden, missingBytes = MIB): { golden: Golden, missingBytes: number } => ({ golden, missingBytes })

describe('the least time to the machine', () => {
  const actions = chain(10)
  const chosen = (here: Golden[], remote: Array<ReturnType<typeof away>>): [string, number, number] => {
    const made = plan(orderOf(actions), here, 'line', { remote, figures }) as Production
    return [made.golden.goldenId, made.fetchBytes, made.remainder.length]
  }

  test('a golden machine of the mesh is fetched when that takes less time than the actions it saves', () => {
    const [bare, ready] = [goldenOf([]), goldenOf(actions)]
    expect(chosen([bare], [away(ready, 10 * MIB)])).toEqual([ready.goldenId, 10 * MIB, 0])
    expect(chosen([bare], [away(ready, 100 * MIB)])).toEqual([bare.goldenId, 0, 10])
  })

  test('of several the sum of bytes and actions counts, not either alone', () => {
    const [most, some, none] = [goldenOf(actions), goldenOf(actions.slice(0, 8)), goldenOf([])]
    expect(chosen([], [away(most, 60 * MIB), away(some, 30 * MIB), away(none, 20 * MIB)])).toEqual([some.goldenId, 30 * MIB, 2])
  })

  test('a boot at another size counts as time too', () => {
    const [other, right] = [goldenOf(actions, { lineFingerprint: 'another' }), goldenOf([])]
    expect(chosen([right], [away(other, MIB)])).toEqual([right.goldenId, 0, 10])
    expect(plan(orderOf(chain(40)), [goldenOf([])], 'line', { figures, remote: [away(goldenOf(chain(40), { lineFingerprint: 'another' }))] })).toMatchObject({ resize: true, fetchBytes: MIB })
  })

  test('what must come before a machine starts counts, and not what may come later, unless the whole disk is booted', () => {
    const remote = (more: Partial<Golden> = {}): unknown => plan(orderOf(actions), [goldenOf([])], 'line', { figures, remote: [{ ...away(goldenOf(actions, more), 300 * MIB), startBytes: 20 * MIB }] })
    expect(remote()).toMatchObject({ fetchBytes: 300 * MIB, startBytes: 20 * MIB })
    expect(remote({ lineFingerprint: 'another' })).toMatchObject({ fetchBytes: 0, startBytes: 0 })
    const bare = { ...away(goldenOf(chain(40), { lineFingerprint: '' }), 300 * MIB), startBytes: 20 * MIB, boots: true }
    expect(plan(orderOf(chain(40)), [goldenOf([])], 'line', { figures, remote: [bare] })).toMatchObject({ resize: true, fetchBytes: 300 * MIB, startBytes: 20 * MIB })
    expect(plan(orderOf(actions), [], 'line', { figures, remote: [away(goldenOf(actions))] })).toMatchObject({ fetchBytes: MIB, startBytes: MIB })
  })

  test('what is here is not fetched, and stays the choice where it is no worse', () => {
    const golden = goldenOf(actions)
    expect(chosen([golden], [away(golden), away(goldenOf(actions))])).toEqual([golden.goldenId, 0, 0])
  })

  test('a plant without any golden machine plans with those of the mesh, and refuses by the nearest of them', () => {
    expect(plan(orderOf(actions), [], 'line', { remote: [away(goldenOf([]))] })).toMatchObject({ fits: true, fetchBytes: MIB })
    expect(plan(orderOf([]), [], 'line', { remote: [away(goldenOf([act('z')]))] })).toMatchObject({ fits: false, refusal: { clause: 'SUBSET' } })
    expect(plan(orderOf([], 'redhat'), [], 'line', { remote: [away(goldenOf([]))] })).toMatchObject({ fits: false, refusal: { clause: 'OS', found: 'tiny' } })
  })

  test('the answer does not depend on the order in which golden machines are looked at', () => {
    const remote = [5, 3, 9, 1, 7].map((done, i) => away(goldenOf(actions.slice(0, done)), (i + 1) * 7 * MIB))
    const answers = [remote, remote.toReversed(), remote.toSorted((a, b) => a.missingBytes % 5 - b.missingBytes % 5)].map((some) => chosen([goldenOf([])], some))
    for (const answer of answers) expect(answer).toEqual(answers[0])
  })
})

describe('whose golden machine', () => {
  const planned = (os: string, here: Golden[], remote: Golden[] = []): ReturnType<typeof plan> => plan(orderOf([], os), here, 'line', { domainKey: mine, remote: remote.map((golden) => away(golden)) })

  test('what another domain published is no base for its family, and is by its own name', () => {
    expect(planned('tiny', [], [by(theirs, 'web')])).toMatchObject({ fits: false })
    expect(planned('web', [], [by(theirs, 'web')])).toMatchObject({ fits: true, golden: { name: 'web' } })
    expect(planned('tiny', [], [by(mine, 'web')])).toMatchObject({ fits: true })
  })

  test('no golden machine of another domain passes for a family, built in or another\'s', () => {
    expect(planned('tiny', [], [by(theirs, 'tiny')])).toMatchObject({ fits: false })
    expect(planned('debian', [], [by(theirs, 'debian', { os: 'debian' })])).toMatchObject({ fits: false })
    const suse = goldenOf([], { name: 'suse', os: 'suse' })
    expect(planned('suse', [], [by(theirs, 'suse'), suse])).toMatchObject({ fits: true, golden: { goldenId: suse.goldenId } })
  })

  test('of two of one name the own domain\'s is taken', () => {
    const own = by(mine, 'web')
    expect(planned('web', [by(theirs, 'web')], [own])).toMatchObject({ fits: true, golden: { goldenId: own.goldenId } })
  })

  test('two of others of one name are refused with both, and each is to be had by its id', () => {
    const [a, b] = [by(theirs, 'web'), by(keyIdOf(makeKey().publicKey), 'web')]
    const refused = planned('web', [a], [b])
    expect(refused).toMatchObject({ fits: false, refusal: { clause: 'AMBIGUOUS', field: 'software.os', wanted: 'web', change: { from: 'web', to: `one of ${a.goldenId}, ${b.goldenId}` } } })
    for (const { goldenId } of [a, b]) expect(JSON.stringify(refused)).toContain(goldenId)
    expect(planned(b.goldenId, [a], [b])).toMatchObject({ fits: true, golden: { goldenId: b.goldenId } })
    expect(planned(a.goldenId, [a], [b])).toMatchObject({ fits: true, fetchBytes: 0 })
  })

  test('two of one owner are no question, and neither are two plants\' own builds of a family', () => {
    expect(planned('web', [], [by(theirs, 'web'), by(theirs, 'web')])).toMatchObject({ fits: true })
    expect(planned('tiny', [], [goldenOf([], { publisher: mine }), goldenOf([], { publisher: theirs })])).toMatchObject({ fits: true })
    const imported = (publisher: KeyId): Golden => goldenOf([], { name: 'foreign', os: 'linux', publisher })
    expect(planned('foreign', [], [imported(mine), imported(theirs)])).toMatchObject({ fits: false, refusal: { clause: 'AMBIGUOUS' } })
  })
})
