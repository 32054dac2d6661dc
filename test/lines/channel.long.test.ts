/** Much output over both channels into a real guest. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { describeMuchOutput } from '../contracts/guest-channel.ts'
import { agentChannel, isoChannel } from './channels.ts'
import { buildTestImage } from './tiny-machine.ts'

let image: string
beforeAll(async () => {
  image = await mkdtemp(join(tmpdir(), 'tiny-image-'))
  await buildTestImage(image)
})
afterAll(async () => { await rm(image, { recursive: true, force: true }) })

describeMuchOutput('agent', async () => agentChannel(image))
describeMuchOutput('iso', async () => isoChannel(image))
