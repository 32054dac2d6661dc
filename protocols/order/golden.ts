/** The description of a golden machine: what matching looks at (VMPlants 3.2, Warehouse) and what a clone must be started with. */
import type { ActionDigest, GoldenId, KeyId } from '../kit/index.ts'

/** One action that was performed on a golden machine, in the order in which they were performed. */
export interface ActionDone {
  digest: ActionDigest
  /** The id it had in the order that ran it; for people. */
  id: string
  /** The outputs it left, so that an order that skips the action still gets them. */
  outputs: Record<string, string>
}

/**
 * `root` names every byte of the file by the digests of its pieces (protocols/image). Files kept by earlier versions have `sha256` instead:
 * they can be cloned where they are, and are not offered to other plants.
 */
export interface GoldenFile { name: string, bytes: number, sha256?: string, root?: string }

export interface Golden {
  goldenId: GoldenId
  /** `tiny`, or what `golden publish --name` said. Machines that differ only in size share a name. */
  name: string
  /** The operating system family that orders ask for in `software.os`: a golden machine answers to its family and to its own name. */
  os: string
  hardware: { isa: string, cpus: number, memoryMiB: number, diskMiB: number }
  /** The suspended state resumes only on a production line of the same fingerprint (VMM, version, accelerator, machine and CPU model). */
  lineFingerprint: string
  actionsDone: ActionDone[]
  /** Kernel, initrd, disk, ram and state; names are relative to the golden machine's directory. */
  files: GoldenFile[]
  createdAtMs: number
  /**
   * Whose machine it was published from. Orders of others get it only when they ask for it by its name: what somebody did to a machine
   * must not come to others who merely ask for its family. Absent: built by the plant's administrator, for everybody.
   */
  publishedBy?: { domain: string, domainKey: KeyId }
  /** Its number in the series of its name and owner, from 1; absent: the first. Another size of it has the same. */
  version?: number
  /** The golden machine that this one was published or resized from. */
  from?: GoldenId
  /** The key of the plant that made it and signs its manifest; absent where files have no roots. */
  publisher?: KeyId
}
