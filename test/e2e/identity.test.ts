/** Clones made at once are machines of their own (issue: Clones; VMM.md, "A clone is not yet a machine of its own"). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestHost, machinesOf, type TestPlant } from '../support/plants.ts'

const COUNT = 8
const host = new TestHost()
let plant: TestPlant

beforeAll(async () => { plant = await host.plant({ args: ['--capacity', 'memoryMiB=4096,cpus=16,diskMiB=20000'] }) })
afterAll(async () => { await host.cleanUp() })

test('eight clones made at once differ in all that names a machine, and have the right time', async () => {
  const file = join(host.dir, 'many.json')
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name: 'twin' }, software: { os: 'tiny' } }))
  const made = await plant.cli(['create', '-f', file, '--count', String(COUNT), '--json'])
  expect(made.json.failures).toEqual([])
  expect(machinesOf(host.dir)).toHaveLength(COUNT)
  const facts = ['cat /sys/class/net/eth0/address', 'hostname', 'cat /etc/hostname', 'cat /etc/machine-id', 'head -c 32 /dev/urandom | od -An -tx1 | tr -d " \\n"', 'cat /proc/sys/kernel/random/uuid']
  const seen = await Promise.all(made.json.machines.map(async ({ vmid, attributes }: { vmid: string, attributes: Record<string, string> }) => {
    const said = await plant.cli(['exec', vmid, '--', facts.map((f) => `(${f}); echo`).join('; ') + '; date +%s'])
    const lines = said.stdout.split('\n').map((line) => line.trim()).filter((line) => line !== '')
    expect(lines[0]).toBe(attributes['Mac'])
    expect(lines[1]).toBe(attributes['HostName'])
    const guestMs = Number(lines[facts.length]) * 1000
    // A second for rounding, and what the command took.
    expect(Math.abs(guestMs - Date.now())).toBeLessThan(15_000)
    expect(lines).toHaveLength(facts.length + 1)
    return lines.slice(0, facts.length)
  }))
  for (const [i, fact] of facts.entries()) expect(new Set(seen.map((lines) => lines[i])).size, fact).toBe(COUNT)
  for (const { attributes } of made.json.machines) {
    expect(attributes.PrivateMemoryBytes).toBeGreaterThan(0)
    expect(attributes.OverlayBytes).toBeGreaterThan(0)
  }
  expect((await plant.cli(['collect', '--all', '--json'])).json.machines).toHaveLength(COUNT)
  expect(machinesOf(host.dir)).toEqual([])
})
