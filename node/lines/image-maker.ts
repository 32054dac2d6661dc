/** What a production line makes golden machines from, besides `tiny`: Debian's packages, and images of others. */

export interface MakeRequest {
  /** Where the files go; nothing is left there when it fails. */
  dir: string
  hardware: { cpus: number, memoryMiB: number, diskMiB: number }
  /** Called with a sentence for people and the share that is done, 0 to 1, in proportion to the time it takes. */
  onStep: (step: string, share: number) => void
  signal?: AbortSignal | undefined
}

export interface ImportRequest extends MakeRequest {
  /** Absolute path of an image on the plant's host: qcow2, raw disk, ext4 file system, tar of a root file system (gzip, zstd). */
  file: string
  /** What it will be called. */
  name: string
  /** Only take the disk in: it boots when a machine is made of it. Without, it is booted once, and suspended when its agent answers. */
  diskOnly: boolean
}

export interface Imported {
  /** The disk may be larger than was asked for: an image is never cut off. */
  diskMiB: number
  /** Whether it has memory and state; otherwise it is a disk only. */
  suspended: boolean
}

export interface ImageMaker {
  /** Debian 12 with systemd, an ssh server and python3, booted and suspended. Throws SETUP_FAILED, GOLDEN_BUILD_FAILED, DISK_FULL and what a boot throws. */
  buildDebian (request: MakeRequest): Promise<void>
  /** Throws IMAGE_INVALID (what is wrong with the file), IMAGE_UNFIT (its agent does not start), DISK_FULL and what a boot throws. */
  importImage (request: ImportRequest): Promise<Imported>
}
