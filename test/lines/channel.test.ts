/** Both channels into a real guest. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectAgent } from '../../node/lines/qemu/channel/agent-client.ts'
import { describeGuestChannel } from '../contracts/guest-channel.ts'
import { agentChannel, isoChannel } from './channels.ts'
import { buildTestImage, startTiny } from './tiny-machine.ts'

let image: string
beforeAll(async () => {
  image = await mkdtemp(join(tmpdir(), 'tiny-image-'))
  await buildTestImage(image)
})
afterAll(async () => { await rm(image, { recursive: true, force: true }) })

describeGuestChannel('agent', async () => agentChannel(image))
describeGuestChannel('iso', async () => isoChannel(image))

test('agent answers a second host when the first is gone in the middle of everything', async () => {
  const machine = await startTiny(image)
  try {
    const first = await connectAgent(machine.agentSocket, { timeoutMs: 60_000 })
    expect((await first.run({ script: 'sleep 983 & echo kept', parameters: {}, files: {}, timeoutMs: 20_000 })).status).toBe(0)
    const printing = Promise.withResolvers<void>()
    const lost = first.run({ script: 'yes', parameters: {}, files: {}, timeoutMs: 60_000, onOutput: () => { printing.resolve() } })
    const half = first.run({ script: 'sleep 984', parameters: {}, files: { '/tmp/long': 'x'.repeat(3_000_000) }, timeoutMs: 60_000 })
    await printing.promise
    first.close()
    await expect(lost).rejects.toMatchObject({ code: 'VM_DIED' })
    await expect(half).rejects.toMatchObject({ code: 'VM_DIED' })
    const second = await connectAgent(machine.agentSocket, { timeoutMs: 20_000 })
    // What had ended keeps its daemon; what was under way is ended.
    const { outputTail } = await second.run({ script: 'ps | grep -E "[y]es|sleep 98[34]" | sed "s/.* //"', parameters: {}, files: {}, timeoutMs: 20_000 })
    expect(outputTail).toBe('983\n')
    second.close()
  } finally {
    await machine.stop()
  }
})

test('agent that does not answer gives AGENT_SILENT, and a machine that ends gives VM_DIED', async () => {
  const machine = await startTiny(image)
  try {
    // A signal that is given while the guest boots is heeded at once.
    const stop = AbortSignal.timeout(50)
    await expect(connectAgent(machine.agentSocket, { timeoutMs: 60_000, signal: stop })).rejects.toMatchObject({ name: 'TimeoutError' })
    const agent = await connectAgent(machine.agentSocket, { timeoutMs: 60_000 })
    await machine.qmp('stop')
    await expect(agent.sync(AbortSignal.timeout(300))).rejects.toMatchObject({ name: 'TimeoutError' })
    agent.close()
    await expect(connectAgent(machine.agentSocket, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'AGENT_SILENT' })
    await machine.qmp('cont')
    const again = await connectAgent(machine.agentSocket, { timeoutMs: 20_000 })
    const run = again.run({ script: 'poweroff -f', parameters: {}, files: {}, timeoutMs: 60_000 })
    await expect(run).rejects.toMatchObject({ code: 'VM_DIED' })
  } finally {
    await machine.stop()
  }
  await expect(connectAgent(machine.agentSocket, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'VM_DIED' })
})
