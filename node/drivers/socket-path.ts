/** Unix sockets at the end of long paths: the kernel takes 108 bytes (unix(7)), a data directory may be longer. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'

/** sun_path is 108 bytes with its closing zero. */
const SOCKET_PATH_BYTES_MAX = 107

/** Directories held open; the longest held goes first. A connection needs its path only while it is made. */
const DIRECTORIES_MAX = 64

const directories = new Map<string, number>()

/**
 * A path for this process to bind or connect to, which names the same socket: the path itself where it fits, else one through a
 * descriptor of its directory, good for use at once. The directory must exist.
 */
export function shortPath (path: string): string {
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX || process.platform !== 'linux') return path
  const dir = dirname(path)
  let fd = directories.get(dir)
  if (fd !== undefined && fstatSync(fd).nlink === 0) { // Removed, and perhaps made anew: the descriptor names the old one.
    closeSync(fd)
    directories.delete(dir)
    fd = undefined
  }
  if (fd === undefined) {
    try {
      fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY)
    } catch {
      return path // No such directory: whoever uses the path gets that error, with the path that the user knows.
    }
    directories.set(dir, fd)
    for (const [oldest, stale] of directories) {
      if (directories.size <= DIRECTORIES_MAX) break
      directories.delete(oldest)
      closeSync(stale)
    }
  }
  return `/proc/self/fd/${fd}/${basename(path)}`
}
