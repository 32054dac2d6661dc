import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, describe, expect, test } from 'vitest'
import type { ClaimStore } from '../../protocols/claim/index.ts'
import type { GrantStore, SeenCalls } from '../../protocols/member/index.ts'
import type { GoldenId, KeyId, PeerId } from '../../protocols/kit/index.ts'
import { COPIES_MAX, ENDED_MAX, ENDED_PER_OWNER_MAX, NONCES_PER_CALLER_MAX, ORDERS_KEPT_MAX } from '../../storage/drivers/records-limits.ts'
import { lockData } from '../../storage/drivers/data-lock.ts'
import { MIGRATIONS } from '../../storage/drivers/records-schema.ts'
import { openRecords } from '../../storage/drivers/sqlite-records.ts'
import type { Records } from '../../storage/records/records.ts'
import { FakeStandingClock, child, machineRecord, tempDir } from './support.ts'

let path = ''
let clock = new FakeStandingClock()
let records: Records
beforeEach(async () => {
  path = join(await tempDir(), 'records', 'plant.sqlite')
  clock = new FakeStandingClock()
  records = openRecords(path, { clock })
  return () => { records.close() }
})
const reopen = (): void => {
  records.close()
  records = openRecords(path, { clock })
}
const owner = 'owner' as KeyId

