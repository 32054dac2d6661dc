/** One host of the network benchmark: a plant's mesh, its tunnel and a TAP, in a process and network namespace of its own. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { loadOrMakeKey } from '../../node/drivers/key-file.ts'
import { startMesh } from '../../node/drivers/libp2p-mesh.ts'
import { keepNurserySmall } from '../../node/drivers/small-nursery.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { openTap } from '../../node/net/tap.ts'
import type { Frame } from '../../protocols/tunnel/types.ts'
import type { MessageStream, PeerId, StreamLimits } from '../../protocols/kit/index.ts'

/** What a worker is started with, as JSON in its first argument. */
export interface NetWorkerInit { dir: string, listen: string, bootstrap: string[], other: string, dials: boolean, tunnel: boolean, address: string, tap: string }

const quiet = { debug () {}, info () {}, warn () {}, error () {} }
const init = JSON.parse(process.argv[2] ?? '') as NetWorkerInit
keepNurserySmall()
const mesh = await startMesh({ key: loadOrMakeKey(join(init.dir, 'key')), listen: [init.listen], bootstrap: init.bootstrap, mesh: 'bench', mdns: false, clock: new SystemClock(), log: quiet })
const tap = openTap({ name: init.tap })
execFileSync('ip', ['addr', 'add', `${init.address}/24`, 'dev', tap.name])

const PROTOCOL = '/bench/tunnel/1.0.0'
const LIMITS: StreamLimits = { messageBytesMax: 1_000_000, idleTimeoutMs: 60_000, inboundMax: 4, inboundPerPeerMax: 4 }

async function pump (stream: MessageStream): Promise<void> {
  const waiting: Frame[] = []
  let waitingBytes = 0
  let sending = false
  const go = async (): Promise<void> => {
    sending = true
    await undefined
    while (waiting.length > 0) {
      const batch: Uint8Array[] = []
      let bytes = 0
      while (waiting.length > 0 && (bytes === 0 || bytes + (waiting[0]?.bytes.length ?? 0) < 65_536)) {
        const frame = waiting.shift()
        if (frame === undefined) break
        const head = Buffer.alloc(frame.offload === undefined ? 4 : 14)
        head.writeUInt32BE(frame.offload === undefined ? frame.bytes.length : (0x8000_0000 | (frame.bytes.length + 10)) >>> 0)
        if (frame.offload !== undefined) head.set(frame.offload, 4)
        batch.push(head, frame.bytes)
        bytes += frame.bytes.length
      }
      waitingBytes -= bytes
      await stream.send(Buffer.concat(batch))
    }
    sending = false
  }
  tap.onFrame((frame) => {
    if (waitingBytes > 2_000_000) return
    waiting.push(frame)
    waitingBytes += frame.bytes.length
    if (!sending) void go()
  })
  for (;;) {
    const message = await stream.receive()
    if (message === undefined) return
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
    for (let at = 0; at < message.length;) {
      const word = view.getUint32(at)
      const length = word & 0x7fff_ffff
      const head = word >= 0x8000_0000 ? 10 : 0
      at += 4
      tap.send({ bytes: message.subarray(at + head, at + length), ...(head > 0 && { offload: message.subarray(at, at + head) }) })
      at += length
    }
  }
}

await mesh.transport.handle(PROTOCOL, LIMITS, pump)
process.on('disconnect', () => { process.exit(0) })
process.on('SIGTERM', () => { void mesh.stop().then(() => { process.exit(0) }) })
while (!mesh.transport.connected().includes(init.other as PeerId)) await new Promise((resolve) => { setTimeout(resolve, 50) })
if (!init.dials || !init.tunnel) process.send?.({ ready: true })
else {
  for (;;) {
    try {
      const stream = await mesh.transport.open(init.other as PeerId, PROTOCOL, LIMITS)
      process.send?.({ ready: true })
      await pump(stream)
    } catch { await new Promise((resolve) => { setTimeout(resolve, 200) }) }
  }
}
