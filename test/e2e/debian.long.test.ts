/** Debian as a golden machine, from the command to machines that are their own (issue 4, real images). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestHost, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plant: TestPlant

beforeAll(async () => { plant = await host.plant({ args: ['--capacity', 'memoryMiB=4096,cpus=16,diskMiB=20000'] }) })
afterAll(async () => { await host.cleanUp() })

test('a Debian golden machine is built by a command, and orders for its family get machines with keys of their own', async () => {
  const built = await plant.cli(['golden', 'build', 'debian', '--name', 'base', '--json'])
  expect(built.json).toMatchObject({ name: 'base', os: 'debian', hardware: { cpus: 1, memoryMiB: 512, diskMiB: 2048 } })
  expect((await plant.cli(['golden', 'build', 'debian', '--name', 'base', '--json'])).json).toMatchObject({ error: { code: 'GOLDEN_EXISTS' } })
  const file = join(host.dir, 'debian.json')
  const script = 'test "$(id -u)" = 0 && . /etc/os-release && echo "Os=$ID $VERSION_ID" >> "$PLANT_OUTPUT" && python3 -c "import ssl, json; print(\\"Py=\\" + json.dumps(1))" >> "$PLANT_OUTPUT"'
  writeFileSync(file, JSON.stringify({
    apiVersion: 'plantmesh/v1', kind: 'Machine', hardware: { cpus: 1, memoryMiB: 512, diskMiB: 2560 }, software: { os: 'debian', actions: [{ id: 'facts', script }] }
  }))
  const made = await plant.cli(['create', '-f', file, '--count', '2', '--json'])
  expect(made.json.failures).toEqual([])
  const keys = new Set<string>()
  for (const { vmid, attributes } of made.json.machines) {
    expect(attributes).toMatchObject({ Os: 'debian 12', Py: '1' })
    keys.add(attributes.HostKey)
    const said = await plant.cli(['exec', vmid, '--timeout', '120000', '--', 'ssh-keyscan -t ed25519 127.0.0.1 2> /dev/null; systemctl is-system-running; df -m / | tail -1; ip -br link show eth0; cat /etc/machine-id'])
    expect(said.stdout).toContain(String(attributes.HostKey).split(' ')[1])
    expect(said.stdout).toContain('running')
    expect(said.stdout).toContain(attributes.Mac)
    // Grown from 2048 MiB.
    expect(Number(/\/dev\/vda\s+(\d+)/.exec(said.stdout)?.[1])).toBeGreaterThan(2300)
  }
  expect(keys.size).toBe(2)
})
