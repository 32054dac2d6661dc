/**
 * What a tunnel's TCP connection should be like, set on the socket under a libp2p connection. BBR because the tunnel then repairs loss within one round
 * trip, so that flows inside, whatever they run, do not see it (NETWORKS.md: 344-387 Mbit/s through a link that leaves cubic 34); a low mark for what is
 * not sent yet because frames must wait in our queues, which drop early and per flow, not in the kernel's.
 */
import { Socket } from 'node:net'
import { errnoName, libc } from './libc.ts'
import type { Libc } from './libc.ts'

/** What became of it: the algorithm in force, or why nothing but TCP_NODELAY could be set. */
export type Tuned = { congestion: string, notSentBytes: number } | { problem: string }

const AF_INET = 2
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000
const IPPROTO_TCP = 6
const TCP_CONGESTION = 13
const TCP_NOTSENT_LOWAT = 25
/** TCP_CA_NAME_MAX */
const NAME_BYTES = 16
/** Two batches of 64 KiB: one that the kernel sends from while Node makes the next; 1 ms at a Gbit/s. */
const NOT_SENT_BYTES = 128 * 1024
/** The one that is asked for. */
export const ALGORITHM = 'bbr'

/** Sets all of it; what the kernel does not offer stays as it was. Never throws. */
export function tuneSocket (socket: Socket): Tuned {
  socket.setNoDelay(true)
  const c = libc()
  if ('problem' in c) return c
  const fd = descriptorOf(socket)
  return fd === undefined ? { problem: 'the socket has no descriptor' } : tune(c.libc, fd)
}

/** What `tuneSocket` would come to here, tried with a socket of its own. */
export function tryTuning (): Tuned {
  const c = libc()
  if ('problem' in c) return c
  const fd = c.libc.socket(AF_INET, SOCK_STREAM_CLOEXEC, 0)
  if (fd < 0) return { problem: `no socket (${errnoName(c.libc)})` }
  try {
    return tune(c.libc, fd)
  } finally {
    c.libc.close(fd)
  }
}

/** The TCP socket under a libp2p connection; undefined for one that goes through a relay, or is of another transport. */
export function socketOf (connection: object): Socket | undefined {
  // libp2p keeps the transport's connection under this name, and its TCP transport the socket under that; neither is in their types.
  const socket = (connection as { maConn?: { socket?: unknown } }).maConn?.socket
  return socket instanceof Socket ? socket : undefined
}

function tune (c: Libc, fd: number): Tuned {
  const name = Buffer.from(ALGORITHM, 'latin1')
  c.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, name.length) // Where it is not offered, what is in force is read below.
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(NOT_SENT_BYTES)
  c.setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes, bytes.length)
  const congestion = option(c, fd, TCP_CONGESTION, NAME_BYTES)
  const notSent = option(c, fd, TCP_NOTSENT_LOWAT, 4)
  if (congestion === undefined || notSent === undefined) return { problem: 'not a TCP socket' }
  return { congestion: congestion.toString('latin1').replace(/\0.*$/s, ''), notSentBytes: notSent.readUInt32LE() }
}

function descriptorOf (socket: Socket): number | undefined {
  const fd = (socket as { _handle?: { fd?: unknown } | null })._handle?.fd
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

function option (c: Libc, fd: number, name: number, roomBytes: number): Buffer | undefined {
  const bytes = Buffer.alloc(roomBytes)
  const count = Buffer.alloc(4)
  count.writeUInt32LE(roomBytes)
  return c.getsockopt(fd, IPPROTO_TCP, name, bytes, count) === 0 ? bytes.subarray(0, count.readUInt32LE()) : undefined
}
