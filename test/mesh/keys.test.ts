import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { loadKey, loadOrMakeKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { publicKeyOf } from '../../protocols/kit/index.ts'
import { quietLog } from '../support/mesh.ts'

const dir = mkdtempSync(join(tmpdir(), 'plantmesh-keys-'))
afterAll(() => { rmSync(dir, { recursive: true }) })

test('a key is made once, for its owner only, and is the same when read again', () => {
  const path = join(dir, 'new', 'deep', 'key')
  const key = loadOrMakeKey(path)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(statSync(join(dir, 'new')).mode & 0o777).toBe(0o700)
  expect(readdirSync(join(dir, 'new', 'deep'))).toEqual(['key'])
  expect(readFileSync(path, 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----/)
  expect(loadOrMakeKey(path).keyId).toBe(key.keyId)
  expect(publicKeyOf(key.keyId)).toEqual(key.publicKey)
})

test('eight processes that make the same key at once end with one', async () => {
  const path = join(dir, 'raced')
  const script = `import { loadOrMakeKey } from ${JSON.stringify(join(import.meta.dirname, '../../node/drivers/key-file.ts'))}; console.log(loadOrMakeKey(${JSON.stringify(path)}).keyId)`
  const { spawn } = await import('node:child_process')
  const ids = await Promise.all(Array.from({ length: 8 }, async () => new Promise<string>((resolve, reject) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', (piece: Buffer) => { out += piece.toString() })
    child.on('error', reject)
    child.on('exit', () => { resolve(out.trim()) })
  })))
  expect(new Set(ids)).toEqual(new Set([loadKey(path)?.keyId]))
})

test('a signature is verified, and what was altered is not', () => {
  const key = loadOrMakeKey(join(dir, 'signing'))
  const crypto = new NodeCrypto()
  const bytes = Buffer.from('an order')
  const signature = key.sign(bytes)
  expect(crypto.verify(key.publicKey, bytes, signature)).toBe(true)
  expect(crypto.verify(key.publicKey, Buffer.from('an Order'), signature)).toBe(false)
  expect(crypto.verify(loadOrMakeKey(join(dir, 'other')).publicKey, bytes, signature)).toBe(false)
  expect(crypto.verify(new Uint8Array(32).fill(255), bytes, signature)).toBe(false)
  expect(crypto.verify(key.publicKey.subarray(1), bytes, signature)).toBe(false)
  expect(crypto.verify(key.publicKey, bytes, signature.subarray(1))).toBe(false)
  expect(crypto.sha256(new Uint8Array(0))[0]).toBe(0xe3)
})

test('what is no key is refused, and a key that others can read is warned of', () => {
  writeFileSync(join(dir, 'rubbish'), 'rubbish')
  expect(() => loadOrMakeKey(join(dir, 'rubbish'))).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  expect(() => loadOrMakeKey(dir)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  expect(loadKey(join(dir, 'none'))).toBeUndefined()
  const open = join(dir, 'open')
  loadOrMakeKey(open)
  chmodSync(open, 0o644)
  const warnings: string[] = []
  loadKey(open, { ...quietLog, warn: (_fields, message) => { warnings.push(message) } })
  expect(warnings).toEqual([expect.stringContaining('chmod 600')])
})

test('a key that openssl made is taken', () => {
  const path = join(dir, 'openssl')
  try {
    execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', path], { stdio: 'ignore' })
  } catch {
    // No openssl here: the same form, as it wrote it once.
    writeFileSync(path, '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n')
  }
  expect(loadKey(path)?.keyId).toMatch(/^12D3Koo/)
})
