/** Both channels into a real guest of an image. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAgent } from '../../node/lines/qemu/channel/agent-client.ts'
import { connectIsoChannel } from '../../node/lines/qemu/channel/iso-channel.ts'
import type { ChannelUnderTest } from '../contracts/guest-channel.ts'
import { startTiny } from './tiny-machine.ts'

/** A guest by its agent. */
export async function agentChannel (image: string): Promise<ChannelUnderTest> {
  const machine = await startTiny(image)
  const channel = await connectAgent(machine.agentSocket, { timeoutMs: 60_000 })
  return {
    channel,
    answersAgain: async () => { await channel.hello() },
    close: async () => {
      channel.close()
      await machine.stop()
    }
  }
}

/** A guest by images in its CD-ROM drive. */
export async function isoChannel (image: string): Promise<ChannelUnderTest> {
  const machine = await startTiny(image)
  const dir = join(machine.dir, 'images')
  const channel = await connectIsoChannel(machine.isoSocket, { timeoutMs: 60_000, dir, attachIso: machine.attachIso })
  return {
    channel,
    // A run waits until the guest has answered the hello again.
    answersAgain: async () => {},
    close: async () => {
      const left = [...machine.attached, ...await readdir(dir)]
      channel.close()
      await machine.stop()
      if (left.length > 0) throw new Error(`discs were left in the machine or on the host: ${left.join(' ')}`)
    }
  }
}
