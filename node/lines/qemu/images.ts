/** Makes golden machines from Debian's packages and from others' images. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError } from '../../../protocols/kit/index.ts'
import type { ImageMaker, ImportRequest, Imported, MakeRequest } from '../image-maker.ts'
import { filled } from './filled.ts'
import type { HelperComponents } from './helper.ts'
import { buildDebianDisk } from './image/build-debian.ts'
import { importDisk } from './image/import-image.ts'
import { GOLDEN_FILES } from './parts.ts'
import { bootAndSuspend } from './suspend.ts'

/** Of building Debian: a minute for its disk, 20 s for the boot. Of an import: the copy is quick, the boot with cloud-init is not. */
const DEBIAN_DISK_SHARE = 0.75
const IMPORT_DISK_SHARE = 0.3

export interface QemuImagesComponents {
  helpers: HelperComponents
  cacheDir: string
}

/** The image maker of the QEMU line; errors are those of the interface. */
export class QemuImages implements ImageMaker {
  readonly #c: QemuImagesComponents

  constructor (c: QemuImagesComponents) { this.#c = c }

  async buildDebian (request: MakeRequest): Promise<void> {
    const { dir, hardware, signal } = request
    const { qemu } = this.#c.helpers
    await filled(dir, async () => {
      await buildDebianDisk({
        dir, diskMiB: hardware.diskMiB, cacheDir: this.#c.cacheDir, qemuImg: qemu.img, qemuEnv: qemu.env, signal, onStep: part(request.onStep, 0, DEBIAN_DISK_SHARE)
      })
      await this.#suspend(request, DEBIAN_DISK_SHARE)
    }, signal)
  }

  async importImage (request: ImportRequest): Promise<Imported> {
    const { dir, file, name, hardware, signal } = request
    return await filled(dir, async () => {
      const onStep = request.diskOnly ? request.onStep : part(request.onStep, 0, IMPORT_DISK_SHARE)
      const { diskMiB } = await importDisk({ file, name, dir, diskMiB: hardware.diskMiB, cacheDir: this.#c.cacheDir, qemu: this.#c.helpers.qemu, onStep, signal })
      if (request.diskOnly) return { diskMiB, suspended: false }
      await this.#suspend(request, IMPORT_DISK_SHARE).catch((cause: unknown) => {
        const silent = cause instanceof PlantError && (cause.code === 'AGENT_SILENT' || cause.code === 'VM_DIED')
        throw silent ? new PlantError('IMAGE_UNFIT', { ...cause.details, after: cause.code }, { cause }) : cause
      })
      return { diskMiB, suspended: true }
    }, signal)
  }

  /** Boots what is in `dir` once, with the seed that may be there, which is not needed any more then. */
  async #suspend ({ dir, hardware, onStep, signal }: MakeRequest, from: number): Promise<void> {
    const seed = join(dir, GOLDEN_FILES.seed)
    await bootAndSuspend(this.#c.helpers, dir, hardware, part(onStep, from, 1), signal)
    await rm(seed, { force: true })
  }
}

function part (onStep: MakeRequest['onStep'], from: number, to: number): MakeRequest['onStep'] {
  return (step, share) => { onStep(step, from + share * (to - from)) }
}
