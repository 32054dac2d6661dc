/** The plant as a process, its API and the command line's conventions (CONTRACT.md). */
import { spawnSync } from 'node:child_process'
import { statSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestHost, cli, machinesOf, until, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plant: TestPlant
const file = join(host.dir, 'order.json')

beforeAll(async () => {
  plant = await host.plant()
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions: [{ id: 'wait', script: 'sleep 3' }] } }))
})
afterAll(async () => { await host.cleanUp() })

async function get (path: string): Promise<{ status: number, body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    request({ socketPath: plant.api, path }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => { text += piece }).on('end', () => { resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }) })
    }).on('error', reject).end()
  })
}

describe('the API', () => {
  test('is a socket that only its owner can open', () => {
    expect(statSync(plant.api).mode & 0o777).toBe(0o600)
    expect(statSync(plant.dataDir).mode & 0o077).toBe(0)
  })

  test('serves its OpenAPI document', async () => {
    const { body } = await get('/openapi.json')
    expect(body['openapi']).toMatch(/^3\./)
    expect(Object.keys(body['paths'] as object)).toEqual(expect.arrayContaining(['/v1/orders', '/v1/calls', '/v1/plants', '/v1/golden', '/v1/why']))
  })

  test('answers what it does not know with an error of the contract\'s form', async () => {
    expect(await get('/v1/nothing')).toMatchObject({ status: 404, body: { error: { code: 'USAGE', details: { path: '/v1/nothing' } } } })
  })
})

