/** What a boot read, and fetching ahead. */
import { expect, test } from 'vitest'
import { TRACE_PIECES_MAX } from '../../../protocols/image/index.ts'
import { BootTrace, traced } from '../../../storage/nbd/boot-trace.ts'
import { prefetch } from '../../../storage/nbd/prefetch.ts'

const never = new AbortController().signal

test('a trace has each piece once, in the order of the first reads, and is bounded', async () => {
  const trace = new BootTrace(64)
  const source = traced({ bytes: 10_000, read: async (_offset, length) => new Uint8Array(length) }, trace)
  for (const [offset, length] of [[640, 64], [0, 1], [63, 2], [700, 4], [100, 0], [320, 129]] as const) await source.read(offset, length, never)
  expect(trace.order()).toEqual([10, 0, 1, 5, 6, 7])
  const over = new BootTrace(64)
  over.note(0, 1)
  expect(over.isWhole).toBe(false)
  over.end()
  over.note(64, 1)
  expect(over).toMatchObject({ isWhole: true })
  expect(over.order()).toEqual([0])
  trace.note(0, Number.MAX_SAFE_INTEGER)
  expect(trace.order()).toHaveLength(TRACE_PIECES_MAX)
})

test('what is fetched ahead is fetched in order, few at a time, and no more once it is called off', async () => {
  const stop = new AbortController()
  const begun: number[] = []
  let open = 0
  let most = 0
  const fetch = async (index: number): Promise<void> => {
    begun.push(index)
    most = Math.max(most, ++open)
    await Promise.resolve()
    open--
    if (index === 7) throw new Error('not to be had')
    if (index === 3) stop.abort()
  }
  const order = [9, 7, 5, 3, 1, 0, 2, 4]
  expect(await prefetch({ order, parallel: 1, fetch, signal: stop.signal })).toEqual({ failed: 1 })
  expect({ begun, most }).toEqual({ begun: [9, 7, 5, 3], most: 1 })
  begun.length = 0
  await prefetch({ order, parallel: 3, fetch, signal: never })
  expect({ begun, most }).toEqual({ begun: order, most: 3 })
})
