/** What a TAP does on this host's kernel, told step by step as one line of JSON. Runs in a network namespace of its own. */
import { createSocket } from 'node:dgram'
import { readFile, readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { PlantError } from '../../protocols/kit/index.ts'
import type { Frame } from '../../protocols/tunnel/types.ts'
import { openTap } from '../../node/net/tap.ts'
import type { TapInit } from '../../node/net/tap-open.ts'
import type { Tap } from '../../node/net/tap.ts'
import { assertOwnNetwork, ip } from './host.ts'

assertOwnNetwork()
const said: Record<string, unknown> = {}
const there = (name: string): boolean => { try { return ip(`-br link show ${name}`) !== '' } catch { return false } }
const refused = (init: TapInit): unknown => {
  try {
    openTap(init)
    return 'opened'
  } catch (error) {
    const { code, details } = error as PlantError
    return { code, problem: details['problem'], mend: details['mend'] }
  }
}
async function until (condition: () => boolean): Promise<void> { while (!condition()) await new Promise((resolve) => { setTimeout(resolve, 5) }) }

const tap = openTap({ name: 'pm%d', mtu: 1_400 })
const frames: Frame[] = []
tap.onFrame((frame) => { frames.push(frame) })
said['opened'] = { name: tap.name, mtu: ip(`link show ${tap.name}`).includes('mtu 1400'), up: ip(`-br link show ${tap.name}`).includes('LOWER_UP'), mac: ip(`link show ${tap.name}`).includes(tap.mac) }
said['refused'] = { taken: refused({ name: tap.name }), noTap: refused({ name: 'lo' }), badName: refused({ name: 'a/b' }), badMtu: refused({ mtu: 1 }) }

// Another machine of the network, played by us: it answers no ARP, so it is put in the table by hand.
ip(`addr add 10.9.0.1/24 dev ${tap.name}`)
ip(`neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev ${tap.name}`)
const ofUdp = (): number[] => frames.filter(({ bytes }) => bytes[12] === 8 && bytes[13] === 0 && bytes[23] === 17 && bytes[36] === 0x12).map(({ bytes }) => Buffer.from(bytes).readUInt32BE(42))
const socket = createSocket('udp4')
const COUNT = 500
for (let i = 0; i < COUNT; i++) {
  const payload = Buffer.alloc(i % 7 === 0 ? 1_300 : 8)
  payload.writeUInt32BE(i)
  socket.send(payload, 0x1234, '10.9.0.2')
}
await until(() => ofUdp().length >= COUNT)
said['inOrder'] = ofUdp().every((number, i) => number === i)
said['left'] = frames.some(({ offload }) => offload !== undefined)

// A frame that we send is the host's: a datagram that comes back out of a socket.
const echo = createSocket('udp4')
await new Promise<void>((resolve) => { echo.bind(7_000, '10.9.0.1', resolve) })
const heard = new Promise<string>((resolve) => { echo.once('message', (bytes) => { resolve(bytes.toString()) }) })
const hello = Buffer.from(`${tap.mac.replaceAll(':', '')}0200000000020800450000210000000040110000${'0a090002'}${'0a090001'}1b581b58000d0000`, 'hex')
const words = Array.from({ length: 10 }, (_, i) => hello.readUInt16BE(14 + i * 2)).reduce((sum, word) => sum + word, 0)
hello.writeUInt16BE(~((words & 0xffff) + (words >>> 16)) & 0xffff, 24)
tap.send({ bytes: Buffer.concat([hello, Buffer.from('hello')]) })
said['heard'] = await heard

const before = { ...tap.counts }
for (const bytes of [new Uint8Array(0), new Uint8Array(13), new Uint8Array(70_000)]) tap.send({ bytes })
tap.send({ bytes: new Uint8Array(60), offload: Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 0, 0, 0) })
ip(`link set ${tap.name} down`)
tap.send({ bytes: new Uint8Array(60) })
said['dropped'] = tap.counts.dropped - before.dropped

// The pool of threads is free however many TAPs are quiet: files are read at once.
const many: Tap[] = Array.from({ length: 8 }, () => openTap({ name: 'q%d' }))
said['filesRead'] = (await Promise.all(Array.from({ length: 8 }, async () => await readFile('/proc/self/status')))).length
for (const one of many) one.close()

ip(`link del ${tap.name}`)
await until(() => tap.closed.aborted)
said['deleted'] = tap.closed.aborted
tap.send({ bytes: new Uint8Array(60) })
tap.close()

const kept = openTap({ name: 'keep', persistent: true })
kept.close()
await until(() => !there('q0'))
const again = openTap({ name: 'keep' })
said['persistent'] = [there('keep'), again.name]
again.close()
ip('link del keep')
socket.close()
echo.close()
await new Promise((resolve) => { setImmediate(resolve) })
said['descriptors'] = (await readdir('/proc/self/fd')).length
const server = createServer().listen(0)
server.close()
process.stdout.write(`${JSON.stringify(said)}\n`)
