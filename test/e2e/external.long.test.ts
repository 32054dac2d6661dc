/** A machine on the client's own LAN (VMPlants 3.3): its network is bridged there, and the LAN gives it its address. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { startProxy } from '../support/proxies.ts'
import { TestHost, until } from '../support/plants.ts'

const host = new TestHost()
afterAll(async () => { await host.cleanUp() })

test('a machine is given its address by the LAN that its client bridges its network to, and is reached there', async () => {
  const plant = await host.plant()
  const file = join(host.dir, 'order.json')
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name: 'desk' }, network: { name: 'office', addressing: 'external' }, software: { os: 'tiny' } }))
  const made = await plant.cli(['create', '-f', file, '--json'])
  expect(made.json, made.stderr).toMatchObject({ state: 'running', attributes: { Network: 'office' } })
  const { vmid, attributes } = made.json
  const proxy = await startProxy(plant, host.key('owner'), ['office', '--tap', 'pm0', '--bare', '--external'], (command) => ['unshare', '-rn', ...command])
  const inside = ['--preserve-credentials', '-U', '-n', '-t', String(proxy.process.pid)]
  const lan = spawn('nsenter', [...inside, process.execPath, join(import.meta.dirname, 'lan-child.ts'), 'pm0', attributes.Mac, '192.168.50.10'], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(lan.stdout, 'data')
    await until(async () => (await plant.cli(['exec', vmid, '--', 'ip -4 -o address show eth0'])).stdout.includes('192.168.50.10/24'), 90_000, 'the machine has an address of the LAN')
    await plant.cli(['exec', vmid, '--', 'mkdir -p /srv && echo on the LAN > /srv/index.html && httpd -p 80 -h /srv'])
    const { stdout } = await promisify(execFile)('nsenter', [...inside, process.execPath, '-e', 'fetch("http://192.168.50.10/").then(async (page) => console.log(await page.text()))'], { timeout: 60_000 })
    expect(stdout).toContain('on the LAN')
  } finally {
    lan.kill('SIGKILL')
    expect(await proxy.stop()).toBe(0)
  }
})
