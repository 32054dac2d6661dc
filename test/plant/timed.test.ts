import { expect, test } from 'vitest'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Action } from '../../protocols/order/order.ts'
import { timed } from '../../node/plant/make.ts'
import { FakeClock } from '../support/fake-clock.ts'

const action: Action = { id: 'a', after: [], run: 'host', use: 'attach-disk', parameters: {}, files: {}, timeoutMs: 100 }
const untilStopped = async (stop: AbortSignal): Promise<never> => new Promise((_resolve, reject) => { stop.addEventListener('abort', () => { reject(stop.reason) }) })

test('work that takes too long is told to stop, and the action has timed out', async () => {
  const clock = new FakeClock()
  let stopped: unknown
  const late = timed(action, clock, new AbortController().signal, async (stop) => untilStopped(stop).catch((reason: unknown) => { stopped = reason }))
  const outcome = expect(late).rejects.toMatchObject({ code: 'ACTION_TIMEOUT', details: { action: 'a', timeoutMs: 100 } })
  await clock.advance(100)
  await outcome
  expect(stopped).toMatchObject({ code: 'ACTION_TIMEOUT' })
})

test('work is not begun when it was called off before, and is told when it is called off later', async () => {
  const clock = new FakeClock()
  let begun = false
  const off = new PlantError('INTERRUPTED')
  await expect(timed(action, clock, AbortSignal.abort(off), async () => { begun = true })).rejects.toBe(off)
  expect(begun).toBe(false)
  const stop = new AbortController()
  const work = timed(action, clock, stop.signal, untilStopped)
  stop.abort(off)
  await expect(work).rejects.toBe(off)
  expect(clock.pending).toBe(0)
})
