/** ssh into a Debian machine without set-up: the owner's key, a granted one, and nobody else's. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadOrMakeKey } from '../../node/drivers/key-file.ts'
import { TestHost, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plant: TestPlant

beforeAll(async () => { plant = await host.plant({ args: ['--capacity', 'memoryMiB=4096,cpus=16,diskMiB=20000'] }) })
afterAll(async () => { await host.cleanUp() })

test('plantmesh ssh runs commands in a Debian machine for who may, with the machine\'s own host key', async () => {
  expect((await plant.cli(['golden', 'build', 'debian', '--name', 'base', '--json'])).json).toMatchObject({ name: 'base' })
  expect((await plant.cli(['domain', 'create', 'lab.example', '--json'])).status).toBe(0)
  const file = join(host.dir, 'debian.json')
  writeFileSync(file, JSON.stringify({
    apiVersion: 'plantmesh/v1', kind: 'Machine', domain: 'lab.example', network: { name: 'lan' }, hardware: { cpus: 1, memoryMiB: 512, diskMiB: 2048 }, software: { os: 'debian' }
  }))
  const made = await plant.cli(['create', '-f', file, '--json'])
  expect(made.json).toMatchObject({ state: 'running' })
  const { vmid, attributes } = made.json
  const said = await plant.cli(['ssh', vmid, '--', 'echo', 'two words', '$HOME; hostname; exit 7'])
  expect(said.stdout).toContain('two words $HOME; hostname; exit 7')
  const status = await plant.cli(['ssh', vmid, '--', 'hostname; id -u; exit 7'])
  expect([status.status, status.stdout, status.stderr]).toEqual([7, `${attributes.HostName}\n0\n`, ''])
  expect((await plant.cli(['exec', vmid, '--', 'cat', '/root/.ssh/authorized_keys'])).stdout.trim().split('\n')).toHaveLength(1)

  // Somebody else is let in by a grant, for as long as a session takes to begin, and by nothing else.
  const other = host.key('other')
  expect((await plant.cli(['ssh', vmid, '--json', '--', 'true'], { key: other })).json).toMatchObject({ error: { code: 'NOT_AUTHORISED' } })
  expect((await plant.cli(['domain', 'grant', 'lab.example', loadOrMakeKey(other).keyId, '--json'])).status).toBe(0)
  const granted = await plant.cli(['ssh', vmid, '--', 'id -u; grep -c expiry-time /root/.ssh/authorized_keys'], { key: other })
  expect([granted.status, granted.stdout]).toEqual([0, '0\n1\n'])

  // A machine that has another host key than its classad says is not spoken to.
  await plant.cli(['exec', vmid, '--timeout', '60000', '--', 'rm /etc/ssh/ssh_host_* && ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key && systemctl restart ssh'])
  const changed = await plant.cli(['ssh', vmid, '--', 'true'])
  expect(changed.status).toBe(255)
  expect(changed.stderr).toContain('Host key verification failed')
})
