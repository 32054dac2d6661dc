/** What the commands make of templates: labels on and off, what is watched, and what the mesh tells of golden machines. */
import { expect, test } from 'vitest'
import { PlantError, type GoldenId, type PeerId } from '../../protocols/kit/index.ts'
import { watch } from '../../node/cli/follow-watch.ts'
import { labelMarks, labelledByOthers } from '../../node/cli/template-label.ts'
import { ELSEWHERE_MAX, templatesElsewhere } from '../../node/plant/templates/elsewhere.ts'
import { searchTemplates } from '../../node/plant/templates/search.ts'
import { templatesOf } from '../../storage/templates/template.ts'
import type { HeldImage } from '../../protocols/image/index.ts'
import { goldenId, goldenOf, people } from './support.ts'

const [by, other] = people.map(({ key }) => key) as [never, never]
const signal = new AbortController().signal

test('a label is taken off wherever its key has put it, though another size stands for the template by now', () => {
  const template = { goldenId: goldenId(9), labelledBy: [{ label: 'a', by, atMs: 50, goldenId: goldenId(1) }, { label: 'a', by, atMs: 60, goldenId: goldenId(2) }, { label: 'a', by: other, atMs: 1, goldenId: goldenId(3) }] }
  expect(labelMarks(template, { by, label: 'a', on: false, nowMs: 10 }).map(({ goldenId: id, atMs }) => [id, atMs])).toEqual([[goldenId(1), 61], [goldenId(2), 61]])
  expect(labelMarks(template, { by, label: 'b', on: false, nowMs: 10 })).toMatchObject([{ goldenId: goldenId(9), atMs: 10, on: false }])
  expect(labelMarks(template, { by, label: 'a', on: true, nowMs: 10 })).toMatchObject([{ goldenId: goldenId(9), atMs: 61, on: true }])
  expect(labelledByOthers(template, by, 'a')).toEqual([other])
})

test('what is watched goes on while the plant starts anew, and tells of a label that moves back', async () => {
  const looks: Array<string[] | 'down'> = [['1'], 'down', 'down', ['1', '2'], ['2'], ['1', '2']]
  const told: string[] = []
  const ended = watch([{ goldenId: '1' }], {
    look: async () => {
      const found = looks.shift() ?? []
      if (found === 'down') throw new PlantError('API_UNREACHABLE')
      return found.map((id) => ({ goldenId: id }))
    },
    onNew: async (fresh) => { told.push(...fresh.map(({ goldenId: id }) => id)) },
    wait: async () => { if (looks.length === 0) throw new Error('enough') },
    onSilence: (silent) => { told.push(silent ? 'silent' : 'back') }
  })
  await expect(ended).rejects.toThrow('enough')
  expect(told).toEqual(['silent', 'back', '2', '1'])
})

test('a search that is slow lets other work have its turns, and ends', async () => {
  let nowMs = 0
  let turns = 0
  const slowly = (stepMs: number): Parameters<typeof searchTemplates>[2] => ({ monotonicMs: () => { nowMs += stepMs; return nowMs }, after: (_ms, fn) => { turns++; queueMicrotask(fn); return () => {} } })
  const templates = templatesOf(Array.from({ length: 100 }, (_, i) => ({ golden: goldenOf(i + 1, { name: `t${i}` }), here: true, holders: 1, bytes: 1, ownBytes: 1, uses: 0 })), () => ({ labels: [], pinnedBy: [] }))
  expect(await searchTemplates(templates, 'Name == "t7@1"', slowly(5), signal)).toMatchObject([{ series: 't7' }])
  expect(turns).toBeGreaterThan(10)
  await expect(searchTemplates(templates, 'true', slowly(500), signal)).rejects.toMatchObject({ code: 'LIMIT' })
  await expect(searchTemplates([], 'true &&', slowly(0), signal)).rejects.toMatchObject({ code: 'EXPRESSION_INVALID' })
})

test('all that one plant tells of is described, though it describes some at once; what is here needs nobody for that', async () => {
  const goldens = Array.from({ length: 40 }, (_, i) => goldenOf(i + 1))
  const known = new Set<GoldenId>()
  const mesh = {
    held: (): HeldImage[] => goldens.map(({ goldenId: id }) => ({ goldenId: id, said: new Map([['p' as PeerId, { ownBytes: 7, totalBytes: 9, usedS: 0 }]]) }) as unknown as HeldImage),
    describe: async (ids: readonly GoldenId[]) => {
      for (const id of ids.filter((one) => !known.has(one)).slice(0, 16)) known.add(id)
      return goldens.filter(({ goldenId: id }) => ids.includes(id) && known.has(id))
    }
  }
  expect(await templatesElsewhere(mesh, undefined, [], signal)).toHaveLength(40)
  expect(await templatesElsewhere({ ...mesh, describe: async () => [] }, undefined, goldens.slice(0, 1), signal)).toMatchObject([{ ownBytes: 7, totalBytes: 9 }])
})

test('a plant that claims to have thousands does not hide what others have', async () => {
  const said = (peer: string): HeldImage['said'] => new Map([[peer as PeerId, { ownBytes: 1, totalBytes: 1, usedS: 0 }]]) as never
  const claimed = Array.from({ length: ELSEWHERE_MAX + 10 }, (_, i) => ({ goldenId: goldenId(i + 100), said: said('liar') }) as HeldImage)
  const asked: GoldenId[] = []
  await templatesElsewhere({ held: () => [...claimed, { goldenId: goldenId(1), said: said('honest') } as HeldImage], describe: async (ids) => { asked.push(...ids); return [] } }, undefined, [], signal)
  expect(asked).toHaveLength(ELSEWHERE_MAX)
  expect(asked).toContain(goldenId(1))
})
