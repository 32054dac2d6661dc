import { expect, test } from 'vitest'
import { Agenda } from '../../../sim/kernel/index.ts'

function runAll (agenda: Agenda): void { while (agenda.step()); }

test('agenda runs callbacks in time order, equal ones as they were scheduled, also those scheduled meanwhile', () => {
  const agenda = new Agenda()
  const said: string[] = []
  const say = (text: string) => (): void => { said.push(`${agenda.nowMs} ${text}`) }
  agenda.schedule(2, say('b'))
  agenda.schedule(1, () => {
    say('a')()
    agenda.schedule(1, say('a2'))
    agenda.schedule(2, say('b3'))
  })
  agenda.schedule(2, say('b2'))
  runAll(agenda)
  expect(said).toEqual(['1 a', '1 a2', '2 b', '2 b2', '2 b3'])
})

test('agenda takes a callback back, once, and knows one that ran', () => {
  const agenda = new Agenda()
  const said: string[] = []
  const cancelled = agenda.schedule(1, () => said.push('never'))
  const ran = agenda.schedule(2, () => said.push('ran'))
  cancelled()
  cancelled()
  runAll(agenda)
  agenda.schedule(3, () => said.push('other'))
  ran()
  cancelled()
  runAll(agenda)
  expect(said).toEqual(['ran', 'other'])
  expect(agenda.size).toBe(0)
})

test('agenda keeps to the microsecond, counts the past as now, and stops at the time given', () => {
  const agenda = new Agenda()
  const atMs: number[] = []
  agenda.schedule(0.0004, () => atMs.push(agenda.nowMs))
  agenda.schedule(1.2344, () => { agenda.schedule(0, () => atMs.push(agenda.nowMs)) })
  agenda.schedule(5, () => atMs.push(agenda.nowMs))
  while (agenda.step(4));
  expect(atMs).toEqual([0, 1.234])
  expect(agenda.nextMs).toBe(5)
  expect(() => agenda.schedule(NaN, () => undefined)).toThrow()
})

test('agenda goes on after a callback that throws', () => {
  const agenda = new Agenda()
  agenda.schedule(1, () => { throw new Error('of the callback') })
  agenda.schedule(2, () => undefined)
  expect(() => agenda.step()).toThrow('of the callback')
  expect([agenda.step(), agenda.step(), agenda.nowMs]).toEqual([true, false, 2])
})
