/**
 * Kernels that golden machines ship packed, as machines start from them: unpacked once on each plant and shared by all of its machines. A golden machine keeps
 * the bzImage (14 MiB of Debian's, where the ELF image in it has 51), which is what other plants fetch.
 */
import { link } from 'node:fs/promises'
import { signatureOf } from '../../../storage/drivers/golden-files.ts'
import { inThread } from '../../../storage/drivers/in-thread.ts'
import { onDisk } from './machine-dir.ts'

/** Kernels of which it is remembered what is in them, and unpacked ones that are kept; who needs another one waits half a second for it. */
export const KERNELS_MAX = 8

/** In a machine's directory, a link to the unpacked kernel: it stays for the machine's start, whatever becomes of the others. */
export const KERNEL_LINK = 'kernel'

const WORKER = new URL('./kernel-worker.ts', import.meta.url)

/** What a thread is told: where the kernel is, and where unpacked ones are. It answers with the path of the one, or undefined when the kernel is to be used as it is. */
export interface KernelJob { kernel: string, dir: string, kernelsMax: number }

interface Known { signature: string, unpacked: Promise<string | undefined> }

/** Over a directory of its own, which is made when there is something to keep. */
export class Kernels {
  readonly #dir: string
  readonly #known = new Map<string, Known>()
  #last: Promise<unknown> = Promise.resolve()

  constructor (dir: string) { this.#dir = dir }

  /** The kernel that a machine in `dir` is to be started with, when it works in there. Throws DISK_FULL, or the file system's error when there is none. */
  async ready (kernel: string, dir: string): Promise<string> {
    for (let tries = 1; ; tries++) {
      const unpacked = await this.#unpacked(kernel)
      if (unpacked === undefined) return kernel
      try {
        await link(unpacked, `${dir}/${KERNEL_LINK}`)
        return KERNEL_LINK
      } catch (error) {
        this.#known.delete(kernel)
        // It went for another one, or somebody cleared the directory: unpacked again, once. A file system without links has it used where it is.
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) return unpacked
        if (tries > 1) throw error
      }
    }
  }

  async #unpacked (kernel: string): Promise<string | undefined> {
    const { signature } = await signatureOf(kernel)
    const there = this.#known.get(kernel)
    if (there?.signature === signature) return there.unpacked
    // One at a time, so that no two write the same.
    const unpacked = this.#last.then(async () => onDisk(this.#dir, async () => {
      const job: KernelJob = { kernel, dir: this.#dir, kernelsMax: KERNELS_MAX }
      return await inThread(WORKER, job) as string | undefined
    }))
    this.#last = unpacked.catch(() => { this.#known.delete(kernel) }) // Told to who waits; the next one tries anew.
    this.#known.delete(kernel)
    this.#known.set(kernel, { signature, unpacked })
    for (const oldest of this.#known.keys()) if (this.#known.size > KERNELS_MAX) this.#known.delete(oldest)
    return unpacked
  }
}
