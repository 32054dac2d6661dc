/** Opens TAP devices: the ioctls of Linux's `if_tun.h` and `if.h`, and for each way in which they fail the line that mends it. */
import { closeSync, constants, openSync } from 'node:fs'
import { PlantError } from '../../protocols/kit/index.ts'
import { errnoName, libc } from './libc.ts'
import type { Libc } from './libc.ts'

export interface TapInit {
  /** Name of the interface, or a pattern such as `plantmesh%d`, which the kernel fills in. One that is there and is a TAP is taken over. */
  name?: string
  /** It stays when we are gone, with its addresses and its place in a bridge; otherwise it goes with us, also after `kill -9`. */
  persistent?: boolean
  /** 1500 when absent. */
  mtu?: number
}

/** A TAP that is open, up, and hands out frames with virtio-net headers. */
export interface OpenTap { fd: number, name: string, mac: string, mtu: number }

const DEVICE = '/dev/net/tun'
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*(?:%d)?$/
/** IFNAMSIZ, with its zero. */
const NAME_BYTES = 16
/** `struct ifreq`: the name and a union of 24 bytes. */
const IFREQ_BYTES = 40
const MTU_MIN = 68
const MTU_MAX = 65_521

const TUNSETIFF = 0x400454ca
const TUNSETPERSIST = 0x400454cb
const TUNSETOFFLOAD = 0x400454d0
const IFF_TAP_NO_PI_VNET_HDR = 0x0002 | 0x1000 | 0x4000
/** CSUM, TSO4, TSO6, TSO_ECN. Not USO: kernels before 6.2 refuse all when asked for it, and it is TCP that moves bulk. */
const OFFLOADS = 1 | 2 | 4 | 8
const [SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCGIFMTU, SIOCSIFMTU, SIOCGIFHWADDR] = [0x8913, 0x8914, 0x8921, 0x8922, 0x8927]
const IFF_UP = 1
const AF_INET = 2
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000

/** Opens or makes a TAP and brings it up. Throws TAP_UNAVAILABLE, whose `details.mend` is the line to type, and CONFIG_INVALID for a bad name or MTU. */
export function openTapDevice ({ name = 'plantmesh%d', persistent = false, mtu = 1_500 }: TapInit = {}): OpenTap {
  if (!NAME.test(name) || name.length >= NAME_BYTES) throw new PlantError('CONFIG_INVALID', { field: 'tap', found: name.slice(0, 100), allowed: `letters, digits, . _ -, at most ${NAME_BYTES - 1}` })
  if (!Number.isInteger(mtu) || mtu < MTU_MIN || mtu > MTU_MAX) throw new PlantError('CONFIG_INVALID', { field: 'mtu', found: mtu, allowed: `${MTU_MIN} to ${MTU_MAX}` })
  const c = libc()
  if ('problem' in c) throw unavailable(name, c.problem, 'npm ci --include=optional')
  const fd = openDevice(name)
  try {
    return { fd, ...configure(c.libc, fd, name, persistent, mtu) }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function openDevice (name: string): number {
  try {
    return openSync(DEVICE, constants.O_RDWR | constants.O_NONBLOCK)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown'
    if (code === 'EACCES' || code === 'EPERM') throw unavailable(name, `${DEVICE} may not be opened (${code})`, `sudo chmod 0666 ${DEVICE}`)
    throw unavailable(name, `there is no ${DEVICE} (${code})`, 'sudo modprobe tun   # in a container: start it with --device /dev/net/tun --cap-add NET_ADMIN')
  }
}

function configure (c: Libc, fd: number, wanted: string, persistent: boolean, mtu: number): Omit<OpenTap, 'fd'> {
  const request = ifreq(wanted)
  request.writeUInt16LE(IFF_TAP_NO_PI_VNET_HDR, NAME_BYTES)
  if (c.ioctlBytes(fd, TUNSETIFF, request) !== 0) throw refused(wanted, errnoName(c), mtu)
  const name = nameIn(request)
  if (c.ioctlValue(fd, TUNSETOFFLOAD, OFFLOADS) !== 0) throw unavailable(name, `it takes no offloads (${errnoName(c)})`, 'use Linux 3.8 or later')
  if (persistent && c.ioctlValue(fd, TUNSETPERSIST, 1) !== 0) throw unavailable(name, `it cannot be made persistent (${errnoName(c)})`, madeByHand(name, mtu))
  const socket = c.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0)
  if (socket < 0) throw unavailable(name, `no socket (${errnoName(c)})`, 'raise the limit of open files (ulimit -n)')
  try {
    return { name, mtu, mac: bringUp(c, socket, name, mtu) }
  } finally {
    c.close(socket)
  }
}

/** Sets what is not as it should be, so that a user's own TAP that was set up by root needs no root again; returns its MAC. */
function bringUp (c: Libc, socket: number, name: string, mtu: number): string {
  const get = (request: number): Buffer => {
    const bytes = ifreq(name)
    if (c.ioctlBytes(socket, request, bytes) !== 0) throw unavailable(name, `it cannot be asked (${errnoName(c)})`, madeByHand(name, mtu))
    return bytes
  }
  const set = (request: number, bytes: Buffer, what: string): void => {
    if (c.ioctlBytes(socket, request, bytes) !== 0) throw unavailable(name, `${what} cannot be set (${errnoName(c)})`, `sudo ip link set ${name} mtu ${mtu} up`)
  }
  const ofMtu = get(SIOCGIFMTU)
  if (ofMtu.readInt32LE(NAME_BYTES) !== mtu) {
    ofMtu.writeInt32LE(mtu, NAME_BYTES)
    set(SIOCSIFMTU, ofMtu, 'its MTU')
  }
  const flags = get(SIOCGIFFLAGS)
  if ((flags.readUInt16LE(NAME_BYTES) & IFF_UP) === 0) {
    flags.writeUInt16LE(flags.readUInt16LE(NAME_BYTES) | IFF_UP, NAME_BYTES)
    set(SIOCSIFFLAGS, flags, 'it up')
  }
  const address = get(SIOCGIFHWADDR).subarray(NAME_BYTES + 2, NAME_BYTES + 8)
  return Array.from(address, (byte) => byte.toString(16).padStart(2, '0')).join(':')
}

function ifreq (name: string): Buffer {
  const bytes = Buffer.alloc(IFREQ_BYTES)
  bytes.write(name, 'latin1')
  return bytes
}

function nameIn (request: Buffer): string { return request.toString('latin1', 0, request.indexOf(0)) }

function refused (name: string, errno: string, mtu: number): PlantError {
  if (errno === 'EBUSY') return unavailable(name, 'another process has it open', 'name another interface, or stop that process')
  if (errno === 'EINVAL') return unavailable(name, 'an interface of that name is there and is no TAP of one queue', 'name another interface')
  if (errno === 'EPERM') return unavailable(name, 'this user may not make one (no CAP_NET_ADMIN), nor has one of that name', madeByHand(name, mtu))
  return unavailable(name, `it cannot be made (${errno})`, 'sudo modprobe tun')
}

/** What root does once so that a user needs no rights later. */
function madeByHand (name: string, mtu: number): string {
  const own = name.replace('%d', '0')
  return `sudo ip tuntap add dev ${own} mode tap user $USER && sudo ip link set ${own} mtu ${mtu} up   # and name it: ${own}`
}

function unavailable (name: string, problem: string, mend: string): PlantError {
  return new PlantError('TAP_UNAVAILABLE', { name, problem, mend })
}
