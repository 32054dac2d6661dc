/** One NBD connection, byte by byte. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { READS_BYTES_MAX, READS_MAX } from '../../../storage/nbd/constants.ts'
import { NbdSession, type NbdEffect, type NbdRead } from '../../../storage/nbd/session.ts'
import { CHOSEN, CMD_DISC, CMD_READ, FLAGS, OPT_GO, command, infoData, option, u32 } from './support.ts'

const EXPORT_BYTES = 10 * 1024 * 1024

const sent = (effects: NbdEffect[]): string => Buffer.concat(effects.flatMap((effect) => effect.type === 'send' ? [effect.bytes] : [])).toString('hex')
const ended = (effects: NbdEffect[]): boolean => effects.at(-1)?.type === 'end'
const readsOf = (effects: NbdEffect[]): NbdRead[] => effects.flatMap((effect) => effect.type === 'read' ? [effect.read] : [])

function chosen (): NbdSession {
  const session = new NbdSession(EXPORT_BYTES)
  session.onOpen()
  session.onData(CHOSEN)
  expect(session.chosen).toBe(true)
  return session
}

/** Error number of a simple reply. */
const errorOf = (effects: NbdEffect[]): number => Number.parseInt(sent(effects).slice(8, 16), 16)

describe('the handshake', () => {
  test('is as in the specification, to the byte', () => {
    const session = new NbdSession(EXPORT_BYTES)
    expect(sent(session.onOpen())).toBe('4e42444d4147494349484156454f50540003')
    expect(session.onData(FLAGS)).toEqual([])
    // Structured replies and TLS: not here.
    expect(sent(session.onData(option(8)))).toBe('0003e889045565a9000000088000000100000000')
    expect(sent(session.onData(option(5)))).toBe('0003e889045565a9000000058000000100000000')
    expect(sent(session.onData(option(3)))).toBe('0003e889045565a9000000030000000200000004000000000003e889045565a9000000030000000100000000')
    expect(sent(session.onData(option(6, infoData('', [1]))))).toBe(
      '0003e889045565a900000006000000030000000c00000000000000a0000001030003e889045565a900000006000000030000000e00030000000100010000020000000003e889045565a900000006000000030000000200010003e889045565a9000000060000000100000000')
    expect(session.chosen).toBe(false)
    expect(sent(session.onData(option(OPT_GO, infoData())))).toMatch(/0003e889045565a9000000070000000100000000$/)
    expect(session.chosen).toBe(true)
  })

  test('takes EXPORT_NAME, with and without the zeros', () => {
    for (const [flags, zeros] of [[1, 124], [3, 0], [0, 124]] as const) {
      const session = new NbdSession(EXPORT_BYTES)
      expect(sent(session.onData(Buffer.concat([u32(flags), option(1)])))).toBe(`0000000000a000000103${'00'.repeat(zeros)}`)
      expect(session.chosen).toBe(true)
    }
  })

  test('knows one export only, and one that is asked for wrongly is not chosen', () => {
    const session = new NbdSession(EXPORT_BYTES)
    session.onData(FLAGS)
    expect(sent(session.onData(option(OPT_GO, infoData('other'))))).toBe('0003e889045565a9000000078000000600000000')
    for (const data of [Buffer.alloc(0), Buffer.alloc(5), u32(0xffffffff), Buffer.concat([infoData(), Buffer.alloc(1)]), Buffer.concat([u32(3), Buffer.alloc(4)])]) {
      expect(sent(session.onData(option(OPT_GO, data)))).toBe('0003e889045565a9000000078000000300000000')
    }
    expect(session.chosen).toBe(false)
    expect(ended(session.onData(option(1, Buffer.from('other'))))).toBe(true)
  })

  test('is over with ABORT, unknown flags, wrong magic, an option that is too long, and too many of them', () => {
    const bad = [option(2), Buffer.alloc(16), Buffer.concat([Buffer.from('IHAVEOPT'), u32(3), u32(0xffffffff)]), Buffer.concat(Array.from({ length: 65 }, () => option(3)))]
    for (const bytes of bad) {
      const session = new NbdSession(EXPORT_BYTES)
      session.onData(FLAGS)
      expect(ended(session.onData(bytes))).toBe(true)
      expect(session.onData(option(OPT_GO, infoData()))).toEqual([])
    }
    expect(ended(new NbdSession(EXPORT_BYTES).onData(u32(4)))).toBe(true)
  })
})

