/** What a user does with a mesh of three plants: real processes, real QEMU machines, the real command line. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TestHost, machinesOf, until, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plants: TestPlant[] = []
const plant = (i: number): TestPlant => plants[i] as TestPlant

function orderFile (name: string, actions: unknown[], more: Record<string, unknown> = {}): string {
  const path = join(host.dir, `${name}.json`)
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, software: { os: 'tiny', actions }, ...more }))
  return path
}
const USER = { id: 'user', script: 'adduser -D -s /bin/sh alice && echo "Uid=$(id -u alice)" >> "$PLANT_OUTPUT"' }
const MOTD = { id: 'motd', after: ['user'], script: 'echo "hello alice" > /etc/motd' }

beforeAll(async () => { plants = await host.mesh(3) })
afterAll(async () => { await host.cleanUp() })

describe('an order', () => {
  let vmid = ''

  test('handed to any plant becomes a machine with a classad that works', async () => {
    const created = await plant(1).cli(['create', '-f', orderFile('workspace', [USER, MOTD]), '--id', 'first', '--json'])
    expect(created.stderr + created.stdout).toContain('"state":"running"')
    expect(created.status).toBe(0)
    vmid = created.json.vmid
    expect(created.json).toMatchObject({ name: 'workspace', state: 'running', orderId: 'first', golden: { name: 'tiny', actionsRun: ['user', 'motd'] } })
    expect(created.json.attributes.Uid).toMatch(/^\d+$/)
    expect(created.json.attributes).toMatchObject({ VMID: vmid, MemoryMiB: 256, Cpus: 1 })
    expect(created.json.attributes.PrivateMemoryBytes).toBeGreaterThan(0)
    expect(created.json.attributes.OverlayBytes).toBeGreaterThan(0)
    expect(created.json.classad).toContain(`VMID = "${vmid}"`)
    expect(created.json.phasesMs.total).toBeGreaterThan(0)
    expect(plants.map((p) => p.peerId)).toContain(created.json.plant)
  })

  test('asked again through another plant is the same machine', async () => {
    const again = await plant(2).cli(['create', '-f', orderFile('workspace', [USER, MOTD]), '--id', 'first', '--json'])
    expect(again.json).toMatchObject({ vmid, state: 'running' })
    expect(machinesOf(host.dir)).toHaveLength(1)
  })

  test('with the same id and other content is an error of usage', async () => {
    const other = await plant(0).cli(['create', '-f', orderFile('workspace', [USER]), '--id', 'first', '--json'])
    expect(other.status).toBe(2)
    expect(other.json.error).toMatchObject({ code: 'ORDER_CONFLICT' })
  })

  test('is answered for by every plant', async () => {
    for (const p of plants) {
      expect((await p.cli(['query', vmid, '--json'])).json).toMatchObject({ vmid, state: 'running' })
      expect((await p.cli(['list', '--json'])).json).toHaveLength(1)
    }
  })

  test('gives a machine that runs commands, whose status and output are ours', async () => {
    const ran = await plant(0).cli(['exec', vmid, '--', 'sh', '-c', 'cat /etc/motd; echo oops >&2; exit 7'])
    expect(ran).toMatchObject({ status: 7, stdout: 'hello alice\n' })
    expect(ran.stderr).toContain('oops')
    expect((await plant(1).cli(['exec', vmid, '--stdin', '--', 'cat'], { input: 'fed\n' })).stdout).toBe('fed\n')
  })

  test('has a serial console', async () => {
    const typed = await plant(2).cli(['console', vmid], { input: '\necho con$((40+2))sole\n' })
    expect(typed.stdout).toContain('con42sole')
  })

  test('says how it was decided', async () => {
    const why = await plant(1).cli(['why', 'first', '--json'])
    const { candidates, answers } = why.json.attempts[0].decision as { candidates: unknown[], answers: Array<{ kind: string }> }
    expect(candidates).toHaveLength(3)
    expect(answers).toHaveLength(3)
    // A host that is busy enough answers after the deadline.
    expect(answers.filter(({ kind }) => kind === 'bid').length).toBeGreaterThan(0)
    expect(why.json.attempts[0].machine).toMatchObject({ state: 'running' })
    expect((await plant(1).cli(['why', 'first'])).stdout).toMatch(/bid of/)
  })

  test('of a stranger is refused by every plant, and a grant lets the stranger in', async () => {
    const key = host.key('stranger')
    for (const p of plants) {
      for (const args of [['query', vmid], ['collect', vmid], ['golden', 'publish', vmid, '--name', 'stolen']]) {
        const refused = await p.cli([...args, '--json'], { key })
        expect(refused.status).toBe(1)
        expect(refused.json.error.code).toBe('NOT_AUTHORISED')
      }
      expect((await p.cli(['exec', vmid, '--', 'id'], { key })).status).toBe(255)
      expect((await p.cli(['list', '--json'], { key })).json).toEqual([])
    }
    const stranger = (await plant(0).cli(['key', '--json'], { key })).json.key
    expect((await plant(0).cli(['domain', 'grant', 'default', stranger])).status).toBe(0)
    // By gossip; and that there was none is believed for a moment.
    for (const p of plants) await until(async () => (await p.cli(['query', vmid, '--json'], { key })).json.vmid === vmid, 10_000, 'the grant has arrived')
    expect((await plant(1).cli(['domain', 'revoke', 'default', stranger])).status).toBe(0)
    await until(async () => (await plant(2).cli(['query', vmid], { key })).status === 1, 10_000, 'the revocation has arrived')
  })

  test('once collected answers collected, and leaves no machine', async () => {
    expect((await plant(2).cli(['collect', vmid, '--json'])).json).toMatchObject({ vmid, state: 'collected' })
    expect(machinesOf(host.dir)).toEqual([])
    expect((await plant(0).cli(['create', '-f', orderFile('workspace', [USER, MOTD]), '--id', 'first', '--json'])).json).toMatchObject({ vmid, state: 'collected' })
    expect((await plant(0).cli(['query', '0'.repeat(32)])).status).toBe(4)
  })
})

describe('an order at once through all shops', () => {
  test('makes one machine', async () => {
    const file = orderFile('racer', [MOTD].map(({ id, script }) => ({ id, script })))
    const all = await Promise.all(plants.map(async (p) => p.cli(['create', '-f', file, '--id', 'race', '--json'])))
    expect(new Set(all.map((r) => r.json.vmid)).size).toBe(1)
    expect(new Set(all.map((r) => r.json.plant)).size).toBe(1)
    expect(machinesOf(host.dir)).toHaveLength(1)
    expect((await plant(0).cli(['collect', '--all', '--json'])).json.machines).toHaveLength(1)
  })
})

describe('an order that cannot be met', () => {
  test('for more than any plant has is refused by all, with the clause and the smallest change', async () => {
    const refused = await plant(0).cli(['create', '-f', orderFile('huge', [], { hardware: { memoryMiB: 900_000 } }), '--json'])
    expect(refused.status).toBe(3)
    expect(refused.json.error.details.refusals).toHaveLength(3)
    expect(JSON.stringify(refused.json.error.details.refusals[0])).toContain('hardware.memoryMiB')
  })

  test('by its requirements names the clause that failed', async () => {
    const refused = await plant(0).cli(['create', '-f', orderFile('picky', [], { requirements: 'FreeMemoryMiB >= 1 && Accelerator == "quantum"' }), '--json'])
    expect(refused.status).toBe(3)
    expect(JSON.stringify(refused.json.error.details.refusals)).toContain('quantum')
  })

  test('is told the field, what there is, and each way out, once', async () => {
    const [{ ad }] = (await plant(0).cli(['plants', '--json'])).json
    const refusalOf = async (name: string, more: Record<string, unknown>): Promise<Record<string, unknown>> => {
      const refused = await plant(0).cli(['create', '-f', orderFile(name, [], more), '--json'])
      expect(refused.status).toBe(3)
      const { plant: _one, ...refusal } = refused.json.error.details.refusals[0]
      return refusal
    }
    const isa = ad.Isa === 'aarch64' ? 'x86_64' : 'aarch64'
    const isaChange = { attribute: 'hardware.isa', from: isa, to: ad.Isa }
    expect(await refusalOf('foreign', { hardware: { isa } })).toMatchObject({ reasons: [{ code: 'ISA_DIFFERS', smallestChange: isaChange }], smallestChange: [isaChange] })
    const diskChange = { attribute: 'hardware.diskMiB', from: 100, to: 512 }
    expect(await refusalOf('narrow', { hardware: { diskMiB: 100 } })).toMatchObject({ reasons: [{ code: 'GOLDEN_DISK', clause: 'hardware.diskMiB', have: 512, need: 100 }], smallestChange: [diskChange] })
    const nope = await refusalOf('nope', { software: { os: 'nope' } })
    expect(nope).toMatchObject({ reasons: [{ code: 'GOLDEN_OS', clause: 'software.os', have: expect.stringContaining('tiny'), need: 'nope' }], smallestChange: [{ attribute: 'software.os', from: 'nope', to: expect.stringContaining('tiny') }] })
    // Cpus is the plant's, as the requirements are over its ad.
    const ways = [[{ attribute: 'Cpus', from: ad.Cpus, to: 1001 }], [{ attribute: 'FreeMemoryMiB', to: 1e9 }, { attribute: 'Site', to: 'elsewhere' }]]
    expect(await refusalOf('either', { requirements: 'FreeMemoryMiB >= 1000000000 && Site == "elsewhere" || Cpus > 1000' })).toMatchObject({ reasons: [{ smallestChange: ways[0]?.[0], alternatives: ways }], smallestChange: ways[0] })
  })

  test('whose action fails is collected, and the error has action, status and the end of its output', async () => {
    const failed = await plant(0).cli(['create', '-f', orderFile('broken', [{ id: 'bad', script: 'echo some words; echo last words >&2; exit 9' }]), '--json'])
    expect(failed.status).toBe(1)
    expect(failed.json.error).toMatchObject({ code: 'ACTION_FAILED', details: { action: 'bad', status: 9 } })
    expect(failed.json.error.details.output).toContain('last words')
    await until(() => machinesOf(host.dir).length === 0, 5_000, 'the machine is gone')
  })
})

describe('golden machines', () => {
  test('published from a configured machine spare the next order its actions, and the source goes on', async () => {
    const file = orderFile('shared', [USER, MOTD])
    const source = (await plant(0).cli(['create', '-f', file, '--json'])).json
    const published = await plant(1).cli(['golden', 'publish', source.vmid, '--name', 'workspace', '--json'])
    expect(published.stderr + published.stdout).toContain('"name":"workspace"')
    expect(published.json.actionsDone).toHaveLength(2)
    expect((await plant(0).cli(['exec', source.vmid, '--', 'cat', '/etc/motd'])).stdout).toBe('hello alice\n')
    const next = (await plant(0).cli(['create', '-f', orderFile('shared2', [USER, MOTD, { id: 'more', after: ['motd'], script: 'cat /etc/motd > /tmp/copy' }], { requirements: `PeerId == "${source.plant as string}"` }), '--json'])).json
    expect(next.golden).toMatchObject({ name: 'workspace', actionsRun: ['more'] })
    expect(next.attributes.Uid).toBe(source.attributes.Uid)
    expect((await plant(2).cli(['exec', next.vmid, '--', 'cat', '/tmp/copy'])).stdout).toBe('hello alice\n')
    expect((await plant(0).cli(['collect', '--all'])).status).toBe(0)
  })

  test('of another memory size are booted once and kept', async () => {
    const order = orderFile('larger', [], { hardware: { memoryMiB: 320, diskMiB: 700 }, requirements: `PeerId == "${plant(0).peerId}"` })
    const first = (await plant(0).cli(['create', '-f', order, '--json'])).json
    expect(first.phasesMs.resize).toBeGreaterThan(0)
    const kib = Number((await plant(0).cli(['exec', first.vmid, '--', 'sh', '-c', 'grep MemTotal /proc/meminfo | tr -dc 0-9'])).stdout)
    expect(kib).toBeGreaterThan(256 * 1024)
    const disk = Number((await plant(0).cli(['exec', first.vmid, '--', 'sh', '-c', 'df -m / | tail -1 | awk "{print \\$2}"'])).stdout)
    expect(disk).toBeGreaterThan(550)
    const second = (await plant(0).cli(['create', '-f', order, '--json'])).json
    expect(second.phasesMs.resize).toBeUndefined()
    expect((await plant(0).cli(['collect', '--all'])).status).toBe(0)
  })
})
