/**
 * Does one thing with a warehouse and, before each step that changes the disk, either copies the warehouse's directory (what a kill there would leave:
 * what was written stays) or, at the step that KILL_AT names, is killed: `node warehouse-steps.ts JOB DIR SOURCE SNAPSHOTS [KILL_AT]`. Copies are named
 * `step-acknowledged`: pieces that were acknowledged by then.
 */
import fs from 'node:fs'
import fsp from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { openWarehouse, type FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { carry, offered } from './image-support.ts'
import { FakeStandingClock, descriptionOf, keys, quietLog } from './records-support.ts'

const [job = '', dir = '', source = '', snapshots = '', killAt = ''] = process.argv.slice(2)
const openHere = async (at: string): Promise<FsWarehouse> => openWarehouse({ dir: at, clock: new FakeStandingClock(), log: quietLog, ...keys })

let [step, acknowledged, inside] = [0, 0, false]
const { cpSync } = fs
function before (): void {
  if (inside) return
  step++
  if (killAt !== '') {
    if (step === Number(killAt)) process.kill(process.pid, 'SIGKILL')
    return
  }
  inside = true
  cpSync(dir, join(snapshots, `${step}-${acknowledged}`), { recursive: true, preserveTimestamps: true })
  inside = false
}

/** Has every function of that name tell first. */
function watch (of: object, names: string[]): void {
  for (const name of names) {
    const real = Reflect.get(of, name)
    Reflect.set(of, name, function (this: unknown, ...args: unknown[]): unknown {
      before()
      return Reflect.apply(real, this, args)
    })
  }
}

async function watchAll (): Promise<void> {
  const handle = await fsp.open(process.execPath, 'r')
  watch(Object.getPrototypeOf(handle), ['write', 'writeFile', 'truncate', 'sync', 'datasync'])
  await handle.close()
  watch(fsp, ['rename', 'rm', 'mkdir', 'writeFile', 'chmod', 'link', 'copyFile'])
  watch(fs, ['writeSync', 'ftruncateSync'])
  syncBuiltinESMExports()
}

const warehouse = await openHere(dir)
const [base] = warehouse.list()
switch (job) {
  case 'commit': case 'child': {
    const draft = await warehouse.draft()
    fs.copyFileSync(source, join(draft.dir, 'disk'))
    await watchAll()
    await draft.commit(descriptionOf(job, job === 'child' ? base?.goldenId : undefined))
    break
  }
  case 'receive': {
    const from = await openHere(source)
    const golden = from.list().find(({ name }) => name === 'far')
    if (golden === undefined) throw new Error('it is there')
    const { manifest, info } = await offered(from, golden.goldenId)
    await watchAll()
    const image = await warehouse.receive(manifest, info)
    for (;;) {
      const came = await carry(from, image, 1)
      acknowledged += came
      if (acknowledged % 3 === 0) for (const { pack } of image.packs) await (pack as unknown as { flush (): Promise<void> }).flush()
      if (came === 0) break
    }
    await image.complete
    break
  }
  case 'remove':
    await watchAll()
    if (base !== undefined) await warehouse.remove(base.goldenId)
    break
  default: throw new Error(`no job ${job}`)
}
before()
console.log('steps', step)
process.exit(0)
