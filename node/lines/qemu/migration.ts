/** QEMU's migration, as suspending and publishing use it: of machines that are stopped, at full speed, over unix sockets. */
import { createWriteStream } from 'node:fs'
import { createServer } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { join } from 'node:path'
import { PlantError } from '../../../protocols/kit/index.ts'
import { shortPath } from '../../drivers/socket-path.ts'
import { MIGRATION_POLL_MS, MIGRATION_WITHIN_MS, TAKE_IN_POLL_MS } from './limits.ts'
import { asDiskFull } from './machine-dir.ts'
import type { Qmp } from './qmp.ts'
import type { Vmm } from './vmm.ts'

/** In a helper's directory. */
const STATE_SOCKET = 'state.sock'

/** The machine is stopped: there is no bandwidth to spare and no downtime to limit (qapi/migration.json). */
const AT_ONCE = { 'max-bandwidth': 64 * 1024 ** 3, 'downtime-limit': 2_000_000 }

/** Whether memory is sent, or is a file that both ends have (qapi/migration.json, x-ignore-shared). They must agree. */
export type MemoryGoes = 'sent' | 'by-file'

function capabilities (memory: MemoryGoes): Record<string, unknown> {
  return { capabilities: [{ capability: 'x-ignore-shared', state: memory === 'by-file' }] }
}

/** Sends a stopped machine to `uri`; resolves when it is through. Throws VM_STATE, VM_DIED or the signal's reason; then nothing is under way. */
export async function migrate (qmp: Qmp, uri: string, memory: MemoryGoes, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  await qmp.execute('migrate-set-capabilities', capabilities(memory), { signal })
  await qmp.execute('migrate-set-parameters', AT_ONCE, { signal })
  await qmp.execute('migrate', { uri })
  try {
    const deadlineMs = performance.now() + MIGRATION_WITHIN_MS
    for (;;) {
      signal?.throwIfAborted()
      const { status, problem } = await migrationOf(qmp)
      if (status === 'completed') return
      if (isOver(status)) throw new PlantError('VM_STATE', { problem: 'the state could not be sent', status, reason: problem })
      if (performance.now() > deadlineMs) throw new PlantError('VM_STATE', { problem: 'the state was not sent in time', waitedMs: MIGRATION_WITHIN_MS })
      await pause(MIGRATION_POLL_MS)
    }
  } catch (error) {
    await cancelMigration(qmp)
    throw error
  }
}

/** Ends a migration that is under way, and waits until it has ended; done at once when there is none, or no machine any more. */
export async function cancelMigration (qmp: Qmp): Promise<void> {
  try {
    while (!isOver((await migrationOf(qmp)).status)) {
      await qmp.execute('migrate_cancel')
      await pause(MIGRATION_POLL_MS)
    }
  } catch (error) {
    if (!(error instanceof PlantError) || error.code !== 'VM_DIED') throw error
  }
}

/** Has a machine that waits for its state take it from `uri`; returns when it listens there, or reads. Throws as `execute` does. */
export async function takeIn (qmp: Qmp, uri: string, memory: MemoryGoes, signal?: AbortSignal): Promise<void> {
  // Both at once: QEMU does them in order.
  await Promise.all([qmp.execute('migrate-set-capabilities', capabilities(memory), { signal }), qmp.execute('migrate-incoming', { uri }, { signal })])
}

/** Waits until a machine has taken in what it is being sent. Throws VM_DIED when it could not, as QEMU then ends. */
export async function takenIn (qmp: Qmp, signal?: AbortSignal): Promise<void> {
  while (await runState(qmp) === 'inmigrate') {
    signal?.throwIfAborted()
    await pause(TAKE_IN_POLL_MS)
  }
}

/** Writes the state of a stopped helper to a file: QEMU may not start programs, so it comes to us by a socket. Throws DISK_FULL and as `migrate` does. */
export async function writeState (vmm: Vmm, path: string, signal?: AbortSignal): Promise<void> {
  const written = Promise.withResolvers<void>()
  written.promise.catch(() => {}) // Told below.
  const server = createServer((socket) => {
    pipeline(socket, createWriteStream(path, { mode: 0o600 })).then(written.resolve, (error: unknown) => { written.reject(asDiskFull(path, error)) })
  })
  server.maxConnections = 1
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen(shortPath(join(vmm.dir, STATE_SOCKET)), resolve)
  })
  try {
    // When the file cannot be written the socket is closed and QEMU fails as well: the file's error is the one that explains.
    const sent = migrate(vmm.qmp, `unix:${STATE_SOCKET}`, 'by-file', signal)
    sent.catch(() => {})
    await Promise.race([sent, written.promise.then(async () => { await sent })])
    await written.promise
  } finally {
    server.close()
  }
}

/** QEMU's word for what the machine does: `running`, `paused`, `postmigrate`, `inmigrate` … (qapi/run-state.json). */
export async function runState (qmp: Qmp): Promise<string> {
  return textOf(await qmp.execute('query-status'), 'status')
}

async function migrationOf (qmp: Qmp): Promise<{ status: string, problem: string }> {
  const info = await qmp.execute('query-migrate')
  return { status: textOf(info, 'status') || 'none', problem: textOf(info, 'error-desc') }
}

function isOver (status: string): boolean {
  return status === 'none' || status === 'completed' || status === 'failed' || status === 'cancelled'
}

function textOf (value: unknown, field: string): string {
  const text = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined
  return typeof text === 'string' ? text : ''
}
