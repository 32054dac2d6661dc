import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { doctorText, inspectHost, type HostCheck } from '../../node/cli/doctor.ts'

let dir = ''
beforeAll(() => { dir = mkdtempSync(join(tmpdir(), 'plantmesh-doctor-')) })
afterAll(() => { rmSync(dir, { recursive: true, force: true }) })

const find = (checks: HostCheck[], name: HostCheck['name']): HostCheck | undefined => checks.find((check) => check.name === name)

test('the doctor says what this host can do, with one line for whatever is not well, and makes nothing', async () => {
  const dataDir = join(dir, 'not', 'yet')
  const checks = await inspectHost({ dataDir })
  expect(checks.map(({ name }) => name)).toEqual(['node', 'processors', 'memory', 'disk', 'data', 'vmm', 'accelerator', 'packages', 'network', 'multicast', 'tap', 'congestion'])
  expect(find(checks, 'vmm')).toMatchObject({ state: 'ok' })
  expect(find(checks, 'data')).toMatchObject({ state: 'ok', found: `${dataDir} will be made on first use` })
  for (const { state, mend } of checks) if (state !== 'ok') expect(mend).toMatch(/^[^\n]+$/)
  expect(existsSync(dataDir)).toBe(false)
})

test('a host without QEMU and apt is told so, and what brings them', async () => {
  const checks = await inspectHost({ dataDir: dir, env: { PATH: dir, PLANTMESH_CACHE: dir } })
  expect(find(checks, 'vmm')).toMatchObject({ state: 'missing' })
  expect(find(checks, 'vmm')?.mend).toContain('npm start -- --once')
  expect(find(checks, 'packages')).toMatchObject({ state: 'warn' })
  const text = doctorText(checks)
  expect(text).toContain('✗ vmm')
  expect(text).toContain('1 thing stops this host from running machines.')
})

test('a file where the data should be is told', async () => {
  const file = join(dir, 'file')
  writeFileSync(file, '')
  expect(find(await inspectHost({ dataDir: file, env: { PATH: dir, PLANTMESH_CACHE: dir } }), 'data')).toMatchObject({ state: 'missing' })
})
