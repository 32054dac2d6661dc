/** Unix sockets at the end of long paths: the kernel takes 108 bytes (unix(7)), a data directory may be longer. */
import { openSync, constants } from 'node:fs'
import { basename, dirname } from 'node:path'

/** sun_path is 108 bytes with its closing zero. */
const SOCKET_PATH_BYTES_MAX = 107

const directories = new Map<string, number>()

/**
 * A path for this process to bind or connect to, which names the same socket: the path itself where it fits, else one through a
 * descriptor of its directory, which stays open as long as the process. The directory must exist.
 */
export function shortPath (path: string): string {
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX || process.platform !== 'linux') return path
  const dir = dirname(path)
  let fd = directories.get(dir)
  if (fd === undefined) {
    try {
      fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY)
    } catch {
      return path // No such directory: whoever uses the path gets that error, with the path that the user knows.
    }
    directories.set(dir, fd)
  }
  return `/proc/self/fd/${fd}/${basename(path)}`
}