describe('commands', () => {
  test('a read is begun, answered by its cookie, and released', () => {
    const session = chosen()
    const [first, second] = readsOf(session.onData(Buffer.concat([command(CMD_READ, 4096, 512, 1n), command(CMD_READ, 0, 3, 0xffffffffffffffffn)])))
    expect(first).toMatchObject({ offset: 4096, length: 512 })
    expect(sent(session.onRead(second as NbdRead, Buffer.from('abc')))).toBe('6744669800000000ffffffffffffffff616263')
    expect(sent(session.onReadFailed(first as NbdRead))).toBe('67446698000000050000000000000001')
    expect(session.onReleased(first as NbdRead)).toEqual([])
    expect(session.onReleased(first as NbdRead)).toEqual([])
  })

  test('what may not be is refused, and the connection goes on', () => {
    const session = chosen()
    for (const [offset, length] of [[EXPORT_BYTES, 1], [EXPORT_BYTES - 1, 2], [2n ** 64n - 1n, 1], [0, EXPORT_BYTES + 1], [2n ** 64n - 1n, 0xffffffff]] as const) {
      expect(errorOf(session.onData(command(CMD_READ, offset, length)))).toBe(22)
    }
    for (const [type, error] of [[4, 1], [6, 1], [8, 1], [3, 22], [5, 22], [7, 22], [999, 22]] as const) expect(errorOf(session.onData(command(type, 0, 512)))).toBe(error)
    // A write's data is no command.
    expect(errorOf(session.onData(command(1, 0, 100)))).toBe(1)
    expect(session.onData(Buffer.alloc(99))).toEqual([])
    expect(readsOf(session.onData(Buffer.concat([Buffer.alloc(1), command(CMD_READ, 0, 1)])))).toHaveLength(1)
    expect(errorOf(new NbdSession(2 ** 40).onData(Buffer.concat([CHOSEN, command(CMD_READ, 0, 33 * 1024 * 1024)])).slice(-1))).toBe(75)
  })

  test('DISC, garbage and an endless write are the end', () => {
    for (const bytes of [command(CMD_DISC), Buffer.alloc(28), command(1, 0, 0xffffffff)]) {
      const session = chosen()
      const [read] = readsOf(session.onData(command(CMD_READ, 0, 1)))
      expect(ended(session.onData(bytes))).toBe(true)
      expect(session.onRead(read as NbdRead, new Uint8Array(1))).toEqual([])
      expect(session.onData(command(CMD_READ, 0, 1))).toEqual([])
    }
  })

  test('no more reads are open than may be, by number and by bytes, and the rest follow', () => {
    for (const [length, most] of [[1, READS_MAX], [READS_BYTES_MAX / 4, 4], [READS_BYTES_MAX + 1, 1]] as const) {
      const session = chosen()
      const open = readsOf(session.onData(Buffer.concat(Array.from({ length: 100 }, (_, i) => command(CMD_READ, 0, length, BigInt(i))))))
      expect(open).toHaveLength(most)
      expect(session.full).toBe(true)
      const order: bigint[] = []
      for (let read = open.shift(); read !== undefined; read = open.shift()) {
        order.push(read.cookie)
        open.push(...readsOf(session.onReleased(read)))
        expect(open.length).toBeLessThanOrEqual(most)
      }
      expect(order).toEqual(Array.from({ length: 100 }, (_, i) => BigInt(i)))
      expect(session.full).toBe(false)
    }
  })
})

describe('whatever comes', () => {
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 40 }), fc.constant(FLAGS), fc.constant(CHOSEN),
    fc.tuple(fc.nat(12), fc.uint8Array({ maxLength: 30 })).map(([code, data]) => option(code, data)),
    fc.tuple(fc.nat(9), fc.oneof(fc.nat(EXPORT_BYTES), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })), fc.oneof(fc.nat(4096), fc.nat(0xffffffff))).map(([type, offset, length]) => command(type, offset, length))
  )

  test('does no harm: nothing is thrown, reads lie within, bounds hold', () => {
    fc.assert(fc.property(fc.array(part, { maxLength: 60 }), (parts) => {
      const session = new NbdSession(EXPORT_BYTES)
      const effects = parts.flatMap((bytes) => session.onData(bytes))
      const reads = readsOf(effects)
      expect(reads.length).toBeLessThanOrEqual(READS_MAX)
      for (const { offset, length } of reads) expect(offset + length).toBeLessThanOrEqual(EXPORT_BYTES)
      const end = effects.findIndex(({ type }) => type === 'end')
      expect(end === -1 || end === effects.length - 1).toBe(true)
    }), { numRuns: 500 })
  })

  test('means the same however it is cut', () => {
    fc.assert(fc.property(fc.array(part, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (parts, cuts) => {
      const bytes = Buffer.concat([CHOSEN, ...parts])
      const whole = new NbdSession(EXPORT_BYTES).onData(bytes)
      const session = new NbdSession(EXPORT_BYTES)
      const pieces: NbdEffect[] = []
      for (let at = 0, i = 0; at < bytes.length; at += cuts[i++ % cuts.length] ?? 1) pieces.push(...session.onData(bytes.subarray(at, at + (cuts[i % cuts.length] ?? 1))))
      expect(sent(pieces)).toBe(sent(whole))
      expect(readsOf(pieces)).toEqual(readsOf(whole))
    }), { numRuns: 300 })
  })
})
