/** Bad input from guests, files and the host (issue: Bad input that must be tried): a clear error, a bound, and nothing leaked. */
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestHost, machinesOf, tinyWarehouse, until, type CliResult, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plant: TestPlant

beforeAll(async () => { plant = await host.plant() })
afterAll(async () => { await host.cleanUp() })

async function order (script: string, more: Record<string, unknown> = {}, on: TestPlant = plant): Promise<CliResult> {
  const file = join(host.dir, 'order.json')
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions: [{ id: 'act', script, ...more }] } }))
  return on.cli(['create', '-f', file, '--json'])
}

/** No process, no directory, no capacity is held. */
async function nothingLeft (): Promise<void> {
  await until(() => machinesOf(host.dir).length === 0, 10_000, 'no VMM is left')
  expect(readdirSync(join(plant.dataDir, 'machines'))).toEqual([])
  const [{ ad }] = (await plant.cli(['plants', '--json'])).json
  expect(ad.FreeMemoryMiB).toBe(ad.MemoryMiB)
}

describe('an action', () => {
  test('that prints 100 MiB does its work, and the plant stays small', async () => {
    const made = await order('head -c 104857600 /dev/zero | tr "\\0" x', { timeoutMs: 600_000 })
    expect(made.json).toMatchObject({ state: 'running' })
    const rssKib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${plant.process.pid}/status`, 'utf8'))?.[1])
    expect(rssKib).toBeLessThan(600 * 1024)
    expect((await plant.cli(['collect', made.json.vmid])).status).toBe(0)
    await nothingLeft()
  })

  test('that forks for ever ends in a time-out and takes the machine with it', async () => {
    const failed = await order('f() { f | f & }; f; sleep 60', { timeoutMs: 4000 })
    expect(failed.status).toBe(1)
    expect(failed.json.error).toMatchObject({ code: expect.stringMatching(/ACTION_TIMEOUT|ACTION_FAILED/), details: { action: 'act' } })
    await nothingLeft()
  })

  test('that never ends is ended, with the end of what it printed', async () => {
    const failed = await order('echo before; sleep 1000', { timeoutMs: 1500 })
    expect(failed.json.error).toMatchObject({ code: 'ACTION_TIMEOUT', details: { action: 'act', output: expect.stringContaining('before') } })
    await nothingLeft()
  })

  test('that reboots the guest fails and says so', async () => {
    const failed = await order('reboot -f; sleep 30')
    expect(failed.json.error).toMatchObject({ code: 'VM_DIED', details: { action: 'act' } })
    expect(JSON.stringify(failed.json.error.details)).toMatch(/reboot/)
    await nothingLeft()
  })

  test('that powers the guest off fails and says so', async () => {
    const failed = await order('poweroff -f; sleep 30')
    expect(failed.json.error.code).toBe('VM_DIED')
    await nothingLeft()
  })

  test('that stops the agent ends in an error all the same', async () => {
    const failed = await order('kill -STOP $PPID; kill -STOP $(pidof perl) 2>/dev/null; sleep 30', { timeoutMs: 3000 })
    expect(failed.status).toBe(1)
    expect(failed.json.error.code).toMatch(/ACTION_TIMEOUT|AGENT_SILENT/)
    await nothingLeft()
  })

  test('cannot claim attributes that are the plant\'s', async () => {
    const made = await order('echo VMID=stolen >> $PLANT_OUTPUT; echo Owner=me >> $PLANT_OUTPUT; echo Fine=yes >> $PLANT_OUTPUT; echo Uid=1 >> $PLANT_OUTPUT; echo uid=2 >> $PLANT_OUTPUT; printf Cut= >> $PLANT_OUTPUT; head -c 1000000 /dev/zero | tr "\\0" y >> $PLANT_OUTPUT')
    expect(made.json.attributes.VMID).toBe(made.json.vmid)
    expect(made.json.attributes.Owner).not.toBe('me')
    expect(made.json.attributes).toMatchObject({ Fine: 'yes', uid: '2' })
    expect(made.json.attributes).not.toHaveProperty('Uid')
    // Nothing is cut and passed off as whole, and nothing vanishes in silence.
    expect(made.json.attributes).not.toHaveProperty('Cut')
    expect(made.json.outputsDropped).toMatchObject({ count: 4 })
    const why = await plant.cli(['why', made.json.orderId])
    expect(why.stdout).toMatch(/outputs left out: 4\n {4}Cut: cut off.*\n {4}VMID: .*\n {4}Owner: .*\n {4}Uid: /)
    expect((await plant.cli(['collect', made.json.vmid])).status).toBe(0)
  })
})

test('both channels run an order, and software.channel picks one', async () => {
  for (const channel of ['agent', 'iso']) {
    const file = join(host.dir, 'channel.json')
    writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', channel, actions: [{ id: 'act', script: 'echo "Said=$WORD-$(cat /etc/placed)" >> $PLANT_OUTPUT', parameters: { WORD: 'hello' }, files: { '/etc/placed': 'there' } }] } }))
    const made = await plant.cli(['create', '-f', file, '--json'])
    expect(made.json.attributes).toMatchObject({ Said: 'hello-there' })
    expect((await plant.cli(['collect', made.json.vmid])).status).toBe(0)
  }
})

test('host actions attach what they name, and an unknown one is refused with those there are', async () => {
  const file = join(host.dir, 'hostaction.json')
  const document = (action: Record<string, unknown>): string => JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions: [{ id: 'h', run: 'host', ...action }, { id: 'g', after: ['h'], script: 'for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/sda ] && break; sleep 0.2; done; echo "Size=$(cat /sys/block/sda/size)" >> $PLANT_OUTPUT' }] } })
  writeFileSync(file, document({ use: 'attach-disk', with: { sizeMiB: '8' } }))
  const made = await plant.cli(['create', '-f', file, '--json'])
  expect(made.json.attributes).toMatchObject({ Size: String(8 * 2048) })
  expect((await plant.cli(['collect', made.json.vmid])).status).toBe(0)
  // What is left out for an action that fails on the host is the action's failure: its error sub-graph is run, and shows.
  const mend = { onError: { actions: [{ id: 'mend', script: 'echo Mended=yes >> $PLANT_OUTPUT' }], then: 'continue' } }
  writeFileSync(file, document({ use: 'attach-iso', with: { image: 'none.iso' }, ...mend }))
  const mended = await plant.cli(['create', '-f', file, '--json'])
  expect(mended.json).toMatchObject({ attributes: { Mended: 'yes' }, golden: { actionsRun: ['g'], actionsMended: ['h'] } })
  expect((await plant.cli(['query', mended.json.vmid])).stdout).toContain('mended by their error sub-graphs: h')
  expect((await plant.cli(['collect', mended.json.vmid])).status).toBe(0)
  writeFileSync(file, document({ use: 'format-host' }))
  expect((await plant.cli(['create', '-f', file, '--json'])).json.error).toMatchObject({ code: 'HOST_ACTION_UNKNOWN', details: { known: expect.stringContaining('attach-iso') } })
})

test('disks that actions attach are part of the lease: too large is refused, absurd is invalid, and what they take is counted', async () => {
  const file = join(host.dir, 'disks.json')
  const document = (sizeMiB: string): string => JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions: [{ id: 'h', run: 'host', use: 'attach-disk', with: { sizeMiB } }, { id: 'g', after: ['h'], script: 'while [ ! -b /dev/sda ]; do sleep 0.1; done; dd if=/dev/urandom of=/dev/sda bs=1M count=20 conv=fsync' }] } })
  for (const sizeMiB of ['many', '0', '1e3', '99999999999']) {
    writeFileSync(file, document(sizeMiB))
    const invalid = await plant.cli(['create', '-f', file, '--json'])
    expect(invalid).toMatchObject({ status: 2, json: { error: { code: 'ORDER_INVALID', details: { problems: [{ path: 'software.actions[0].with.sizeMiB' }] } } } })
  }
  writeFileSync(file, document(String(32 * 1024 * 1024)))
  const refused = await plant.cli(['create', '-f', file, '--json'])
  expect(refused.status).toBe(3)
  expect(refused.json.error.details.refusals[0]).toMatchObject({ reasons: [{ code: 'DISK_SHORT', clause: 'software.actions[0].with.sizeMiB' }] })
  const free = async (): Promise<number> => (await plant.cli(['plants', '--json'])).json[0].ad.FreeDiskMiB
  const before = await free()
  writeFileSync(file, document('64'))
  const made = await plant.cli(['create', '-f', file, '--json'])
  expect(made.json.attributes.DiskMiB).toBe(512)
  expect(made.json.attributes.OverlayBytes).toBeGreaterThan(20 * 1024 * 1024)
  expect(before - await free()).toBe(512 + 64)
  expect((await plant.cli(['collect', made.json.vmid])).status).toBe(0)
  expect(await free()).toBe(before)
})

test('a machine that is being made has a console, and its order says why it failed', async () => {
  const file = join(host.dir, 'failing.json')
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions: [{ id: 'act', timeoutMs: 120000, script: 'while true; do echo in-the-making > /dev/ttyS0; sleep 2; done' }] } }))
  const others = machinesOf(host.dir)
  const asked = plant.cli(['create', '-f', file, '--id', 'failing', '--json'])
  const mine = async (): Promise<{ vmid: string, state: string } | undefined> => (await plant.cli(['list', '--json'])).json.find((one: { orderId: string }) => one.orderId === 'failing')
  await until(async () => (await plant.cli(['console', (await mine())?.vmid ?? 'none'])).stdout.includes('in-the-making'), 60_000, 'its console is heard')
  expect((await mine())?.state).toBe('creating')
  for (const pid of machinesOf(host.dir)) if (!others.includes(pid)) process.kill(pid, 'SIGKILL')
  expect((await asked).json.error).toMatchObject({ code: 'VM_DIED' })
  const failed = await order('echo some words; echo last words; exit 7')
  expect(failed.json.error).toMatchObject({ code: 'ACTION_FAILED' })
  const record = (await plant.cli(['query', failed.json.error.details.vmid, '--json'])).json
  expect(record.phasesMs).toMatchObject({ clone: expect.any(Number), configure: expect.any(Number), total: expect.any(Number) })
  const why = (await plant.cli(['why', record.orderId])).stdout
  expect(why).toMatch(/failed {2}ACTION_FAILED: .*action: act.*status: 7/)
  expect(why).toMatch(/\| last words\n/)
  expect(why).toMatch(/clone +\d+ ms/)
})

test('a golden machine that was altered is not used, and is told of', async () => {
  const other = await host.plant()
  const golden = join(other.dataDir, 'warehouse', 'golden')
  const [id = ''] = readdirSync(golden)
  const packs = join(other.dataDir, 'warehouse', 'packs')
  const path = join(packs, readdirSync(packs)[0] ?? '', 'pack')
  // The files are hard links to the shared warehouse: alter a copy, as bit rot on this plant's disk would.
  const bytes = readFileSync(path)
  rmSync(path)
  for (let at = 70; at < bytes.length; at += 65_536) bytes[at] = (bytes[at] ?? 0) ^ 0xff
  writeFileSync(path, bytes)
  rmSync(join(golden, id, 'files', 'disk.qcow2'))
  const failed = await order('true', {}, other)
  expect(failed.status).not.toBe(0)
  expect(failed.stdout).toMatch(/GOLDEN_CORRUPT/)
  expect(failed.stdout).toContain('disk.qcow2')
  expect((await other.cli(['golden', 'list', '--json'])).json).toEqual([])
  expect(existsSync(join(await tinyWarehouse(), 'golden'))).toBe(true)
})

test('a full disk ends in a clear error, nothing is left of what was begun, and the plant goes on', async () => {
  const dataDir = join(host.dir, 'small')
  // A disk of its own, in a mount namespace: needs no root where user namespaces are allowed. The golden machine fits (290 MiB, its memory copied whole), another beside it does not.
  const small = await host.plant({ dataDir, args: ['--capacity', 'diskMiB=5000'], wrap: (command) => ['unshare', '-rm', 'sh', '-c', `mkdir -p ${dataDir} && mount -t tmpfs -o size=360m none ${dataDir} && exec "$@"`, 'sh', ...command] })
  const inside = async (args: string[]): Promise<CliResult> => cliInside(small, args)
  const made = await inside(['create', '-f', sample('fits'), '--json'])
  expect(made.json).toMatchObject({ state: 'running' })
  const full = await inside(['golden', 'publish', made.json.vmid, '--name', 'copy', '--json'])
  expect(full.status).toBe(1)
  expect(full.json.error.code).toBe('DISK_FULL')
  // The machine goes on, and once there is room again so does publishing.
  expect((await inside(['exec', made.json.vmid, '--', 'echo', 'alive'])).stdout).toBe('alive\n')
  expect((await inside(['golden', 'list', '--json'])).json).toHaveLength(1)
  expect((await inside(['collect', made.json.vmid])).status).toBe(0)
})

function sample (name: string): string {
  const file = join(host.dir, `${name}.json`)
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny' } }))
  return file
}

/** The plant's socket lies on its own disk: the command line must be run where that is mounted. */
async function cliInside (of: TestPlant, args: string[]): Promise<CliResult> {
  return of.cli(args, { wrap: (command) => ['nsenter', '-U', '-m', '--preserve-credentials', '-t', String(of.process.pid), ...command] })
}
