/** What a plant does with its line, over and over, to be killed in the middle: `node qemu-crash-child.ts DATA-DIR GOLDEN-DIR [spares]`. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { goldenOf, newMac, newVmId, testLine } from '../support/tiny.ts'

const [dataDir = '', goldenDir = '', what] = process.argv.slice(2)
const line = await testLine(dataDir)
const golden = goldenOf(line, 'tiny')
process.stdout.write('ready\n')
while (what === 'spares') {
  const spare = await line.prepare({ vmId: newVmId(), golden, goldenDir, mac: newMac() })
  const machine = await spare.handOut({ vmId: newVmId(), diskMiB: 600 })
  await machine.identify({ mac: machine.mac, hostName: 'handed-out', machineId: machine.vmId, seed: new Uint8Array(32) })
  await machine.destroy()
}
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
