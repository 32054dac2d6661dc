/** Takes a data directory, says so and keeps it: `node lock-holder.ts DIR`. */
import { writeSync } from 'node:fs'
import { lockData } from '../../storage/drivers/data-lock.ts'

lockData(process.argv[2] ?? '')
writeSync(1, 'held\n')
setInterval(() => {}, 1_000)
