/**
 * Machines that start before their golden machine has come whole (issue: lazy start): all but its disk is fetched first, the disk is served to them, and each is
 * switched to the file once it is here. One served disk for all machines of a golden machine.
 *
 *     fetching ──all but the disk──> startable ──serve──> served ──last piece──> whole ──each switched, or gone──> over
 *         '──fails──> over (whoever waits hears)            '──fails: said, and tried again; who reads waits
 */
import { PlantError, asPlantError, type Clock, type GoldenId, type Log } from '../../../protocols/kit/index.ts'
import { PIECE_BYTES, runsOf } from '../../../protocols/image/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { BlockSource } from '../../../storage/nbd/block-source.ts'
import { BootTrace, traced } from '../../../storage/nbd/boot-trace.ts'
import type { ArrivingFiles, ImageStore, LazyImage } from '../../../storage/warehouse/image-store.ts'
import type { Warehouse } from '../../../storage/warehouse/warehouse.ts'
import type { LiveMachine } from '../../lines/line.ts'
import { orAborted } from '../or-aborted.ts'
import type { BootOrders } from './boot-orders.ts'
import type { ImageFetcher, ImageProgress } from './fetcher.ts'

/** What a plant whose line can have disks served has besides. */
export interface LateDiskParts {
  /** Name of the file that may come late: the line's disk. */
  file: string
  /** And of the memory that machines resume from. */
  memoryFile: string
  /** Whether a machine of any size can be booted from its disk as it is. */
  boots (golden: Golden): boolean
  arrivedFiles: ArrivingFiles['arrivedFiles']
  /** Serves a disk until it is stopped; for one golden machine always at the same path. */
  serve (goldenId: GoldenId, source: BlockSource): Promise<ServedDisk>
  /** In which order machines read (`runsOf`), by golden machine and file; `get` gives what it finds, unchecked. Neither throws. */
  traces: { get (goldenId: GoldenId, file: string): Promise<unknown>, put (goldenId: GoldenId, file: string, runs: Array<[number, number]>): Promise<void> }
}

export interface ServedDisk { socketPath: string, stop (): Promise<void> }

export interface LateDisksComponents {
  clock: Clock
  log: Log
  store: Pick<ImageStore, 'lazy'>
  warehouse: Pick<Warehouse, 'verified'>
  fetcher: Pick<ImageFetcher, 'fetch' | 'urgent'>
  parts: LateDiskParts
  orders: Pick<BootOrders, 'ask' | 'known' | 'saw'>
}

/** What one machine has of a disk that comes late. */
export interface LateHold {
  readonly goldenId: GoldenId
  /** Has the disk served: the directory with the other files, and the socket. Throws what the warehouse does, or the signal's reason. */
  serve (signal: AbortSignal): Promise<{ goldenDir: string, socketPath: string }>
  /** The machine runs: from now on it is switched as soon as the disk is whole. */
  runs (machine: Pick<LiveMachine, 'vmId' | 'arrived' | 'diskSocket'>): void
  /** Resolves once all of the golden machine is here; throws the signal's reason, or INTERRUPTED. */
  whole (signal: AbortSignal): Promise<void>
  /** Nothing of the disk is needed any more. May be called twice. */
  release (): void
}

/** Between two attempts to fetch the rest, to render it or to switch a machine. */
const AGAIN_MS = 5_000

/** Golden machines of which it is known that what resumes look at was kept. */
const LOOKED_AT_MAX = 256

interface Disk {
  goldenId: GoldenId
  stop: AbortController
  startable: PromiseWithResolvers<void>
  /** The directory with all files. */
  whole: PromiseWithResolvers<string>
  followers: Set<(progress: ImageProgress) => void>
  holds: Set<Hold>
  served?: Promise<ServedDisk & { close: () => void }>
  /** Of a disk that was served from a machine's start on. */
  trace: BootTrace | undefined
}

/** See the head of this file. */
export class LateDisks {
  readonly #c: LateDisksComponents
  readonly #disks = new Map<GoldenId, Disk>()
  /** Ends under way: the next disk of a golden machine is served at the same path. */
  readonly #ends = new Map<GoldenId, Promise<void>>()
  readonly #lookedAt = new Set<GoldenId>()

