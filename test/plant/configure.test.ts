import { describe, expect, test } from 'vitest'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Action } from '../../protocols/order/order.ts'
import { configure, type ActionRunner } from '../../node/plant/configure.ts'

function action (id: string, after: string[] = [], more: Partial<Action> = {}): Action {
  return { id, after, run: 'guest', script: id, parameters: {}, files: {}, timeoutMs: 1000, ...more }
}

/** A guest whose actions end when the test says so. */
class FakeGuest {
  readonly started: string[] = []
  readonly #ends = new Map<string, (status: number) => void>()
  readonly run: ActionRunner = async (a, signal) => {
    this.started.push(a.id)
    const status = await new Promise<number>((resolve, reject) => {
      this.#ends.set(a.id, resolve)
      signal.addEventListener('abort', () => { reject(signal.reason) })
    })
    return { status, outputs: { [`${a.id}Out`]: 'x' }, outputTail: `tail of ${a.id}` }
  }

  async end (id: string, status = 0): Promise<void> {
    while (!this.#ends.has(id)) await new Promise((resolve) => setImmediate(resolve))
    this.#ends.get(id)?.(status)
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Each script's first word is its exit status; `boom` throws a time-out. */
const byScript: ActionRunner = async (a) => {
  if (a.script === 'boom') throw new PlantError('ACTION_TIMEOUT', { timeoutMs: 1000 })
  if (a.script === 'dead') throw new PlantError('VM_DIED', { reason: 'killed' })
  const failed = a.script === 'fail'
  return { status: failed ? 3 : 0, outputs: { [a.id]: 'ran' }, outputTail: `last words of ${a.id}` }
}
const never = new AbortController().signal

describe('configure', () => {
  test('runs an action only when all before it are done, and independent ones at once', async () => {
    const guest = new FakeGuest()
    const all = configure({ actions: [action('d', ['b', 'c']), action('b', ['a']), action('c', ['a']), action('a')], done: new Set(), concurrencyMax: 4 }, guest.run, never)
    await guest.end('a')
    expect(guest.started).toEqual(['a', 'b', 'c'])
    await guest.end('c')
    expect(guest.started).toEqual(['a', 'b', 'c'])
    await guest.end('b')
    await guest.end('d')
    expect(await all).toEqual({ actionsRun: ['a', 'c', 'b', 'd'], actionsMended: [], outputs: { aOut: 'x', bOut: 'x', cOut: 'x', dOut: 'x' }, outputsDropped: { count: 0, some: [] } })
  })

  test('never runs more at once than allowed', async () => {
    const guest = new FakeGuest()
    const all = configure({ actions: ['a', 'b', 'c'].map((id) => action(id)), done: new Set(), concurrencyMax: 2 }, guest.run, never)
    await guest.end('a')
    expect(guest.started).toEqual(['a', 'b', 'c'])
    await guest.end('b')
    await guest.end('c')
    expect((await all).actionsRun).toHaveLength(3)
  })

  test('does not run what the golden machine has done', async () => {
    const result = await configure({ actions: [action('a'), action('b', ['a'])], done: new Set(['a']), concurrencyMax: 1 }, byScript, never)
    expect(result.actionsRun).toEqual(['b'])
  })

  test('tells action, status and the end of the output when an action fails', async () => {
    const failing = configure({ actions: [action('a', [], { script: 'fail' }), action('b', ['a'])], done: new Set(), concurrencyMax: 1 }, byScript, never)
    await expect(failing).rejects.toMatchObject({ code: 'ACTION_FAILED', details: { action: 'a', status: 3, output: 'last words of a' } })
  })

  test('stops what runs beside an action that fails, and waits for it to end', async () => {
    const guest = new FakeGuest()
    const all = configure({ actions: [action('a'), action('b')], done: new Set(), concurrencyMax: 2 }, guest.run, never)
    const outcome = expect(all).rejects.toMatchObject({ code: 'ACTION_FAILED', details: { action: 'b', status: 7 } })
    await guest.end('b', 7)
    await outcome
  })

  test('goes on after an error sub-graph that says continue, with its outputs, and runs what comes after', async () => {
    const mending = action('a', [], { script: 'fail', onError: { actions: [action('m1'), action('m2', ['m1'])], then: 'continue' } })
    const result = await configure({ actions: [mending, action('b', ['a'])], done: new Set(), concurrencyMax: 1 }, byScript, never)
    expect(result).toEqual({ actionsRun: ['b'], actionsMended: ['a'], outputs: { a: 'ran', m1: 'ran', m2: 'ran', b: 'ran' }, outputsDropped: { count: 0, some: [] } })
  })

  test('runs the error sub-graph after a time-out, too', async () => {
    const mending = action('a', [], { script: 'boom', onError: { actions: [action('m')], then: 'continue' } })
    expect((await configure({ actions: [mending], done: new Set(), concurrencyMax: 1 }, byScript, never)).actionsMended).toEqual(['a'])
  })

  test('runs the error sub-graph of a host action whatever it failed with, unless the machine is dead', async () => {
    const failing = (code: 'DISK_FULL' | 'ACTION_FAILED' | 'VM_STATE' | 'HOST_ACTION_UNKNOWN' | 'VM_DIED'): ActionRunner => async (a) => {
      if (a.run === 'host') throw new PlantError(code, { path: '/data' })
      return { status: 0, outputs: {}, outputTail: '' }
    }
    const host = (more: Partial<Action> = {}): Action => action('h', [], { run: 'host', use: 'attach-disk', ...more })
    const mending = host({ onError: { actions: [action('m')], then: 'continue' } })
    for (const code of ['DISK_FULL', 'ACTION_FAILED', 'VM_STATE', 'HOST_ACTION_UNKNOWN'] as const) {
      expect((await configure({ actions: [mending], done: new Set(), concurrencyMax: 1 }, failing(code), never)).actionsMended).toEqual(['h'])
      await expect(configure({ actions: [host()], done: new Set(), concurrencyMax: 1 }, failing(code), never)).rejects.toMatchObject({ code, details: { action: 'h', path: '/data' } })
    }
    await expect(configure({ actions: [mending], done: new Set(), concurrencyMax: 1 }, failing('VM_DIED'), never)).rejects.toMatchObject({ code: 'VM_DIED' })
    const stop = AbortSignal.abort(new PlantError('INTERRUPTED'))
    await expect(configure({ actions: [mending], done: new Set(), concurrencyMax: 1 }, failing('DISK_FULL'), stop)).rejects.toMatchObject({ code: 'INTERRUPTED' })
  })

  test('takes outputs of actions that differ only in case as one, the later, and counts what actions left that is none', async () => {
    const outputs: Record<string, Record<string, string>> = { a: { Uid: '1', VMID: 'stolen' }, b: { uid: '2' }, c: { Uid: '3' } }
    const run: ActionRunner = async (a) => ({ status: 0, outputs: outputs[a.id] ?? {}, outputTail: '', ...(a.id === 'c' && { outputsDropped: { count: 5, some: ['x: cut off'] } }) })
    const result = await configure({ actions: [action('a'), action('b', ['a']), action('c', ['b'])], done: new Set(), concurrencyMax: 1 }, run, never)
    expect(result).toMatchObject({ outputs: { Uid: '3' }, outputsDropped: { count: 8 } })
    expect(Object.keys(result.outputs)).toEqual(['Uid'])
  })

  test('fails with the first failure after a sub-graph that says fail', async () => {
    const mending = action('a', [], { script: 'fail', onError: { actions: [action('m')], then: 'fail' } })
    await expect(configure({ actions: [mending], done: new Set(), concurrencyMax: 1 }, byScript, never)).rejects.toMatchObject({ code: 'ACTION_FAILED', details: { action: 'a' } })
  })

  test('tells both failures when the sub-graph fails as well', async () => {
    const mending = action('a', [], { script: 'fail', onError: { actions: [action('m', [], { script: 'fail' })], then: 'continue' } })
    await expect(configure({ actions: [mending], done: new Set(), concurrencyMax: 1 }, byScript, never)).rejects.toMatchObject({
      code: 'ACTION_FAILED', details: { action: 'a', errorGraph: { code: 'ACTION_FAILED', details: { action: 'm' } } }
    })
  })

  test('runs no error sub-graph in a machine that is dead', async () => {
    const mending = action('a', [], { script: 'dead', onError: { actions: [action('m')], then: 'continue' } })
    await expect(configure({ actions: [mending], done: new Set(), concurrencyMax: 1 }, byScript, never)).rejects.toMatchObject({ code: 'VM_DIED' })
  })

  test('ends with the reason of the signal when the order is cancelled', async () => {
    const guest = new FakeGuest()
    const stop = new AbortController()
    const all = configure({ actions: [action('a')], done: new Set(), concurrencyMax: 1 }, guest.run, stop.signal)
    const outcome = expect(all).rejects.toMatchObject({ code: 'INTERRUPTED' })
    stop.abort(new PlantError('INTERRUPTED'))
    await outcome
  })
})
