/** Where no byte can be written to a file (its parent sees to that), puts golden machines into a warehouse: `node warehouse-full.ts FROM TO`. */
import { link } from 'node:fs/promises'
import { join } from 'node:path'
import { asPlantError } from '../../protocols/kit/index.ts'
import { openWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { FakeStandingClock, descriptionOf, keys, quietLog } from './records-support.ts'

const [from = '', to = ''] = process.argv.slice(2)
const warehouse = await openWarehouse({ dir: to, clock: new FakeStandingClock(), log: quietLog, ...keys })
const source = await openWarehouse({ dir: from, clock: new FakeStandingClock(), log: quietLog, ...keys })
const draft = await warehouse.draft()
await link(join(from, 'golden', source.list()[0]?.goldenId ?? '', 'files', 'kernel'), join(draft.dir, 'kernel'))
await draft.commit(descriptionOf('new')).catch((error: unknown) => { console.log('commit', asPlantError(error).code) })
await warehouse.importFrom(from).catch((error: unknown) => { console.log('import', asPlantError(error).code) })
console.log('shelf', warehouse.list().length)
