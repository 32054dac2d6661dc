import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { probeHost } from '../../node/drivers/host-probe.ts'
import { pinoLog } from '../../node/drivers/pino-log.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { SystemRandom } from '../../node/drivers/system-random.ts'
import { until } from '../support/mesh.ts'

test('the host has what any host has', async () => {
  const host = await probeHost(tmpdir())
  expect(host.isa).toMatch(/^(x86_64|aarch64|[a-z0-9]+)$/)
  expect(host.cpus).toBeGreaterThan(0)
  expect(host.freeMemoryMiB).toBeGreaterThan(0)
  expect(host.freeMemoryMiB).toBeLessThanOrEqual(host.memoryMiB)
  expect(host.freeDiskMiB).toBeLessThanOrEqual(host.diskMiB)
  expect(host.load).toBeGreaterThanOrEqual(0)
  await expect(probeHost('/no/such/directory')).rejects.toThrow()
})

test('the clock calls once, not after it was cancelled, and counts in time that does not jump', async () => {
  const clock = new SystemClock()
  const startMs = clock.monotonicMs()
  const called: string[] = []
  clock.after(20, () => { called.push('one') })
  const cancel = clock.after(5, () => { called.push('cancelled') })
  const far = clock.after(2 ** 31 + 5, () => { called.push('far') })
  cancel()
  cancel()
  await until('it is called', () => called.length > 0)
  expect(called).toEqual(['one'])
  expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(19)
  far()
})

test('chance has the bytes and the range asked for', () => {
  const random = new SystemRandom()
  expect(random.bytes(5)).toHaveLength(5)
  const drawn = Array.from({ length: 200 }, () => random.int(3))
  expect(new Set(drawn)).toEqual(new Set([0, 1, 2]))
})

test('the log writes one JSON object a line, with errors told and long text cut', () => {
  const lines: string[] = []
  const log = pinoLog({ level: 'info', fields: { plant: 'p' }, destination: { write: (line: string) => { lines.push(line) } } })
  log.debug({}, 'not this')
  log.warn({ error: new Error('broken', { cause: new Error('why') }), text: 'x'.repeat(10_000) }, 'a message')
  expect(lines).toHaveLength(1)
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ plant: 'p', msg: 'a message', error: { name: 'Error', message: 'broken', cause: 'why' }, text: 'x'.repeat(2_000) })
})
