import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { convertOrders, readOrders, validateOrders } from '../../node/cli/order-files.ts'

const dir = mkdtempSync(join(tmpdir(), 'order-files-'))
const sample = new URL('../../node/cli/sample-order.yaml', import.meta.url).pathname
afterAll(() => { rmSync(dir, { recursive: true }) })

function file (name: string, content: string | Uint8Array): string {
  const path = join(dir, name)
  writeFileSync(path, content)
  return path
}

const invalid = (message: string): unknown => expect.objectContaining({ code: 'ORDER_INVALID', details: { problems: [expect.objectContaining({ message: expect.stringContaining(message) as unknown })] } })

test('the sample order is valid and converts to each form and back', async () => {
  const orders = await validateOrders(sample)
  expect(orders).toHaveLength(1)
  for (const form of ['yaml', 'json', 'xml'] as const) {
    expect(await readOrders(file(`sample.${form}`, await convertOrders(sample, form)))).toEqual({ orders })
    expect(await readOrders(file(`sample-${form}`, await convertOrders(sample, form)))).toEqual({ orders })
  }
})

test('an order comes from standard input, in pieces', async () => {
  const text = new TextEncoder().encode(await convertOrders(sample, 'xml'))
  async function * pieces (): AsyncIterable<Uint8Array> { for (let at = 0; at < text.length; at += 7) yield text.subarray(at, at + 7) }
  expect(await readOrders('-', pieces())).toEqual(await readOrders(sample))
})

test('standard input without end is refused at the bound', async () => {
  let sent = 0
  async function * endless (): AsyncIterable<Uint8Array> { for (;;) { sent += 65_536; yield new Uint8Array(65_536).fill(32) } }
  await expect(readOrders('-', endless())).rejects.toEqual(invalid('the file is too large'))
  expect(sent).toBeLessThan(1.2 * 1024 * 1024)
})

test('a file of any size beyond the bound is refused at once', async () => {
  const path = file('large.yaml', '')
  truncateSync(path, 10 * 1024 * 1024)
  await expect(readOrders(path)).rejects.toEqual(invalid('the file is too large'))
  // Sparse: nobody could read this one to its end.
  truncateSync(path, 1024 ** 4)
  await expect(readOrders(path)).rejects.toEqual(invalid('the file is too large'))
  await expect(readOrders('/dev/zero')).rejects.toEqual(invalid('the file is too large'))
})

test('a file that cannot be read is wrong usage, and says why', async () => {
  await expect(readOrders(join(dir, 'none.yaml'))).rejects.toEqual(expect.objectContaining({ code: 'USAGE', details: expect.objectContaining({ reason: 'ENOENT' }) as unknown }))
  await expect(readOrders(dir)).rejects.toEqual(expect.objectContaining({ code: 'USAGE', details: expect.objectContaining({ reason: 'EISDIR' }) as unknown }))
})

test('bytes that are no text are refused', async () => {
  await expect(readOrders(file('binary', Uint8Array.of(0xff, 0xfe, 0x00)))).rejects.toEqual(invalid('the file is not text'))
})

test('a form that the name promises is held to', async () => {
  await expect(readOrders(file('order.json', await convertOrders(sample, 'yaml')))).rejects.toEqual(invalid('is not valid JSON'))
})
