/**
 * A character device read by Node's own event loop. `fs.read` would keep one of the four threads of libuv's pool busy for as long as nothing comes, and
 * costs two changes of threads a frame; `net` watches sockets and pipes only, by what the descriptor is when it is handed over. So a socket is handed
 * over, and the device put in its place before the first read: libuv polls and reads whatever is there.
 */
import { Socket } from 'node:net'
import type { Libc } from './libc.ts'
import { errnoName } from './libc.ts'

export interface LoopReaderEvents {
  /** What one read returned; the bytes are overwritten by the next. Called within the loop, for as long as something comes. */
  bytes (bytes: Uint8Array): void
  /** Once: the device is gone, or was closed. */
  gone (error?: Error): void
}

export interface LoopReader {
  /** The device's descriptor, for further reads and for writes; not blocking, and closed with the reader. */
  readonly fd: number
  close (): void
}

const AF_UNIX = 1
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000
const O_CLOEXEC = 0o2000000

/** Takes over a descriptor that does not block (it is closed in any case), and reads up to `bytesMax` at a time. Throws when descriptors run out. */
export function loopReader (c: Libc, device: number, bytesMax: number, events: LoopReaderEvents): LoopReader {
  const pair: [number, number] = [-1, -1]
  if (c.socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, pair) !== 0) {
    const why = errnoName(c)
    c.close(device)
    throw new Error(`socketpair: ${why}`)
  }
  const [fd, other] = pair
  const socket = new Socket({
    fd, readable: true, writable: false, manualStart: true,
    onread: {
      buffer: new Uint8Array(bytesMax),
      callback: (count, buffer) => {
        events.bytes(buffer.subarray(0, count))
        return true
      }
    }
  } as ConstructorParameters<typeof Socket>[0])
  const put = c.dup3(device, fd, O_CLOEXEC)
  const why = errnoName(c)
  c.close(device)
  c.close(other)
  if (put !== fd) {
    socket.destroy()
    throw new Error(`dup3: ${why}`)
  }
  let failure: Error | undefined
  socket.on('error', (error) => { failure = error })
  socket.on('close', () => { events.gone(failure) })
  socket.resume()
  return { fd, close: () => { socket.destroy() } }
}
