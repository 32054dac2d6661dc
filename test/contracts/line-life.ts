/**
 * What every production line promises of a machine's life (`ProductionLine` in node/lines/line.ts), real and simulated: nothing of it needs a guest to be
 * more than there. What is inside a real guest is in `line.ts`.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CARDS_MAX, type LiveMachine, type ProductionLine } from '../../node/lines/line.ts'
import type { VmId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { newMac, newVmId } from '../support/tiny.ts'

export interface LineLifeUnderTest {
  line: ProductionLine
  golden: Golden
  goldenDir: string
  /** The line as a plant makes it that starts anew on the same host. */
  reopen (): Promise<ProductionLine>
  /** Ends a machine's VMM from outside. */
  kill (machine: LiveMachine): void
  /** VMMs that belong to the line, by number. */
  processes (): Promise<number[]>
  /** What a machine could have left. */
  remains (): Promise<string[]>
  /** Calls `fn` after so long by the line's own time. */
  after (ms: number, fn: () => void): () => void
  /** A new directory to publish into. */
  scratch (): Promise<string>
  clean (): Promise<void>
}

/** Declares the contract's tests; each leaves the host empty. */
export function describeLineLife (name: string, open: () => Promise<LineLifeUnderTest>): void {
  describe(`a machine's life on the production line ${name}`, () => {
    let subject: LineLifeUnderTest
    const made: LiveMachine[] = []
    beforeAll(async () => { subject = await open() })
    afterAll(async () => { await subject?.clean() })
    afterEach(async () => { for (const machine of made.splice(0)) await machine.destroy() })

    const clone = async (vmId: VmId = newVmId(), signal?: AbortSignal): Promise<LiveMachine> => {
      const { line, golden, goldenDir } = subject
      const machine = await line.clone({ vmId, golden, goldenDir, mac: newMac(), diskMiB: golden.hardware.diskMiB }, signal)
      made.push(machine)
      return machine
    }
    const answers = async (machine: LiveMachine | undefined): Promise<boolean> => {
      return (await machine?.channel('agent').run({ script: 'true', parameters: {}, files: {}, timeoutMs: 60_000 }))?.status === 0
    }
    const nothingLeft = async (): Promise<void> => {
      expect({ leftovers: await subject.line.leftovers(), processes: await subject.processes(), remains: await subject.remains() }).toEqual({ leftovers: [], processes: [], remains: [] })
    }

    test('is begun once, told of, and ended however often it is asked', async () => {
      const machine = await clone()
      expect(await answers(machine)).toBe(true)
      expect(await subject.line.leftovers()).toEqual([machine.vmId])
      expect(await subject.processes()).toContain(machine.pid)
      const { privateMemoryBytes, overlayBytes } = await machine.stats()
      expect(Math.min(privateMemoryBytes, overlayBytes)).toBeGreaterThan(0)
      await expect(clone(machine.vmId)).rejects.toMatchObject({ code: 'VM_STATE' })
      expect(await answers(machine)).toBe(true)
      await Promise.all([machine.destroy(), machine.destroy()])
      expect((await machine.died).reason).not.toBe('')
      await machine.destroy()
      await nothingLeft()
    })

    test('takes its identity, also twice', async () => {
      const machine = await clone()
      const identity = { mac: machine.mac, hostName: 'host-1', machineId: machine.vmId, seed: new Uint8Array(32).fill(7) }
      await machine.identify(identity)
      await machine.identify(identity)
      expect(await answers(machine)).toBe(true)
    })

    test('ends for all who wait when its VMM ends, and its place is swept', async () => {
      const machine = await clone()
      const waiting = machine.channel('agent').run({ script: 'sleep 1000', parameters: {}, files: {}, timeoutMs: 600_000 }).then(() => 'done', (error: unknown) => (error as { code: string }).code)
      subject.kill(machine)
      expect((await machine.died).reason).not.toBe('')
      expect(await waiting).toBe('VM_DIED')
      await expect(machine.channel('agent').run({ script: 'true', parameters: {}, files: {}, timeoutMs: 1_000 })).rejects.toMatchObject({ code: 'VM_DIED' })
      expect(await (await subject.reopen()).adopt(machine.vmId)).toBeUndefined()
      await subject.line.sweep(machine.vmId)
      await nothingLeft()
    })

    test('goes on when it is let go, and is adopted as it was', async () => {
      const machine = await clone()
      await machine.release()
      const line = await subject.reopen()
      expect(await line.leftovers()).toEqual([machine.vmId])
      const adopted = await line.adopt(machine.vmId)
      expect(adopted).toMatchObject({ vmId: machine.vmId, pid: machine.pid, mac: machine.mac })
      expect(await answers(adopted)).toBe(true)
      await adopted?.destroy()
      expect(await line.adopt(machine.vmId)).toBeUndefined()
      await nothingLeft()
    })

    test('is swept when nobody knows of it', async () => {
      const machine = await clone()
      await machine.release()
      const line = await subject.reopen()
      await line.sweep(machine.vmId)
      await line.sweep(machine.vmId)
      await nothingLeft()
    })

    test('leaves nothing when its making is called off, whenever that is', async () => {
      for (const afterMs of [0, 5, 20, 60, 120]) {
        const stop = new AbortController()
        const cancel = subject.after(afterMs, () => { stop.abort(new Error('called off')) })
        if (afterMs === 0) stop.abort(new Error('called off'))
        const machine = await clone(newVmId(), stop.signal).catch((error: unknown) => {
          expect(error).toMatchObject({ message: 'called off' })
        })
        cancel()
        await machine?.destroy()
        await nothingLeft()
      }
    })

    test('takes further network cards, each once, as many as it has networks at most, and keeps them when it is adopted', async () => {
      const machine = await clone()
      const macs = Array.from({ length: CARDS_MAX }, () => newMac())
      const [first = ''] = macs
      const cards = await Promise.all([...macs, first].map(async (mac) => await machine.attachCard(mac)))
      await expect(machine.attachCard(newMac())).rejects.toMatchObject({ code: 'LIMIT' })
      await expect(subject.line.publish(machine, await subject.scratch())).rejects.toMatchObject({ code: 'VM_STATE' })
      await machine.release()
      const adopted = await (await subject.reopen()).adopt(machine.vmId)
      if (adopted === undefined) throw new Error('it was not adopted')
      made.push(adopted)
      await expect(adopted.attachCard(newMac())).rejects.toMatchObject({ code: 'LIMIT' })
      for (const mac of macs) {
        const card = await adopted.attachCard(mac)
        await card.detach()
        await card.detach()
      }
      expect(cards).toHaveLength(CARDS_MAX + 1)
      expect(await subject.line.publish(adopted, await subject.scratch())).toEqual({ diskMiB: subject.golden.hardware.diskMiB })
      const stop = new AbortController()
      stop.abort(new Error('called off'))
      await expect(adopted.attachCard(first, stop.signal)).rejects.toMatchObject({ message: 'called off' })
      expect(await answers(adopted)).toBe(true)
    })

    test('is published as it goes on, but not while devices are plugged in', async () => {
      const machine = await clone()
      const detach = await machine.attachDisk(8)
      await expect(subject.line.publish(machine, await subject.scratch())).rejects.toMatchObject({ code: 'VM_STATE' })
      await detach()
      await detach()
      expect(await subject.line.publish(machine, await subject.scratch())).toEqual({ diskMiB: subject.golden.hardware.diskMiB })
      expect(await answers(machine)).toBe(true)
    })
  })
}
