/** Which parts of a mapped file a process has looked at: what of a suspended machine's memory its resume needs first. */
import { open, readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'

/** An entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst): bit 63 says that the page is present, bit 62 that it is swapped out. */
const ENTRY_BYTES = 8
const THERE = 0xc0
/** Pages are of this size where /proc/PID/pagemap counts them, on every architecture that we run on. */
const PAGE_BYTES = 4096
const READ_BYTES = 1024 * 1024

/**
 * Numbers of the pieces of a file of which the process has a page, ascending. The kernel maps up to 16 pages around one that is read and in its cache, so
 * what is told is rather too much than too little. None when the process is gone, does not map the file, or is not ours to look into.
 */
export async function touchedPieces (pid: number, path: string, pieceBytes: number): Promise<number[]> {
  const pieces = new Set<number>()
  for (const { fromBytes, toBytes, offsetBytes } of await mappingsOf(pid, path)) {
    const pagemap = await open(`/proc/${pid}/pagemap`).catch(() => undefined)
    if (pagemap === undefined) return []
    try {
      const buffer = Buffer.alloc(READ_BYTES)
      for (let page = fromBytes / PAGE_BYTES; page < toBytes / PAGE_BYTES;) {
        const wantedBytes = Math.min(READ_BYTES, (toBytes / PAGE_BYTES - page) * ENTRY_BYTES)
        const { bytesRead } = await pagemap.read(buffer, 0, wantedBytes, page * ENTRY_BYTES).catch(() => ({ bytesRead: 0 }))
        if (bytesRead < ENTRY_BYTES) break
        for (let at = 0; at + ENTRY_BYTES <= bytesRead; at += ENTRY_BYTES, page++) {
          // Little-endian: the highest bits are in the last byte.
          if (((buffer[at + ENTRY_BYTES - 1] ?? 0) & THERE) !== 0) pieces.add(Math.floor((offsetBytes + page * PAGE_BYTES - fromBytes) / pieceBytes))
        }
      }
    } finally {
      await pagemap.close()
    }
  }
  return [...pieces].sort((a, b) => a - b)
}

interface Mapping { fromBytes: number, toBytes: number, offsetBytes: number }

/** Where a process maps a file (proc(5), maps). By inode and name: devices are numbered otherwise in some file systems. */
async function mappingsOf (pid: number, path: string): Promise<Mapping[]> {
  const inode = await stat(path, { bigint: true }).then(({ ino }) => String(ino), () => undefined)
  const maps = await readFile(`/proc/${pid}/maps`, 'latin1').catch(() => '')
  return maps.split('\n').flatMap((line) => {
    const [, from = '', to = '', offset = '', ino, name = ''] = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ (\d+)\s+(.*)$/.exec(line) ?? []
    if (ino === undefined || ino !== inode || basename(name) !== basename(path)) return []
    return [{ fromBytes: Number.parseInt(from, 16), toBytes: Number.parseInt(to, 16), offsetBytes: Number.parseInt(offset, 16) }]
  })
}
