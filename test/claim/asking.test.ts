/** Questions to other plants: what one leaves behind. */
import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { Asking } from '../../protocols/claim/asking.ts'
import { PlantError, type Clock, type PeerId, type Transport } from '../../protocols/kit/index.ts'

test('a question that is over leaves nobody listening to its signal, which would keep it for the life of the process', async () => {
  const signals: AbortSignal[] = []
  let timers = 0
  const transport = {
    open: async (_peer: PeerId, _protocol: string, _limits: unknown, signal: AbortSignal) => {
      signals.push(signal)
      throw new PlantError('PEER_UNREACHABLE')
    }
  } as unknown as Transport
  const clock = { after: () => { timers++; return () => { timers-- } } } as unknown as Clock
  const asking = new Asking(transport, clock, new AbortController().signal)
  await expect(asking.ask('a' as PeerId, {} as Parameters<Asking['ask']>[1])).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
  expect(signals.map((signal) => getEventListeners(signal, 'abort').length)).toEqual([0])
  expect(timers).toBe(0)
})
