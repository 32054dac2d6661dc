/**
 * Starting a machine before its image has arrived (issue: Starting before it has arrived), over a link of 100 Mbit/s: time until the guest answers a
 * command and bytes fetched by then, of all files, for a cold boot from a disk-only template and for a resume, against the image being here and against fetching all
 * first; with the order of reads recorded here, told by another plant (as it goes over the wire and is checked), or told by one that lies. `node lazy.bench.ts [--json] [DIR DISK-MIB MEMORY-MIB [ROUNDS]]` takes kernel, initrd and disk.qcow2 (and ram and state) from DIR, else tiny.
 */
import { link, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { TRACE_PIECES_MAX, decodeRuns, encodeRuns, orderOf, runsOf } from '../../protocols/image/index.ts'
import { BootTrace, traced } from '../../storage/nbd/boot-trace.ts'
import type { BlockSource } from '../../storage/nbd/block-source.ts'
import { nbdServer } from '../../storage/drivers/nbd-server.ts'
import { prefetch } from '../../storage/nbd/prefetch.ts'
import type { LiveMachine, ProductionLine } from '../../node/lines/line.ts'
import { sh } from '../contracts/shell.ts'
import { fakeLog } from '../support/fake-log.ts'
import { diskOnly, fileSource } from '../support/lazy.ts'
import { TINY, goldenOf, newMac, newVmId, tinyGolden } from '../support/tiny.ts'
import { PIECE_BYTES, SlowLink } from './slow-link.ts'

const LINK = { bitsPerS: 100e6, delayMs: 1.5 }
/** Of what is fetched ahead: the link is never idle, and a miss waits for one piece at most. */
const AHEAD_PARALLEL = 4
const MIB = 2 ** 20

const [fromDir, diskMiB = String(TINY.diskMiB), memoryMiB = String(TINY.memoryMiB), rounds = '3'] = process.argv.slice(2).filter((arg) => arg !== '--json')
const ROUNDS = Number(rounds)
const asJson = process.argv.includes('--json')
const hardware = { cpus: 1, memoryMiB: Number(memoryMiB), diskMiB: Number(diskMiB) }

interface Subject { line: ProductionLine, dir: string, lazyDir: string, socketPath: string, disk: BlockSource }
/** What a machine cannot start without: kernel and initrd, and memory and state of one that is suspended. */
interface Start { bytes: number, ms: number }
interface Outcome { ms: number, fetchedBytes: number, misses: number, order: number[] }

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

/** A golden machine of which only the disk is said to be, or all. */
async function clone ({ line, socketPath }: Subject, dir: string, how: { booted: boolean, lazy: boolean }): Promise<LiveMachine> {
  const golden = goldenOf(line, 'bench', hardware)
  const request = { vmId: newVmId(), golden: how.booted ? diskOnly(golden) : golden, goldenDir: dir, mac: newMac(), diskMiB: hardware.diskMiB }
  const machine = await line.clone(how.lazy ? { ...request, disk: { socketPath } } : request)
  await sh(machine, 'true')
  return machine
}

/** With the whole image here. */
async function local (subject: Subject, booted: boolean): Promise<number> {
  const sinceMs = performance.now()
  const machine = await clone(subject, subject.dir, { booted, lazy: false })
  const ms = performance.now() - sinceMs
  await machine.destroy()
  return ms
}

/** What another plant tells of an order: as a plant takes it off the wire, and how long that is on the link besides all else. */
function toldBy (order: number[], pieces: number): { order: number[], ms: number } {
  const bytes = encodeRuns(runsOf(order)) ?? new Uint8Array(0)
  return { order: orderOf(decodeRuns(bytes, pieces), pieces) ?? [], ms: 2 * LINK.delayMs + bytes.length * 8 * 1000 / LINK.bitsPerS }
}

/** With nothing here: what it cannot start without comes first, then what `order` names of the disk. */
async function lazily (subject: Subject, booted: boolean, start: Start, order: number[], toldMs = 0): Promise<Outcome> {
  const wire = new SlowLink({ source: subject.disk, ...LINK })
  const trace = new BootTrace(PIECE_BYTES)
  const server = await nbdServer({ socketPath: subject.socketPath, source: traced(wire.source, trace), log: fakeLog() })
  const stop = new AbortController()
  const sinceMs = performance.now()
  await pause(start.ms + LINK.delayMs + toldMs)
  const ahead = prefetch({ order, parallel: AHEAD_PARALLEL, fetch: async (index) => await wire.fetch(index, false), signal: stop.signal })
  const machine = await clone(subject, subject.lazyDir, { booted, lazy: true })
  const outcome = { ms: performance.now() - sinceMs, fetchedBytes: start.bytes + wire.fetchedBytes, misses: wire.misses, order: trace.order() }
  stop.abort()
  await ahead
  await machine.destroy()
  await server.stop()
  return outcome
}

/** Fetching everything of a file over the link: its bytes and how long they take. */
async function wholeOf (source: BlockSource): Promise<{ bytes: number, ms: number }> {
  let bytes = 0
  for (let offset = 0; offset < source.bytes; offset += PIECE_BYTES) {
    const piece = await source.read(offset, Math.min(PIECE_BYTES, source.bytes - offset), new AbortController().signal)
    if (piece.some((byte) => byte !== 0)) bytes += PIECE_BYTES
  }
  return { bytes, ms: bytes * 8 * 1000 / LINK.bitsPerS }
}

/** Of several files, without what is zero. */
async function startOf (dir: string, names: string[]): Promise<Start> {
  let bytes = 0
  for (const name of names) {
    const file = await fileSource(join(dir, name))
    bytes += (await wholeOf(file)).bytes
    await file.close()
  }
  return { bytes, ms: bytes * 8 * 1000 / LINK.bitsPerS }
}

async function starts (subject: Subject, booted: boolean): Promise<Record<string, unknown>> {
  const start = await startOf(subject.dir, ['kernel', 'initrd', ...(booted ? [] : ['ram', 'state'])])
  const disk = await wholeOf(subject.disk)
  const all = { bytes: start.bytes + disk.bytes, ms: start.ms + disk.ms }
  const locals: number[] = []
  const bare: Outcome[] = []
  const ahead: Outcome[] = []
  const asked: Outcome[] = []
  const lied: Outcome[] = []
  const pieces = Math.ceil(subject.disk.bytes / PIECE_BYTES)
  const backwards = toldBy(Array.from({ length: Math.min(pieces, TRACE_PIECES_MAX) }, (_, i) => pieces - 1 - i), pieces)
  let order: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    locals.push(await local(subject, booted))
    bare.push(await lazily(subject, booted, start, []))
    order = bare[0]?.order ?? order
    ahead.push(await lazily(subject, booted, start, order))
    const other = toldBy(order, pieces)
    asked.push(await lazily(subject, booted, start, other.order, other.ms))
    lied.push(await lazily(subject, booted, start, backwards.order, backwards.ms))
  }
  const here = median(locals)
  const told = (name: string, outcomes: Outcome[]): Record<string, number> => {
    const [ms, bytes, misses] = [median(outcomes.map((one) => one.ms)), median(outcomes.map((one) => one.fetchedBytes)), median(outcomes.map((one) => one.misses))]
    if (!asJson) console.log(`  ${name.padEnd(36)} ${ms.toFixed(0).padStart(6)} ms   / local = ${(ms / here).toFixed(2)}${booted ? ' (aim: at most 1.5)' : ''}   fetched ${(bytes / MIB).toFixed(1)} of ${(all.bytes / MIB).toFixed(0)} MiB = ${percent(bytes / all.bytes)}${booted ? ' (aim: under 15 %)' : ''}   misses ${misses}`)
    return { ms, ratio: ms / here, fetchedBytes: bytes, share: bytes / all.bytes, misses }
  }
  if (!asJson) {
    console.log(`${booted ? 'cold boot from a disk-only template' : 'resume of a suspended machine'} (median of ${ROUNDS}, ${subject.line.accelerator}, link 100 Mbit/s + ${LINK.delayMs} ms)`)
    console.log(`  ${'needed before it starts'.padEnd(36)} ${start.ms.toFixed(0).padStart(6)} ms   on the link: ${(start.bytes / MIB).toFixed(1)} MiB of ${booted ? 'kernel and initrd' : 'kernel, initrd, memory and state'}`)
    console.log(`  ${'image here'.padEnd(36)} ${here.toFixed(0).padStart(6)} ms`)
    console.log(`  ${'all fetched first'.padEnd(36)} ${(all.ms + here).toFixed(0).padStart(6)} ms   / local = ${((all.ms + here) / here).toFixed(2)}   (computed: ${all.ms.toFixed(0)} ms on the link)`)
  }
  return {
    localMs: here, allFirstMs: all.ms + here, startBytes: start.bytes, diskBytes: disk.bytes, bare: told('disk served, nothing recorded', bare), recorded: told('disk served, recorded order ahead', ahead),
    told: told('disk served, order of another plant', asked), lied: told('disk served, all told backwards', lied)
  }
}

