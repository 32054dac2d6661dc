/**
 * Gives packets that are to be cut to this host's kernel, over a bridge from a TAP with offloads to one without, and compares what comes out with what
 * `wireFrames` makes of them: byte by byte, in order. Runs in a network namespace of its own.
 */
import { closeSync, constants, openSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { libc } from '../../node/net/libc.ts'
import { openTap } from '../../node/net/tap.ts'
import { wireFrames } from '../../protocols/tunnel/offload.ts'
import { offloaded, packetShapes } from '../tunnel/segments.ts'
import { assertOwnNetwork, ip } from './host.ts'

const MTU = 65_521
const TUNSETIFF = 0x400454ca
const IFF_TAP_NO_PI = 0x0002 | 0x1000

assertOwnNetwork()
const c = libc()
if ('problem' in c) throw new Error(c.problem)
for (const which of ['all', 'default']) writeFileSync(`/proc/sys/net/ipv6/conf/${which}/disable_ipv6`, '1')
const into = openTap({ name: 'with', mtu: MTU })
const plain = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK)
const request = Buffer.alloc(40)
request.write('without')
request.writeUInt16LE(IFF_TAP_NO_PI, 16)
if (c.libc.ioctlBytes(plain, TUNSETIFF, request) !== 0) throw new Error('no second TAP')
ip(`link set without mtu ${MTU} txqueuelen 4000 up`) // Of the longest packet 1,366 frames wait at once.
ip('link add bridge type bridge mcast_snooping 0')
ip(`link set bridge mtu ${MTU} up`)
for (const name of ['with', 'without']) ip(`link set ${name} master bridge`)

const room = Buffer.alloc(70_000)
/** What the kernel put on the TAP without offloads; it does so before `send` returns. */
function cutByKernel (): Buffer[] {
  const out: Buffer[] = []
  for (;;) {
    const count = c !== undefined && 'libc' in c ? c.libc.read(plain, room, room.length) : -1
    if (count < 0) return out
    out.push(Buffer.from(room.subarray(0, count)))
  }
}

cutByKernel() // What a new interface says of itself.
let [packets, frames] = [0, 0]
const runs = Number(process.argv[2])
const result = fc.check(fc.property(packetShapes, (shape) => {
  const { bytes, offload } = offloaded(shape)
  into.send({ bytes, offload })
  const theirs = cutByKernel()
  const ours = wireFrames({ bytes, offload })
  packets++
  frames += theirs.length
  if (ours.length !== theirs.length) throw new Error(`${ours.length} frames of ours, ${theirs.length} of the kernel's`)
  for (const [i, one] of ours.entries()) {
    const other = theirs[i]
    const at = one.findIndex((byte, j) => byte !== other?.[j])
    if (one.length !== other?.length || at !== -1) throw new Error(`frame ${i}: byte ${at} is ${one[at]}, the kernel's ${other?.[at]}; lengths ${one.length}, ${other?.length}`)
  }
}), { numRuns: runs })
closeSync(plain)
into.close()
process.stdout.write(`${JSON.stringify({ packets, frames, dropped: into.counts.dropped, failed: result.failed, counterexample: result.counterexample, why: String(result.errorInstance ?? '') })}\n`)