describe('records', () => {
  test('keep the plants that were known, the last word replacing the one before', () => {
    expect(records.knownPlants()).toEqual({ peers: [], atMs: 0 })
    records.saveKnownPlants({ peers: ['a', 'b'] as PeerId[], atMs: 1 })
    records.saveKnownPlants({ peers: ['c'] as PeerId[], atMs: 2 })
    reopen()
    expect(records.knownPlants()).toEqual({ peers: ['c'], atMs: 2 })
  })

  test('keep what was fetched from others until it is dropped, the later time of one, and no more than their bound', () => {
    const id = (n: number): GoldenId => n.toString(16).padStart(32, '0') as GoldenId
    records.noteCopy(id(1), 5)
    records.noteCopy(id(2), 6)
    records.noteCopy(id(1), 7)
    records.dropCopy(id(2))
    reopen()
    expect(records.copies()).toEqual([{ goldenId: id(1), atMs: 7 }])
    for (let n = 0; n < COPIES_MAX; n++) records.noteCopy(id(1_000 + n), 100 + n)
    expect(records.copies()).toHaveLength(COPIES_MAX)
    expect(records.copies().some(({ goldenId }) => goldenId === id(1))).toBe(false)
  })

  test('keep a machine whole when they are opened again', () => {
    const full = machineRecord(1, { plan: { goldenId: 'g', goldenName: 'tiny', actionsDone: ['a'], actionsRun: [] }, error: { code: 'VM_DIED', message: 'm', details: { a: [1, null] }, hint: '' } })
    records.putMachine(full)
    records.putMachine(machineRecord(2, { state: 'failed' }))
    records.putMachine({ ...machineRecord(3), state: 'creating' })
    records.putMachine({ ...machineRecord(3), state: 'collected' })
    reopen()
    expect(records.machine(full.vmId)).toEqual(full)
    expect(records.machines().map((m) => m.state)).toEqual(['running', 'failed', 'collected'])
    expect(records.machines(['failed', 'collected']).map((m) => m.vmId)).toEqual([machineRecord(2).vmId, machineRecord(3).vmId])
    expect(records.machine(machineRecord(9).vmId)).toBeUndefined()
  })

  test('forget only what is over and old', () => {
    for (const [n, state] of (['running', 'failed', 'collected', 'creating', 'collected'] as const).entries()) records.putMachine(machineRecord(n, { state }))
    expect(records.forget(4)).toEqual([machineRecord(1, { state: 'failed' }), machineRecord(2, { state: 'collected' })])
    expect(records.machines().map((m) => m.changedAtMs)).toEqual([0, 3, 4])
    expect(records.forget(4)).toEqual([])
  })

  test('forget the oldest ended machines of an owner that has too many, and then of all', () => {
    const fill = (of: string, from: number, count: number): string => `WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${from + count - 1})
      INSERT INTO machines SELECT printf('%032x', i), 'failed', i, json_set('${JSON.stringify(machineRecord(1, { state: 'failed' }))}', '$.vmId', printf('%032x', i), '$.owner', '${of}'), '${of}', 'default', 'k' FROM n`
    const db = new DatabaseSync(path)
    const owners = Array.from({ length: ENDED_MAX / ENDED_PER_OWNER_MAX }, (_, i) => `owner-${i}`)
    for (const [n, of] of owners.entries()) db.exec(fill(of, n * 10_000, ENDED_PER_OWNER_MAX))
    db.exec(fill('greedy', 500_000, ENDED_PER_OWNER_MAX + 3))
    db.exec(fill('live', 900_000, 1).replace("'failed', i", "'running', i"))
    db.close()
    const forgotten = records.forget(0).map((m) => Number.parseInt(m.vmId, 16))
    // The greedy one's own oldest go first, then the oldest of all.
    expect(forgotten.slice(0, 3)).toEqual([500_000, 500_001, 500_002])
    expect(new Set(forgotten.slice(3))).toEqual(new Set(Array.from({ length: ENDED_PER_OWNER_MAX }, (_, i) => i)))
    expect(records.machines(['failed', 'collected'])).toHaveLength(ENDED_MAX)
    expect(records.machines(['running'])).toHaveLength(1)
  })

  test('keep a signed order until its machine has ended, and read machines without it', () => {
    const order = new Uint8Array(1_000_000).fill(7)
    for (let n = 0; n < 100; n++) records.putMachine(machineRecord(n), order)
    records.putMachine(machineRecord(1, { attributes: { Uid: '1' } }))
    reopen()
    expect(records.signedOrder(machineRecord(1).vmId)).toEqual(order)
    records.putMachine(machineRecord(1, { state: 'failed' }))
    records.putMachine(machineRecord(2, { state: 'collected' }))
    records.dropMachine(machineRecord(3).vmId)
    for (const n of [1, 2, 3, 200]) expect(records.signedOrder(machineRecord(n).vmId)).toBeUndefined()
    // Of a hundred orders of a megabyte nothing comes with the machines.
    expect(JSON.stringify(records.machines()).length).toBeLessThan(100_000)
  })

  test('tell whose machines there are, and which domains have live ones', () => {
    const [a, b] = ['a' as KeyId, 'b' as KeyId]
    records.putMachine(machineRecord(1, { owner: a, domain: 'd', domainKey: a }))
    records.putMachine(machineRecord(2, { owner: a, domain: 'd', domainKey: a, state: 'collected' }))
    records.putMachine(machineRecord(3, { owner: b, domain: 'd', domainKey: b, state: 'failed' }))
    expect(records.owners()).toEqual([{ owner: a, domain: 'd', domainKey: a }, { owner: b, domain: 'd', domainKey: b }])
    expect(records.machinesOf({ owner: a, domain: 'd', domainKey: a }, ['running', 'failed']).map((m) => m.changedAtMs)).toEqual([1])
    expect([records.hasLive('d', a), records.hasLive('d', b), records.hasLive('e', a)]).toEqual([true, false, false])
  })

  test('take over what an earlier version wrote', () => {
    records.close()
    const old = `${path}.old`
    const db = new DatabaseSync(old)
    db.exec(`${MIGRATIONS[0]} PRAGMA user_version = 1`)
    const { orderSecret: _none, handOvers: _nor, ...record } = machineRecord(1)
    for (const [vmId, state] of [[record.vmId, 'running'], [machineRecord(2).vmId, 'collected']] as const) {
      db.prepare('INSERT INTO machines VALUES (?, ?, ?, ?, ?)').run(vmId, state, 1, JSON.stringify({ ...record, vmId, state }), Uint8Array.of(9))
    }
    db.prepare('INSERT INTO nonces VALUES (?, ?)').run('owner/1', 5_000)
    db.close()
    records = openRecords(old, { clock })
    expect(records.machine(record.vmId)).toEqual({ ...record, orderSecret: '', handOvers: [] })
    expect(records.signedOrder(record.vmId)).toEqual(Uint8Array.of(9))
    expect(records.signedOrder(machineRecord(2).vmId)).toBeUndefined()
    expect(records.owners()).toEqual([{ owner, domain: 'default', domainKey: owner }])
    expect(records.seenCall({ caller: owner, nonce: 'owner/1' }, 5_000)).toBe(false)
  })

  test('keep the latest decisions when there are too many, whatever the clock says', () => {
    const db = new DatabaseSync(path)
    // Filled behind its back in one transaction: as many durable writes would take a minute.
    db.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ORDERS_KEPT_MAX}) INSERT INTO decisions SELECT 'owner', 'o' || i, 5, i, '{}' FROM n`)
    db.close()
    records.putDecision({ orderId: 'o1', owner, atMs: 2, decision: { again: true } })
    expect(records.decision(owner, 'o2')).toBeDefined()
    records.putDecision({ orderId: 'new', owner, atMs: 1, decision: { bids: [1] } })
    expect(records.decision(owner, 'new')).toEqual({ orderId: 'new', owner, atMs: 1, decision: { bids: [1] } })
    expect(records.decision(owner, 'o1')?.decision).toEqual({ again: true })
    expect(records.decision(owner, 'o2')).toBeUndefined()
    expect(records.decision('other' as KeyId, 'o3')).toBeUndefined()
  })

  test('let a nonce through once until it expires, also over a restart', () => {
    const call = { caller: owner, nonce: 'n' }
    expect(records.seenCall(call, 2_000)).toBe(true)
    expect(records.seenCall(call, 2_000)).toBe(false)
    reopen()
    expect(records.seenCall(call, 2_000)).toBe(false)
    clock.ms = 2_000
    expect(records.seenCall(call, 3_000)).toBe(true)
  })

  test('have room for the calls of others when one key has used up its share', () => {
    const greedy = 'greedy' as KeyId
    records.close()
    const db = new DatabaseSync(path)
    db.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${NONCES_PER_CALLER_MAX}) INSERT INTO nonces SELECT 'greedy/' || i, 2000, 'greedy' FROM n`)
    db.close()
    records = openRecords(path, { clock })
    expect(() => records.seenCall({ caller: greedy, nonce: 'greedy/one more' }, 3_000)).toThrow('LIMIT')
    expect(records.seenCall({ caller: greedy, nonce: 'greedy/1' }, 3_000)).toBe(false)
    expect(records.seenCall({ caller: owner, nonce: 'owner/1' }, 3_000)).toBe(true)
    clock.ms = 2_000
    expect(records.seenCall({ caller: greedy, nonce: 'greedy/one more' }, 3_000)).toBe(true)
  })

  test('keep one grant of a triple, and claims as last saved', () => {
    const grant = { domain: 'd', domainKey: owner, grantee: 'g' as KeyId, signed: Uint8Array.of(1) }
    // What the protocols ask of their stores, records give.
    const stores: ClaimStore & GrantStore & SeenCalls = records
    stores.putGrant(grant)
    records.putGrant({ ...grant, signed: Uint8Array.of(2) })
    records.putGrant({ ...grant, domain: 'e' })
    const [a, b] = [machineRecord(1).vmId, machineRecord(2).vmId]
    records.saveClaims([{ vmId: a, entry: Uint8Array.of(1) }, { vmId: b, entry: Uint8Array.of(2) }])
    records.saveClaims([{ vmId: a, entry: undefined }, { vmId: b, entry: Uint8Array.of(3) }])
    reopen()
    expect(records.grants()).toEqual([{ ...grant, signed: Uint8Array.of(2) }, { ...grant, domain: 'e' }])
    expect(records.claims()).toEqual([{ vmId: b, entry: Uint8Array.of(3) }])
  })

  test('say that they are broken when the file is rubbish, damaged inside, or of a newer program', async () => {
    for (let n = 0; n < 200; n++) records.putMachine(machineRecord(n))
    records.close()
    const whole = await readFile(path)
    const broken = whole.slice()
    broken.fill(0x5a, 4096, 16_384)
    for (const bytes of [Buffer.alloc(8192, 'x'), broken]) {
      await writeFile(path, bytes)
      expect(() => openRecords(path, { clock })).toThrow('RECORDS_BROKEN')
    }
    await writeFile(path, whole)
    const db = new DatabaseSync(path)
    db.exec('PRAGMA user_version = 999')
    db.close()
    expect(() => openRecords(path, { clock })).toThrow('RECORDS_BROKEN')
    expect(() => openRecords('/dev/null/records', { clock })).toThrow('RECORDS_BROKEN')
  })

  test('are their owner\'s alone in a directory that is open to all, also when an earlier version left them open', async () => {
    const dir = join(await tempDir(), 'open')
    const umaskBefore = process.umask(0o022)
    try {
      mkdirSync(dir, { mode: 0o755 })
      const file = join(dir, 'records.sqlite')
      writeFileSync(file, '', { mode: 0o644 })
      writeFileSync(join(dir, 'plant.lock'), '', { mode: 0o644 })
      const release = lockData(dir)
      const open = openRecords(file, { clock })
      open.putMachine(machineRecord(1), Uint8Array.of(1))
      const modes = (): string[] => readdirSync(dir).map((name) => `${name} ${(statSync(join(dir, name)).mode & 0o777).toString(8)}`)
      expect(modes()).toEqual(expect.arrayContaining(['records.sqlite 600', 'records.sqlite-wal 600', 'records.sqlite-shm 600', 'plant.lock 600', 'plant.pid 600']))
      expect(modes().filter((text) => !text.endsWith(' 600'))).toEqual([])
      open.close()
      release()
    } finally {
      process.umask(umaskBefore)
    }
  })

  test('say that the disk is full and keep what they had', async () => {
    const full = child('records-full.ts', [`${path}.full`], { fileBlocksMax: 1_024 })
    const lines: string[] = []
    for await (const line of full.lines) lines.push(line)
    expect(await full.exited).toBe(0)
    expect(lines).toEqual(['DISK_FULL', 'kept'])
  })
})

