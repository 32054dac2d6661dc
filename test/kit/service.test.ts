import { expect, test } from 'vitest'
import { Lifetime, startAll } from '../../protocols/kit/index.ts'

test('a lifetime undoes last things first, goes on past a failure and tells of it', async () => {
  const lifetime = new Lifetime()
  const done: string[] = []
  lifetime.own(() => { done.push('first') })
  lifetime.own(() => { throw new Error('second failed') })
  const forget = lifetime.own(() => { done.push('forgotten') })
  lifetime.own(async () => { done.push('third') })
  forget()
  await expect(lifetime.end()).rejects.toThrow('second failed')
  expect(done).toEqual(['third', 'first'])
  expect(lifetime.signal.aborted).toBe(true)
  lifetime.own(() => { done.push('late') })
  expect(done).toEqual(['third', 'first', 'late'])
  await lifetime.end()
})

test('services that were started are stopped when a later one fails', async () => {
  const events: string[] = []
  const service = (name: string, fails = false) => ({
    start: async () => { events.push(`start ${name}`); if (fails) throw new Error(`${name} failed`) },
    stop: async () => { events.push(`stop ${name}`) }
  })
  await expect(startAll([service('a'), service('b', true), service('c')])).rejects.toThrow('b failed')
  expect(events).toEqual(['start a', 'start b', 'stop b', 'stop a'])
  const stop = await startAll([service('d'), service('e')])
  await stop()
  expect(events.slice(4)).toEqual(['start d', 'start e', 'stop e', 'stop d'])
})
