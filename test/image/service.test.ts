import { describe, expect, test } from 'vitest'
import { Assembly, IMAGE_LIMITS, IMAGE_PROTOCOL, askImage, askTrace, decodeImageAsk, decodeImageTell, encodeImageAsk, encodeImageTell, serveImages, type ImageSource, type ImageTell } from '../../protocols/image/index.ts'
import type { GoldenId, PeerId } from '../../protocols/kit/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeNetwork } from '../support/fake-transport.ts'

const goldenId = 'ab'.repeat(16) as GoldenId
const never = new AbortController().signal

function pair (): { clock: FakeClock, asker: ReturnType<FakeNetwork['peer']>, holder: ReturnType<FakeNetwork['peer']> } {
  const clock = new FakeClock()
  const network = new FakeNetwork({ clock })
  return { clock, asker: network.peer('asker' as PeerId), holder: network.peer('holder' as PeerId) }
}

async function asked (source: ImageSource): Promise<unknown> {
  const { clock, asker, holder } = pair()
  await serveImages({ transport: holder, source, trace: async () => undefined })
  return clock.settle(askImage(asker, holder.self, goldenId, never))
}

describe('asking for a manifest', () => {
  test('gives it as it was signed, in parts where it is long, or nothing', async () => {
    const image = { manifest: new Uint8Array(3 * 2 ** 20 + 7).fill(5), info: Uint8Array.of(1, 2, 3) }
    expect(await asked(async (id) => id === goldenId ? image : undefined)).toEqual(image)
    expect(await asked(async () => undefined)).toBeUndefined()
  })

  test('ends when the plant sends what may not come', async () => {
    for (const tells of [[{ t: 1, bytes: Uint8Array.of(1) }], [{ t: 0, manifestBytes: 2, infoBytes: 1 }, { t: 1, bytes: new Uint8Array(4) }], [{ t: 0, manifestBytes: 2, infoBytes: 1 }, { t: 2 }]] as ImageTell[][]) {
      const { clock, asker, holder } = pair()
      await holder.handle(IMAGE_PROTOCOL, IMAGE_LIMITS, async (stream) => { for (const tell of tells) await stream.send(encodeImageTell(tell)) })
      await expect(clock.settle(askImage(asker, holder.self, goldenId, never))).rejects.toThrow('MESSAGE_INVALID')
    }
  })

  test('refuses lengths beyond the bounds before anything is taken in', () => {
    expect(() => decodeImageTell(encodeImageTell({ t: 0, manifestBytes: 1e12, infoBytes: 1 }))).toThrow('MESSAGE_INVALID')
    expect(() => decodeImageTell(encodeImageTell({ t: 1, bytes: new Uint8Array(2 ** 20 + 1) }))).toThrow('MESSAGE_INVALID')
    expect(new Assembly().image).toBeUndefined()
  })
})

describe('asking for a trace', () => {
  const of = { goldenId, file: 'disk', pieces: 10 }

  async function told (tell: ImageTell): Promise<unknown> {
    const { clock, asker, holder } = pair()
    await holder.handle(IMAGE_PROTOCOL, IMAGE_LIMITS, async (stream) => { await stream.send(encodeImageTell(tell)) })
    return clock.settle(askTrace(asker, holder.self, of, never))
  }

  test('gives the order that was seen; nothing where none was, or what was kept is none', async () => {
    for (const [kept, expected] of [[[[5, 2], [0, 1]], [[5, 2], [0, 1]]], [undefined, undefined], [[], undefined], [[[0, 2], [1, 1]], undefined], ['x', undefined]]) {
      const { clock, asker, holder } = pair()
      const asked: unknown[] = []
      await serveImages({ transport: holder, source: async () => undefined, trace: async (...ask) => { asked.push(ask); return kept } })
      expect(await clock.settle(askTrace(asker, holder.self, of, never))).toEqual(expected)
      expect(asked).toEqual([[goldenId, 'disk']])
    }
  })

  test('takes nothing that leaves the file, names a piece twice, or is cut off', async () => {
    expect(await told({ t: 3, runs: Uint8Array.of(9, 1) })).toEqual([[9, 1]])
    for (const runs of [[9, 2], [10, 1], [0, 0], [0, 2, 1, 1], [0], [0x80], [0x80, 0, 1], []]) expect(await told({ t: 3, runs: Uint8Array.from(runs) })).toBeUndefined()
    expect(() => decodeImageTell(encodeImageTell({ t: 3, runs: new Uint8Array(6 * 16_384 + 1) }))).toThrow('MESSAGE_INVALID')
    expect(() => decodeImageAsk(encodeImageAsk({ traceOf: goldenId, file: '../key' }))).toThrow('MESSAGE_INVALID')
  })

  test('ends when a plant answers with something else, or does not know the ask', async () => {
    await expect(told({ t: 0, manifestBytes: 2, infoBytes: 1 })).rejects.toThrow('MESSAGE_INVALID')
    const { clock, asker, holder } = pair()
    await holder.handle(IMAGE_PROTOCOL, IMAGE_LIMITS, async (stream) => { stream.abort(new Error('older')) })
    await expect(clock.settle(askTrace(asker, holder.self, of, never))).rejects.toThrow()
  })
})
