/** A cpio archive in the form the kernel unpacks as an initrd ("newc", Documentation/driver-api/early-userspace/buffer-format.rst). */

export interface CpioEntry {
  /** Without a leading slash. */
  name: string
  /** Type and permission bits, as in `stat`. */
  mode: number
  data?: Uint8Array
  /** Of a device node. */
  device?: { major: number, minor: number }
}

const TRAILER: CpioEntry = { name: 'TRAILER!!!', mode: 0 }

/** The archive; entries in the given order, directories before what is in them, all owned by root. */
export function cpioArchive (entries: CpioEntry[]): Uint8Array {
  const parts: Buffer[] = []
  for (const [index, entry] of [...entries, TRAILER].entries()) {
    const name = Buffer.from(`${entry.name}\0`)
    const data = entry.data ?? new Uint8Array()
    const fields = [index + 1, entry.mode, 0, 0, 1, 0, data.length, 0, 0, entry.device?.major ?? 0, entry.device?.minor ?? 0, name.length, 0]
    const head = Buffer.concat([Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`), name])
    parts.push(head, padding(head.length), Buffer.from(data), padding(data.length))
  }
  return Buffer.concat(parts)
}

function padding (bytes: number): Buffer {
  return Buffer.alloc((4 - bytes % 4) % 4)
}
