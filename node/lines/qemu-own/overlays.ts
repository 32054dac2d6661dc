/** Copy-on-write disks of clones: an empty qcow2 over the golden machine's, written from a prepared one (VMM.md, Clone). */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import { runTool } from '../../setup/run-tool.ts'

/** Prepared overlays held; each is some 200 KB. */
const PREPARED_MAX = 64

export class Overlays {
  readonly #qemu: QemuCommands
  readonly #prepared = new Map<string, Promise<Buffer>>()

  constructor (qemu: QemuCommands) {
    this.#qemu = qemu
  }

  /** Writes an empty overlay of the golden machine's size over its disk. Throws what the file system says. */
  async make (golden: Golden, goldenDir: string, path: string): Promise<void> {
    const backing = join(goldenDir, 'disk.qcow2')
    let prepared = this.#prepared.get(backing)
    if (prepared === undefined) {
      prepared = this.#prepare(backing, golden.hardware.diskMiB)
      this.#prepared.set(backing, prepared)
      prepared.catch(() => { this.#prepared.delete(backing) })
      for (const oldest of this.#prepared.keys()) {
        if (this.#prepared.size <= PREPARED_MAX) break
        this.#prepared.delete(oldest)
      }
    }
    await writeFile(path, await prepared, { mode: 0o600 })
  }

  async #prepare (backing: string, diskMiB: number): Promise<Buffer> {
    const dir = await mkdtemp(join(tmpdir(), 'plantmesh-overlay-'))
    try {
      const path = join(dir, 'overlay.qcow2')
      await runTool(this.#qemu.img, ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', backing, path, `${diskMiB}M`], { env: this.#qemu.env, failure: 'VM_START_FAILED' })
      return await readFile(path)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }
}
