import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withLock } from '../../node/setup/lock.mjs'

const LOCK = join(import.meta.dirname, '..', '..', 'node', 'setup', 'lock.mjs')
const nameFor = (what: string): string => `test ${what} ${process.pid}`

test('work under one name runs one at a time, under two names at once', async () => {
  let inside = 0
  let most = 0
  let waited = 0
  const work = async (): Promise<void> => {
    most = Math.max(most, ++inside)
    await new Promise(setImmediate)
    inside--
  }
  await Promise.all(Array.from({ length: 8 }, async () => withLock(nameFor('a'), work, { onWait: () => { waited++ } })))
  expect(most).toBe(1)
  expect(waited).toBe(7)
  const both = Promise.withResolvers<undefined>()
  await withLock(nameFor('b'), async () => withLock(nameFor('c'), async () => { both.resolve(undefined) }))
  await both.promise
})

test('a holder that is killed frees the lock', async () => {
  const name = nameFor('killed')
  const script = `import { withLock } from ${JSON.stringify(LOCK)}; await withLock(${JSON.stringify(name)}, () => { process.stdout.write('held'); setInterval(() => {}, 1000); return new Promise(() => {}) })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  let waited = false
  const got = withLock(name, async () => 'got', { onWait: () => { waited = true; child.kill('SIGKILL') } })
  expect(await got).toBe('got')
  expect(waited).toBe(true)
})

test('work that fails frees the lock, and a wait can be given up', async () => {
  const name = nameFor('failed')
  await expect(withLock(name, async () => { throw new Error('no') })).rejects.toThrow('no')
  const stop = new AbortController()
  const hold = Promise.withResolvers<undefined>()
  const holder = withLock(name, async () => hold.promise)
  const waiter = withLock(name, async () => 1, { signal: stop.signal, onWait: () => { stop.abort(new Error('given up')) } })
  await expect(waiter).rejects.toThrow('given up')
  hold.resolve(undefined)
  await holder
})
