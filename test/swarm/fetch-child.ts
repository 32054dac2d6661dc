/** Fetches a pack into a directory in a process of its own, which a test may kill: `DIR SEED COUNT PUBLISHER-ADDRESS`. Says how far it is. */
import { writeSync } from 'node:fs'
import { makeKey } from '../../node/drivers/key-file.ts'
import { startMesh } from '../../node/drivers/libp2p-mesh.ts'
import { BittorrentWire } from '../../node/drivers/swarm-wire.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { SystemRandom } from '../../node/drivers/system-random.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { swarm } from '../../storage/swarm/index.ts'
import { filePack, namesOf } from './packs.ts'

const [dir = '', seed = '', count = '', address = ''] = process.argv.slice(2)
const quiet = { debug () {}, info () {}, warn () {}, error () {} }
const clock = new SystemClock()
const mesh = await startMesh({ key: makeKey(), listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [address], mesh: 'test', mdns: false, clock, log: quiet })
const one = swarm()({ transport: mesh.transport, wire: (stream) => new BittorrentWire(stream, mesh.transport.self), clock, random: new SystemRandom(), log: quiet })
await one.start()
const pack = await filePack(dir, namesOf(Number(seed), Number(count)))
const say = (word: string, value: number): void => { writeSync(1, `${word} ${value}\n`) }
say('held', pack.held)
const publisher = address.split('/').at(-1) as PeerId
await one.fetch(pack, { providers: async function * () { yield publisher }, onProgress: ({ have }) => { say('have', have) } }).done
say('written', pack.writes)
await pack.close()
process.exit(0)
