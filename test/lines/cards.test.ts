/** Network cards added by a plant that is killed, or thinks better of it, in the midst of adding them. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { QemuMachine } from '../../node/lines/qemu/machine.ts'
import { sh } from '../contracts/shell.ts'
import { newMac, newVmId, testLine, tinyGolden, type TinyGolden } from '../support/tiny.ts'

let tiny: TinyGolden
beforeAll(async () => { tiny = await tinyGolden() })
afterAll(async () => { await tiny?.clean() })

async function clone (): Promise<QemuMachine> {
  const { line, golden, goldenDir } = tiny
  return await line.clone({ vmId: newVmId(), golden, goldenDir, mac: newMac(), diskMiB: golden.hardware.diskMiB }) as QemuMachine
}
const namesIn = async (machine: QemuMachine): Promise<string[]> => (await readdir(join(tiny.dataDir, 'machines', machine.vmId))).filter((name) => name.startsWith('net-'))

test('a backend that a killed plant left without a card is no hindrance, and the card of one that was killed a moment later is found', async () => {
  const machine = await clone()
  // What the first steps of adding a card leave when nobody takes the last.
  await machine.vmm.qmp.execute('netdev_add', { type: 'stream', id: 'net1', server: true, addr: { type: 'unix', path: 'net-1.sock' } })
  await machine.release()
  const adopted = await (await testLine(tiny.dataDir)).adopt(machine.vmId) as QemuMachine
  expect(adopted.cards.count).toBe(0)
  const mac = newMac()
  await adopted.attachCard(mac)
  expect(await sh(adopted, 'until [ -e /sys/class/net/eth1 ]; do sleep 0.05; done; cat /sys/class/net/eth1/address')).toBe(`${mac}\n`)
  await adopted.release()
  const again = await (await testLine(tiny.dataDir)).adopt(machine.vmId) as QemuMachine
  expect(again.cards.count).toBe(1)
  await (await again.attachCard(mac.toUpperCase())).network()
  expect(again.cards.count).toBe(1)
  await again.destroy()
})

test('called off at any moment there is no card, no backend and no socket, and the next one is added as the first', async () => {
  const machine = await clone()
  for (const afterMs of [0, 1, 2, 4, 8, 16, 32, 64]) {
    const stop = new AbortController()
    const timer = setTimeout(() => { stop.abort(new Error('called off')) }, afterMs)
    const card = await machine.attachCard(newMac(), stop.signal).catch((error: unknown) => { expect(error).toMatchObject({ message: 'called off' }) })
    clearTimeout(timer)
    await card?.detach()
    expect({ count: machine.cards.count, sockets: await namesIn(machine) }).toEqual({ count: 0, sockets: [] })
  }
  const mac = newMac()
  const [one, same] = await Promise.all([machine.attachCard(mac), machine.attachCard(mac)])
  expect(await namesIn(machine)).toEqual(['net-1.sock'])
  await one.detach()
  await expect(same.network()).rejects.toMatchObject({ code: 'VM_STATE' })
  await machine.destroy()
  await expect(machine.attachCard(mac)).rejects.toMatchObject({ code: 'VM_DIED' })
})
