/** The way out of a network: only where the order asks and the plant allows, only to where the plant says, names included. The world is a network namespace. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestHost, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plant: TestPlant
let outside: ChildProcess

const order = (name: string, egress: boolean): string => {
  const file = join(host.dir, `${name}.json`)
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, network: { name: 'lan', egress }, software: { os: 'tiny' } }))
  return file
}

/** The page of a host, as a guest's shell gets it; nothing when there is none. (Debian's static busybox has a wget that does not work.) */
const get = (name: string, seconds = 20): string => `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w ${seconds} ${name} 80 2> /dev/null | tail -n 1`

beforeAll(async () => {
  const resolv = join(host.dir, 'resolv.conf')
  writeFileSync(resolv, 'nameserver 127.0.0.1\n')
  // Its own network, with an address that stands for the world (and one that is in the range, but the host's own), and its own resolver.
  const setUp = `ip link set lo up && ip address add 203.0.113.7/32 dev lo && ip address add 203.0.113.8/32 dev lo && mount --bind '${resolv}' /etc/resolv.conf && exec "$@"`
  plant = await host.plant({ args: ['--egress', '203.0.113.0/24', '203.0.113.7'], wrap: (command) => ['unshare', '-rnm', '/bin/sh', '-c', setUp, 'sh', ...command] })
  outside = spawn('nsenter', ['--preserve-credentials', '-U', '-n', '-t', String(plant.process.pid), process.execPath, join(import.meta.dirname, 'outside-child.ts')], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(outside.stdout as NodeJS.EventEmitter, 'data')
})
afterAll(async () => {
  outside?.kill('SIGKILL')
  await host.cleanUp()
})

test('a machine goes out where its order asks for it, to where its plant allows, and the host itself stays out of reach', async () => {
  const made = await plant.cli(['create', '-f', order('open', true), '--json'])
  expect(made.json, made.stderr).toMatchObject({ state: 'running' })
  const inside = async (script: string, vmid = made.json.vmid): Promise<string> => (await plant.cli(['exec', vmid, '--timeout', '60000', '--', script])).stdout
  expect(await inside(get('203.0.113.7'))).toBe('hello from outside')
  expect(await inside(get('outside.example'))).toBe('hello from outside')
  // Names of the network come first; what nobody knows is not there.
  expect(await inside(`nslookup ${made.json.attributes.HostName} | grep -c ${made.json.attributes.Address}; nslookup nobody.example > /dev/null 2>&1 || echo none`)).toBe('1\nnone\n')
  const nowhere = (...names: string[]): string => `${names.map((name) => `(${get(name, 3)}) &`).join(' ')} wait`
  expect(await inside(nowhere('203.0.113.8', '198.51.100.1', '10.192.0.1', '127.0.0.2', '10.0.0.1'))).toBe('')

  // Another machine of the same network, whose order asks for nothing.
  const closed = await plant.cli(['create', '-f', order('closed', false), '--json'])
  expect(await inside(nowhere('203.0.113.7'), closed.json.vmid)).toBe('')
  expect(await inside('nslookup outside.example > /dev/null 2>&1 || echo none', closed.json.vmid)).toBe('none\n')
})

test('a plant that lets no machine out says so', async () => {
  const strict = await host.plant()
  const refused = await strict.cli(['create', '-f', order('refused', true), '--json'])
  expect(refused.status).toBe(3)
  expect(JSON.stringify(refused.json.error.details)).toContain('POLICY_EGRESS')
})