describe('the command line', () => {
  test('has help with an example for every command', async () => {
    for (const command of ['up', 'create', 'query', 'list', 'collect', 'exec', 'console', 'why', 'plants', 'validate', 'convert', 'doctor', 'key', 'golden list', 'golden show', 'golden build', 'golden import', 'golden publish', 'golden remove', 'domain create', 'domain grant', 'start']) {
      const help = await cli([...command.split(' '), '--help'])
      expect(help.status, command).toBe(0)
      expect(help.stdout, command).toContain('Example:')
    }
  })

  test('exits with 2 on wrong use and with 4 on what is not found, as JSON when asked', async () => {
    expect((await plant.cli(['create', '-f', file, '--count', 'x', '--json']))).toMatchObject({ status: 2, json: { error: { code: 'USAGE' } } })
    expect((await plant.cli(['nonsense', '--json']))).toMatchObject({ status: 2, json: { error: { code: 'USAGE' } } })
    expect((await plant.cli(['query', 'xyz', '--json']))).toMatchObject({ status: 2 })
    expect((await plant.cli(['query', 'f'.repeat(32), '--json']))).toMatchObject({ status: 4, json: { error: { code: 'VM_UNKNOWN' } } })
    expect((await plant.cli(['golden', 'show', 'none', '--json']))).toMatchObject({ status: 4 })
    expect((await cli(['plants', '--json'], { api: join(host.dir, 'no.sock') }))).toMatchObject({ status: 1, json: { error: { code: 'API_UNREACHABLE' } } })
  })

  test('says what is wrong with a plant\'s options before it sets anything up, also beside a plant that runs', async () => {
    for (const [option, value, found] of [['--capacity', 'cpus=x', 'cpus'], ['--listen', '/ip4/nowhere', 'multiaddr'], ['--bootstrap', 'here', 'multiaddr']] as const) {
      const refused = await cli(['up', '--data', plant.dataDir, '--no-mdns', option, value])
      expect(refused, refused.stderr).toMatchObject({ status: 2, stdout: '' })
      expect(refused.stderr).toContain(found)
    }
    const nothing = await cli(['up', '--data', join(host.dir, 'fresh'), '--no-mdns', '--import', join(host.dir, 'nowhere')])
    expect(nothing).toMatchObject({ status: 2 })
    expect(nothing.stderr).toContain('not a warehouse directory')
    expect(await cli(['up', '--data', '/proc/nowhere/data', '--no-mdns'])).toMatchObject({ status: 2 })
    expect(await cli(['key', '--key', '/proc/nowhere/key', '--json'])).toMatchObject({ status: 2, json: { error: { code: 'CONFIG_INVALID' } } })
    expect(await plant.cli(['exec', '0'.repeat(32), '--timeout', '999999999999', '--', 'true'])).toMatchObject({ status: 2 })
  })

  test('fails when its answer cannot be written', () => {
    const env = { ...process.env, PLANTMESH_API: plant.api, PLANTMESH_KEY: host.key('owner') }
    for (const command of ['plants', 'plants --json']) {
      const full = spawnSync('sh', ['-c', `${process.execPath} node/main.ts ${command} > /dev/full`], { env, encoding: 'utf8', timeout: 60_000 })
      expect(full.status).toBe(1)
      expect(full.stderr).toContain('could not be written')
    }
  })

  test('interrupted in a collection exits with 130 and tells what is left', async () => {
    const stop = new AbortController()
    const ids = ['e'.repeat(32), 'f'.repeat(32)]
    const fakeSilentApi = createServer((asked, response) => {
      if (asked.method === 'GET') response.setHeader('content-type', 'application/json').end(JSON.stringify({ peerId: plant.peerId }))
      else stop.abort()
    })
    const api = join(host.dir, 'silent.sock')
    await new Promise<void>((resolve) => { fakeSilentApi.listen(api, resolve) })
    const ended = await cli(['collect', ...ids, '--json'], { api, key: host.key('owner'), signal: stop.signal })
    fakeSilentApi.close()
    expect(ended).toMatchObject({ status: 130, json: { error: { code: 'INTERRUPTED', details: { collected: [], left: ids } } } })
  })

  test('interrupted in an order exits with 130 and leaves no machine', async () => {
    const stop = new AbortController()
    const asked = plant.cli(['create', '-f', file, '--json'], { signal: stop.signal })
    await until(() => machinesOf(host.dir).length > 0, 20_000, 'the machine is being made')
    stop.abort()
    expect(await asked).toMatchObject({ status: 130, json: { error: { code: 'INTERRUPTED' } } })
    await until(() => machinesOf(host.dir).length === 0, 10_000, 'the machine is gone')
  })

  test('survives a reader that goes away, and so does the plant', async () => {
    const made = (await plant.cli(['create', '-f', file, '--json'])).json
    const cut = spawnSync('sh', ['-c', `${process.execPath} node/main.ts exec ${made.vmid} -- sh -c "yes | head -c 30000000" | head -c 10`], { env: { ...process.env, PLANTMESH_API: plant.api, PLANTMESH_KEY: host.key('owner') }, encoding: 'utf8', timeout: 60_000 })
    expect(cut.stdout).toHaveLength(10)
    expect(cut.stderr).not.toMatch(/at .*\.ts:/)
    expect((await plant.cli(['exec', made.vmid, '--', 'echo', 'still'])).stdout).toBe('still\n')
    expect((await plant.cli(['collect', made.vmid])).status).toBe(0)
  })
})

describe('a plant that is told to stop', () => {
  test('leaves its machines running, and collects them when asked to', async () => {
    const other = await host.plant()
    const made = (await other.cli(['create', '-f', file, '--json'])).json
    const [pid] = machinesOf(other.dataDir)
    await other.kill('SIGTERM')
    expect(machinesOf(other.dataDir)).toEqual([pid])
    const again = await host.plant({ dataDir: other.dataDir, args: ['--collect-on-exit'] })
    expect((await again.cli(['query', made.vmid, '--json'])).json).toMatchObject({ state: 'running' })
    await again.kill('SIGTERM')
    expect(again.process.exitCode, again.log()).toBe(0)
    expect(machinesOf(other.dataDir)).toEqual([])
  })

  test('refuses a data directory in which another runs', async () => {
    const second = await cli(['up', '--data', plant.dataDir, '--no-mdns'])
    expect(second.status).toBe(1)
    expect(second.stderr).toContain('DATA_IN_USE')
  })
})