  constructor (components: LateDisksComponents) { this.#c = components }

  /** The file that need not be here when a machine starts. */
  get file (): string { return this.#c.parts.file }

  /** Whether a machine of this size can be started while the disk is coming: as it was suspended, or, when it never was, booted. */
  startsAt ({ golden, resize }: { golden: Golden, resize: boolean }): boolean { return !resize || this.#c.parts.boots(golden) }

  /** Resolves when a machine can be started from it. Throws as ImageFetcher.fetch. */
  async startable (goldenId: GoldenId, onProgress: (progress: ImageProgress) => void, signal: AbortSignal): Promise<LateHold> {
    signal.throwIfAborted()
    const disk = this.#disks.get(goldenId) ?? this.#begin(goldenId, new BootTrace(PIECE_BYTES))
    const hold = this.#hold(disk)
    disk.followers.add(onProgress)
    try {
      await orAborted(disk.startable.promise, signal)
      return hold
    } catch (error) {
      hold.release()
      throw error
    } finally {
      disk.followers.delete(onProgress)
    }
  }

  /** For a machine that an earlier run of the plant started: its disk is served again when this resolves. */
  async again (goldenId: GoldenId, signal: AbortSignal): Promise<LateHold> {
    const hold = this.#hold(this.#disks.get(goldenId) ?? this.#begin(goldenId, undefined))
    try {
      hold.isFirm = true
      await orAborted(this.#serve(hold.disk), signal)
      return hold
    } catch (error) {
      hold.release()
      throw error
    }
  }

  /** A machine has been configured: its boot is over, and what it looked at of its memory by then is kept, once in a run for each golden machine. Never rejects. */
  async looked (goldenId: GoldenId, machine: Pick<LiveMachine, 'memoryTouched'>): Promise<void> {
    this.#disks.get(goldenId)?.trace?.end()
    if (this.#lookedAt.has(goldenId)) return
    this.#lookedAt.add(goldenId)
    for (const oldest of this.#lookedAt) if (this.#lookedAt.size > LOOKED_AT_MAX) this.#lookedAt.delete(oldest)
    const runs = runsOf(await machine.memoryTouched(PIECE_BYTES).catch(() => [])) // It has gone: the next one tells.
    if (runs.length > 0) await this.#c.parts.traces.put(goldenId, this.#c.parts.memoryFile, runs)
    else this.#lookedAt.delete(goldenId)
  }

  /** Machines wait where they read, for the next run of the plant. */
  async stop (): Promise<void> {
    for (const disk of this.#disks.values()) this.#end(disk)
    await Promise.all(this.#ends.values())
  }

  #begin (goldenId: GoldenId, trace: BootTrace | undefined): Disk {
    const disk: Disk = { goldenId, stop: new AbortController(), startable: Promise.withResolvers(), whole: Promise.withResolvers(), followers: new Set(), holds: new Set(), trace }
    for (const { promise } of [disk.startable, disk.whole]) promise.catch(() => {}) // Who waits hears.
    this.#disks.set(goldenId, disk)
    void this.#bring(disk)
    return disk
  }

  #hold (disk: Disk): Hold {
    const hold = new Hold(disk, this.#c, async () => this.#serve(disk), () => {
      disk.holds.delete(hold)
      if (disk.holds.size === 0) this.#end(disk)
    })
    disk.holds.add(hold)
    return hold
  }

  /** Fetches until all is here; once machines read from it a failure is no end. Never rejects. */
  async #bring (disk: Disk): Promise<void> {
    const { goldenId, stop: { signal } } = disk
    const { parts, orders, fetcher, warehouse, clock, log } = this.#c
    void orders.ask(goldenId) // Nothing waits for it: machines cannot start without the other files, which come first.
    const memory = { name: parts.memoryFile, runs: await parts.traces.get(goldenId, parts.memoryFile) }
    const late = { file: parts.file, runs: async () => orders.known(goldenId), memory, onStartable: () => { disk.startable.resolve() } }
    while (!signal.aborted) {
      try {
        await fetcher.fetch(goldenId, (progress) => { for (const follower of disk.followers) follower(progress) }, signal, late)
        disk.startable.resolve()
        disk.whole.resolve(await warehouse.verified(goldenId, signal))
        return
      } catch (error) {
        if (signal.aborted) return
        if (![...disk.holds].some(({ isFirm }) => isFirm)) {
          this.#end(disk, asPlantError(error))
          return
        }
        const { code, details } = asPlantError(error)
        log.warn({ goldenId, vmIds: [...disk.holds].flatMap(({ vmId }) => vmId ?? []), code, ...details }, 'the rest of a disk that machines run from does not come; they wait where they read, and it is asked for again')
      }
      await pause(clock, signal)
    }
  }

  async #serve (disk: Disk): Promise<ServedDisk> { return (disk.served ??= this.#begun(disk)) }

  async #begun (disk: Disk): Promise<ServedDisk & { close: () => void }> {
    const { store, parts } = this.#c
    let image: LazyImage | undefined
    try {
      await this.#ends.get(disk.goldenId)
      const lazy = image = await store.lazy(disk.goldenId)
      const bytes = lazy.manifest.files.find(({ name }) => name === parts.file)?.bytes ?? 0
      const source: BlockSource = { bytes, read: async (offset, length, signal) => this.#read(lazy, offset, length, signal) }
      return { ...await parts.serve(disk.goldenId, disk.trace === undefined ? source : traced(source, disk.trace)), close: () => { lazy.close() } }
    } catch (error) {
      image?.close()
      delete disk.served // The next machine tries anew.
      throw error
    }
  }

  /** What is missing, or was found altered, is waited for, however long: only its reader's going ends it, as an error would be the guest's. */
  async #read (image: LazyImage, offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> {
    const { fetcher, parts, clock, log } = this.#c
    for (;;) {
      try {
        return await image.read(parts.file, offset, length, async (piece, until) => fetcher.urgent(piece, until ?? signal), signal)
      } catch (error) {
        if (signal.aborted || !(error instanceof PlantError)) throw error
        log.warn({ goldenId: image.manifest.golden.goldenId, offset, code: error.code }, 'a part of a disk that machines run from cannot be read now; they wait for it')
      }
      await pause(clock, signal)
    }
  }

  #end (disk: Disk, reason: PlantError = new PlantError('INTERRUPTED')): void {
    if (this.#disks.get(disk.goldenId) !== disk) return
    this.#disks.delete(disk.goldenId)
    disk.stop.abort(reason)
    disk.startable.reject(reason)
    disk.whole.reject(reason)
    const ended = this.#ended(disk).catch((error: unknown) => { this.#c.log.error({ goldenId: disk.goldenId, error: String(error) }, 'a served disk could not be closed') })
    this.#ends.set(disk.goldenId, ended)
    void ended.then(() => { if (this.#ends.get(disk.goldenId) === ended) this.#ends.delete(disk.goldenId) })
  }

  async #ended ({ goldenId, served, trace }: Disk): Promise<void> {
    if (trace !== undefined) await this.#c.orders.saw(goldenId, runsOf(trace.order()), trace.isWhole)
    const disk = await served?.catch(() => {}) // Told to who asked for it.
    await disk?.stop()
    disk?.close()
  }
}

class Hold implements LateHold {
  readonly goldenId: GoldenId
  readonly disk: Disk
  vmId: LiveMachine['vmId'] | undefined
  /** There is a machine that reads from it. */
  isFirm = false
  readonly #c: Pick<LateDisksComponents, 'clock' | 'log' | 'parts'>
  readonly #serve: () => Promise<ServedDisk>
  readonly #onReleased: () => void
  readonly #over = new AbortController()

  constructor (disk: Disk, c: Pick<LateDisksComponents, 'clock' | 'log' | 'parts'>, serve: () => Promise<ServedDisk>, onReleased: () => void) {
    this.goldenId = disk.goldenId
    this.disk = disk
    this.#c = c
    this.#serve = serve
    this.#onReleased = onReleased
  }

  async serve (signal: AbortSignal): Promise<{ goldenDir: string, socketPath: string }> {
    const { socketPath } = await this.#serve()
    return { goldenDir: await this.#c.parts.arrivedFiles(this.goldenId, signal), socketPath }
  }

  runs (machine: Pick<LiveMachine, 'vmId' | 'arrived' | 'diskSocket'>): void {
    this.vmId = machine.vmId
    this.isFirm = true
    if (machine.diskSocket === undefined) this.release()
    else void this.#switch(machine)
  }

  async whole (signal: AbortSignal): Promise<void> { await orAborted(this.disk.whole.promise, signal) }

  release (): void {
    if (this.#over.signal.aborted) return
    this.#over.abort(new PlantError('INTERRUPTED'))
    this.#onReleased()
  }

  /** Never rejects. */
  async #switch (machine: Pick<LiveMachine, 'vmId' | 'arrived'>): Promise<void> {
    const { clock, log } = this.#c
    const { vmId } = machine
    const dir = await orAborted(this.disk.whole.promise, this.#over.signal).catch(() => {}) // It has gone, or the plant stops.
    while (dir !== undefined && !this.#over.signal.aborted && !this.disk.stop.signal.aborted) {
      try {
        await machine.arrived(`${dir}/${this.#c.parts.file}`)
        log.info({ vmId, goldenId: this.goldenId }, 'machine switched: its disk has come whole')
        this.release()
      } catch (error) {
        log.warn({ vmId, goldenId: this.goldenId, code: asPlantError(error).code }, 'a machine could not be switched to its disk that has come; it is tried again')
        await pause(clock, AbortSignal.any([this.#over.signal, this.disk.stop.signal]))
      }
    }
  }
}

/** Resolves after a while, or at once when it is called off. */
async function pause (clock: Clock, signal: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<void>()
  const cancel = clock.after(AGAIN_MS, over.resolve)
  await orAborted(over.promise, signal).catch(cancel) // Whoever pauses looks at the signal.
}
