/** Copy-on-write disks of clones: an empty qcow2, written from a prepared one (VMM.md, Clone). What lies behind it is on the command line. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import { runTool } from '../../setup/run-tool.ts'
import { onDisk } from './machine-dir.ts'

/** Prepared overlays held, one for each size of disk; each is some 200 KB. */
const PREPARED_MAX = 16

export class Overlays {
  readonly #qemu: QemuCommands
  readonly #prepared = new Map<number, Promise<Buffer>>()

  constructor (qemu: QemuCommands) { this.#qemu = qemu }

  /** Writes an empty disk of this size. Throws DISK_FULL. */
  async make (diskMiB: number, path: string): Promise<void> {
    const known = this.#prepared.get(diskMiB) ?? this.#prepare(diskMiB)
    this.#prepared.set(diskMiB, known)
    known.catch(() => { this.#prepared.delete(diskMiB) })
    for (const oldest of this.#prepared.keys()) {
      if (this.#prepared.size <= PREPARED_MAX) break
      this.#prepared.delete(oldest)
    }
    const bytes = await known
    await onDisk(path, async () => { await writeFile(path, bytes, { mode: 0o600 }) })
  }

  async #prepare (diskMiB: number): Promise<Buffer> {
    const dir = await onDisk(tmpdir(), async () => await mkdtemp(join(tmpdir(), 'plantmesh-overlay-')))
    try {
      const path = join(dir, 'overlay.qcow2')
      await runTool(this.#qemu.img, ['create', '-q', '-f', 'qcow2', path, `${diskMiB}M`], { env: this.#qemu.env, failure: 'VM_START_FAILED' })
      return await readFile(path)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }
}
