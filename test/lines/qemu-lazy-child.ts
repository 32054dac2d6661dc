/**
 * A plant that starts a machine before its disk has arrived, serves the disk, switches the machine and serves no more, to be killed in the middle:
 * `node qemu-lazy-child.ts DATA-DIR GOLDEN-DIR DISK booted|suspended`. Says what it has done, line by line.
 */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { nbdServer } from '../../storage/drivers/nbd-server.ts'
import { sh } from '../contracts/shell.ts'
import { fakeLog } from '../support/fake-log.ts'
import { diskOnly, fileSource } from '../support/lazy.ts'
import { goldenOf, newMac, newVmId, testLine } from '../support/tiny.ts'
import { ALL_FILES } from './whole-disk.ts'

const [dataDir = '', goldenDir = '', diskPath = '', kind] = process.argv.slice(2)
const say = (text: string): void => { process.stdout.write(`${text}\n`) }
const line = await testLine(dataDir)
const golden = kind === 'booted' ? diskOnly(goldenOf(line, 'tiny')) : goldenOf(line, 'tiny')
const socketPath = join(dataDir, 'disk.sock')
const disk = await fileSource(diskPath)
// Each read takes as long as one over a network, so that the switch finds some under way.
const server = await nbdServer({ socketPath, log: fakeLog(), source: { bytes: disk.bytes, read: async (offset, length, signal) => {
  await pause(2)
  return await disk.read(offset, length, signal)
} } })
const machine = await line.clone({ vmId: newVmId(), golden, goldenDir, disk: { socketPath }, mac: newMac(), diskMiB: 512 })
await sh(machine, `(while true; do ${ALL_FILES} > /run/all.new; cat /run/all.new >> /run/all; done) > /dev/null 2>&1 &`)
say(`made ${machine.vmId}`)
await pause(100)
say('switching')
await machine.arrived(diskPath)
say('switched')
await server.stop()
say('served no more')
await pause(600_000)