describe('records of a process that is killed', () => {
  const seed = Number(process.env['PLANTMESH_TEST_SEED'] ?? Date.now() % 1_000_000)
  const rounds = 4

  test(`hold all that was acknowledged (seed ${seed})`, async () => {
    let state = seed
    // A linear congruential generator (Numerical Recipes) is enough to pick points.
    const below = (max: number): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % max
    for (let round = 0; round < rounds; round++) {
      records.close()
      const file = `${path}.${round}`
      const writer = child('records-writer.ts', [file])
      const killAfter = 1 + below(120)
      let acknowledged = 0
      for await (const line of writer.lines) {
        acknowledged = Number(line)
        if (acknowledged >= killAfter) writer.process.kill('SIGKILL')
      }
      await writer.exited
      expect(acknowledged, `seed ${seed}`).toBeGreaterThanOrEqual(killAfter)
      expect(existsSync(file)).toBe(true)
      records = openRecords(file, { clock })
      for (let n = 1; n <= acknowledged; n++) expect(records.machine(machineRecord(n).vmId), `seed ${seed}, ${n} of ${acknowledged}`).toEqual(machineRecord(n))
      expect(records.claims().length, `seed ${seed}`).toBeGreaterThanOrEqual(acknowledged)
      expect(records.seenCall({ caller: 'caller' as KeyId, nonce: `nonce-${acknowledged}` }, 1e12), `seed ${seed}`).toBe(false)
    }
  })

  test('open when the log was cut in the middle of a write', async () => {
    records.putMachine(machineRecord(1))
    records.putMachine(machineRecord(2, { name: 'x'.repeat(20_000) }))
    const [main, wal] = [await readFile(path), await readFile(`${path}-wal`)]
    const copy = `${path}.copy`
    await writeFile(copy, main)
    const file = await open(`${copy}-wal`, 'w')
    await file.write(wal, 0, wal.length - 5_000)
    await file.close()
    const cut = openRecords(copy, { clock })
    expect(cut.machine(machineRecord(1).vmId)).toEqual(machineRecord(1))
    cut.close()
  })
})
