/**
 * The C library's calls that Node has none for, by koffi: a foreign function interface that comes compiled. It is an optional dependency: where it
 * is absent, what needs it says so by `problem`, and the plant runs without TAPs.
 */
import { createRequire } from 'node:module'
import { getSystemErrorName } from 'node:util'
import type * as Koffi from 'koffi'

/** What is called; each returns -1 and leaves its number in `errno` when it fails. */
export interface Libc {
  /** An ioctl whose argument is a number. */
  ioctlValue (fd: number, request: number, value: number): number
  /** An ioctl whose argument is a structure, read and written in place. */
  ioctlBytes (fd: number, request: number, bytes: Uint8Array): number
  read (fd: number, bytes: Uint8Array, count: number): number
  write (fd: number, bytes: Uint8Array, count: number): number
  socket (domain: number, type: number, protocol: number): number
  socketpair (domain: number, type: number, protocol: number, fds: [number, number]): number
  dup3 (fd: number, to: number, flags: number): number
  close (fd: number): number
  setsockopt (fd: number, level: number, option: number, bytes: Uint8Array, count: number): number
  /** `count` is the room in `bytes`, as 4 bytes little-endian; becomes what was taken of it. */
  getsockopt (fd: number, level: number, option: number, bytes: Uint8Array, count: Uint8Array): number
  errno (): number
}

export type Loaded = { libc: Libc } | { problem: string }

let loaded: Loaded | undefined

/** The C library, or why there is none to be had; asked once. */
export function libc (): Loaded {
  loaded ??= load()
  return loaded
}

/** The name of what went wrong last, such as `EPERM`. */
export function errnoName (c: Libc): string { return nameOf(c.errno()) }

function nameOf (errno: number): string {
  try {
    return getSystemErrorName(-errno)
  } catch {
    return `errno ${errno}` // EBADFD and others that Node has no name for.
  }
}

function load (): Loaded {
  if (process.platform !== 'linux') return { problem: `TAPs and sockets' options are Linux's; this is ${process.platform}` }
  let koffi: typeof Koffi
  try {
    koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
  } catch (error) {
    return { problem: `the package koffi is not there (${error instanceof Error ? error.message.split('\n')[0] : 'unknown'})` }
  }
  try {
    const c = koffi.load(null)
    const ioctl = c.func('int ioctl(int fd, unsigned long request, ...)') as (fd: number, request: number, type: string, value: unknown) => number
    return {
      libc: {
        ioctlValue: (fd, request, value) => ioctl(fd, request, 'unsigned long', value),
        ioctlBytes: (fd, request, bytes) => ioctl(fd, request, 'void *', bytes),
        read: c.func('long read(int fd, void *bytes, size_t count)') as Libc['read'],
        write: c.func('long write(int fd, const void *bytes, size_t count)') as Libc['write'],
        socket: c.func('int socket(int domain, int type, int protocol)') as Libc['socket'],
        socketpair: c.func('int socketpair(int domain, int type, int protocol, _Out_ int *fds)') as Libc['socketpair'],
        dup3: c.func('int dup3(int fd, int to, int flags)') as Libc['dup3'],
        close: c.func('int close(int fd)') as Libc['close'],
        setsockopt: c.func('int setsockopt(int fd, int level, int option, const void *bytes, uint32_t count)') as Libc['setsockopt'],
        getsockopt: c.func('int getsockopt(int fd, int level, int option, void *bytes, void *count)') as Libc['getsockopt'],
        errno: () => koffi.errno()
      }
    }
  } catch (error) {
    return { problem: `koffi does not work here (${error instanceof Error ? error.message.split('\n')[0] : 'unknown'})` }
  }
}
