/** A line under another user or on a small disk: `node qemu-faults-child.ts DATA-DIR GOLDEN-DIR full|plain`. Says what happens, line by line. */
import { mkdir, mkdtemp, readdir, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { qemuLine } from '../../node/lines/qemu/index.ts'
import type { LiveMachine } from '../../node/lines/line.ts'
import { sh } from '../contracts/shell.ts'
import { fakeLog } from '../support/fake-log.ts'
import { goldenOf, newMac, newVmId } from '../support/tiny.ts'

const [dataDir = '', goldenDir = '', what] = process.argv.slice(2)
const log = fakeLog()
const cacheDir = await mkdtemp(join(tmpdir(), 'plantmesh-child-'))
const line = await qemuLine({ dataDir, cacheDir, log })
await rm(cacheDir, { recursive: true, force: true })
const golden = goldenOf(line, 'tiny')
const say = (text: string): void => { process.stdout.write(`${text}\n`) }
const clone = async (): Promise<LiveMachine> => await line.clone({ vmId: newVmId(), golden, goldenDir, mac: newMac(), diskMiB: golden.hardware.diskMiB })
/** Writes a file that leaves so much of the disk. */
const fill = async (name: string, leftBytes: number): Promise<void> => {
  const { bavail, bsize } = await statfs(dataDir)
  await writeFile(join(dataDir, name), Buffer.alloc(bavail * bsize - leftBytes))
}
const codeOf = (error: unknown): string => String((error as { code?: unknown }).code)

const machine = await clone()
say(`cloned ${await sh(machine, 'echo true') === 'true\n'}`)
if (what === 'plain') say(`sees what of the memory file it looked at ${(await machine.memoryTouched(65_536)).length > 50}`)
if (what === 'full') {
  await fill('ballast', 768 * 1_024)
  const copyDir = join(dataDir, 'copy')
  await mkdir(copyDir)
  const code = await line.publish(machine, copyDir).then(() => 'published', codeOf)
  say(`publish ${code} ${JSON.stringify(await readdir(copyDir))}`)
  say((await sh(machine, 'echo alive')).trim())
  // All but a few pages of what is left: the next overlay does not fit.
  await fill('filler', 4 * 4_096)
  say(`clone ${await clone().then(() => 'made', codeOf)}`)
  await sh(machine, 'dd if=/dev/urandom of=/root/much bs=64k count=64 conv=fsync 2>&1 || echo refused')
  say(`guest told ${log.lines.some(({ level, fields }) => level === 'error' && fields['noSpace'] === true)}`)
  say(`leftovers ${(await line.leftovers()).length}`)
}
await machine.destroy()
await rm(join(dataDir, 'filler'), { force: true })
say((await line.leftovers()).length === 0 ? 'clean' : 'not clean')
