/** On a small disk of its own with a ballast on it: fetches, renders and makes golden machines until it is full, and goes on once there is room: `node warehouse-small.ts SMALL SOURCE`. */
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asPlantError, type GoldenId } from '../../protocols/kit/index.ts'
import { carry, offered, openAt, randomPieces, shelved } from './image-support.ts'

const [small = '', source = ''] = process.argv.slice(2)
const codeOf = (error: unknown): string => asPlantError(error).code
const ballast = async (name: string, pieces: number): Promise<void> => writeFile(join(small, name), randomPieces(pieces))
const [here, there] = [await openAt(join(small, 'warehouse')), await openAt(source)]
const [golden] = there.list()
const offer = await offered(there, golden?.goldenId as GoldenId)

// 12 MiB: 64 pieces are 4.
await ballast('one', 152)
const image = await here.receive(offer.manifest, offer.info)
console.log('fetch', await carry(there, image).catch(codeOf), image.missing() > 0 && image.missing() < 64, here.list().length)
await rm(join(small, 'one'))
await carry(there, image)
await image.complete
console.log('fetched', here.list().length)
await ballast('two', 110)
console.log('render', await here.verified(golden?.goldenId as GoldenId).catch(codeOf), (await readdir(join(small, 'warehouse', 'drafts'))).length)
console.log('commit', await shelved(here, 'new', { disk: randomPieces(12) }).catch(codeOf), here.list().length, (await readdir(join(small, 'warehouse', 'packs'))).length)
await rm(join(small, 'two'))
console.log('rendered', (await here.verified(golden?.goldenId as GoldenId)).endsWith('files'))
console.log('made', (await shelved(here, 'new', { disk: randomPieces(4) })).name)
await here.close()
await there.close()
