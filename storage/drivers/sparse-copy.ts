/** Copies a file and keeps its holes: most of a suspended machine's memory is zeros that take no room on disk. */
import { constants } from 'node:fs'
import { copyFile, open } from 'node:fs/promises'

/** Zeros are looked for in pieces of this size: a file system's block is 4 KiB, a read of 1 MiB costs little. */
const PIECE_BYTES = 64 * 1024
const READ_BYTES = 16 * PIECE_BYTES
const ZEROS = Buffer.alloc(PIECE_BYTES)

/** Shares the blocks where the file system can, else writes what is not zero. `to` must not exist. Throws the file system's errors. */
export async function sparseCopy (from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE)
    return
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    // The ways of saying that blocks cannot be shared: not this file system, not between these two, not this kernel.
    if (!['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'ENOSYS', 'EINVAL', 'ENOTTY'].includes(String(code))) throw error
  }
  const source = await open(from, 'r')
  try {
    const { size } = await source.stat()
    const target = await open(to, 'wx')
    try {
      await target.truncate(size)
      const buffer = Buffer.alloc(READ_BYTES)
      for (let at = 0; at < size;) {
        const { bytesRead } = await source.read(buffer, 0, READ_BYTES, at)
        if (bytesRead === 0) break // Cut off meanwhile: verification will tell.
        for (let piece = 0; piece < bytesRead; piece += PIECE_BYTES) {
          const bytes = buffer.subarray(piece, Math.min(piece + PIECE_BYTES, bytesRead))
          if (!bytes.equals(ZEROS.subarray(0, bytes.length))) await target.write(bytes, 0, bytes.length, at + piece)
        }
        at += bytesRead
      }
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}