/** What a resume looks at of its memory file: it must be here before; this much of it would do. */
async function memory (subject: Subject): Promise<Record<string, unknown>> {
  const file = await fileSource(join(subject.dir, 'ram'))
  const all = await wholeOf(file)
  await file.close()
  const machine = await clone(subject, subject.dir, { booted: false, lazy: false })
  const atAnswer = (await machine.memoryTouched(PIECE_BYTES)).length * PIECE_BYTES
  await machine.identify({ mac: machine.mac, hostName: 'bench', machineId: machine.vmId, seed: new Uint8Array(32).fill(7) })
  const identified = (await machine.memoryTouched(PIECE_BYTES)).length * PIECE_BYTES
  await machine.destroy()
  if (!asJson) {
    console.log('memory of a suspended machine')
    for (const [what, bytes] of [['all pieces that are not zero', all.bytes], ['looked at until the guest answered', atAnswer], ['looked at until it had its identity', identified]] as const) {
      console.log(`  ${what.padEnd(36)} ${(bytes / MIB).toFixed(1).padStart(6)} MiB = ${percent(bytes / all.bytes)}   ${(bytes * 8 * 1000 / LINK.bitsPerS).toFixed(0)} ms on the link`)
    }
  }
  return { wholeBytes: all.bytes, atAnswerBytes: atAnswer, identifiedBytes: identified }
}

async function main (): Promise<void> {
  const tiny = await tinyGolden()
  const dir = fromDir ?? tiny.goldenDir
  const disk = await fileSource(join(dir, 'disk.qcow2'))
  const lazyDir = await mkdtemp(join(fromDir ?? tmpdir(), 'plantmesh-lazy-'))
  try {
    const suspended = await stat(join(dir, 'state')).then(() => true, () => false)
    for (const name of ['kernel', 'initrd', ...(suspended ? ['ram', 'state'] : [])]) await link(join(dir, name), join(lazyDir, name))
    const subject = { line: tiny.line, dir, lazyDir, socketPath: join(tiny.dataDir, 'disk.sock'), disk }
    const figures = { cold: await starts(subject, true), ...(suspended && { resumed: await starts(subject, false), memory: await memory(subject) }) }
    if (asJson) console.log(JSON.stringify(figures))
  } finally {
    await tiny.clean()
    await disk.close()
    await rm(lazyDir, { recursive: true, force: true })
  }
}

await main()
process.exit(0) // Watchers of machines that are gone must not hold the process.
