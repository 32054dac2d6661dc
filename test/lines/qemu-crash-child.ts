/** What a plant does with its line, over and over, to be killed in the middle: `node qemu-crash-child.ts DATA-DIR GOLDEN-DIR`. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { goldenOf, newMac, newVmId, testLine } from '../support/tiny.ts'

const [dataDir = '', goldenDir = ''] = process.argv.slice(2)
const line = await testLine(dataDir)
const golden = goldenOf(line, 'tiny')
process.stdout.write('ready\n')
const kept = await line.clone({ vmId: newVmId(), golden, goldenDir, mac: newMac(), diskMiB: golden.hardware.diskMiB })
process.stdout.write(`kept ${kept.vmId}\n`)
for (let round = 0; ; round++) {
  const dir = join(dataDir, `draft-${round}`)
  await mkdir(dir)
  await line.publish(kept, dir)
  const copy = await line.clone({ vmId: newVmId(), golden, goldenDir: dir, mac: newMac(), diskMiB: 600 })
  await copy.destroy()
  await rm(dir, { recursive: true })
}
