import { expect, test } from 'vitest'
import { Lifetime } from '../../protocols/kit/index.ts'

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
