/** What every production line promises of spares (`SpareMachine` in node/lines/line.ts), real and simulated. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { LiveMachine, SpareMachine } from '../../node/lines/line.ts'
import { newMac, newVmId } from '../support/tiny.ts'
import type { LineLifeUnderTest } from './line-life.ts'

/** Declares the contract's tests; each leaves the host empty. */
export function describeLineSpares (name: string, open: () => Promise<LineLifeUnderTest>): void {
  describe(`spares of the production line ${name}`, () => {
    let subject: LineLifeUnderTest
    const made: Array<{ destroy (): Promise<void> }> = []
    beforeAll(async () => { subject = await open() })
    afterAll(async () => { await subject?.clean() })
    afterEach(async () => { for (const machine of made.splice(0)) await machine.destroy() })

    const prepare = async (signal?: AbortSignal): Promise<SpareMachine> => {
      const { line, golden, goldenDir } = subject
      const spare = await line.prepare({ vmId: newVmId(), golden, goldenDir, mac: newMac() }, signal)
      made.push(spare)
      return spare
    }
    const handOut = async (spare: SpareMachine, vmId = newVmId(), diskMiB = subject.golden.hardware.diskMiB): Promise<LiveMachine> => {
      const machine = await spare.handOut({ vmId, diskMiB })
      made.push(machine)
      return machine
    }
    const answers = async (machine: LiveMachine | undefined): Promise<boolean> => {
      return (await machine?.channel('agent').run({ script: 'true', parameters: {}, files: {}, timeoutMs: 60_000 }))?.status === 0
    }
    const nothingLeft = async (): Promise<void> => {
      expect({ leftovers: await subject.line.leftovers(), processes: await subject.processes(), remains: await subject.remains() }).toEqual({ leftovers: [], processes: [], remains: [] })
    }

    test('a spare becomes the machine of an order, which is all that is left of it', async () => {
      const spare = await prepare()
      expect(await subject.line.leftovers()).toEqual([spare.spareId])
      expect(await spare.memoryBytes()).toBeGreaterThan(2 ** 20)
      const vmId = newVmId()
      const machine = await handOut(spare, vmId)
      expect(machine).toMatchObject({ vmId, mac: spare.mac })
      expect(await subject.line.leftovers()).toEqual([vmId])
      await machine.identify({ mac: machine.mac, hostName: 'host-1', machineId: vmId, seed: new Uint8Array(32).fill(7) })
      expect(await answers(machine)).toBe(true)
      await spare.destroy()
      expect(await answers(machine)).toBe(true)
      await expect(spare.handOut({ vmId: newVmId(), diskMiB: 512 })).rejects.toMatchObject({ code: 'VM_STATE' })
      expect(await answers(machine)).toBe(true)
      await machine.destroy()
      await nothingLeft()
    })

    test('a machine that was a spare is adopted, and a spare is not', async () => {
      const [spare, other] = [await prepare(), await prepare()]
      const machine = await handOut(spare)
      await machine.release()
      const line = await subject.reopen()
      expect((await line.leftovers()).sort()).toEqual([machine.vmId, other.spareId].sort())
      const adopted = await line.adopt(machine.vmId)
      expect(adopted).toMatchObject({ vmId: machine.vmId, pid: machine.pid, mac: spare.mac })
      expect(await answers(adopted)).toBe(true)
      expect(await line.adopt(other.spareId)).toBeUndefined()
      await line.sweep(other.spareId)
      await adopted?.destroy()
      await nothingLeft()
    })

    test('a machine that exists is not replaced by a spare, of which nothing is left', async () => {
      const machine = await handOut(await prepare())
      const spare = await prepare()
      await expect(spare.handOut({ vmId: machine.vmId, diskMiB: 512 })).rejects.toMatchObject({ code: 'VM_STATE' })
      expect(await answers(machine)).toBe(true)
      expect(await subject.line.leftovers()).toEqual([machine.vmId])
      await machine.destroy()
      await nothingLeft()
    })

    test('a spare that is ended, called off or dead leaves nothing, and is not handed out', async () => {
      const ended = await prepare()
      await Promise.all([ended.destroy(), ended.destroy()])
      await expect(ended.handOut({ vmId: newVmId(), diskMiB: 512 })).rejects.toMatchObject({ code: 'VM_STATE' })
      const stop = new AbortController()
      const calledOff = prepare(stop.signal)
      subject.after(20, () => { stop.abort(new Error('called off')) })
      await expect(calledOff).rejects.toThrow('called off')
      const dead = await prepare()
      const [pid] = await subject.processes()
      subject.kill({ vmId: dead.spareId, pid } as LiveMachine)
      expect((await dead.died).reason).not.toBe('')
      await expect(dead.handOut({ vmId: newVmId(), diskMiB: 512 })).rejects.toMatchObject({ code: 'VM_DIED' })
      await nothingLeft()
    })
  })
}
