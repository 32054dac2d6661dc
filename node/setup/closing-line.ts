/** `node closing-line.ts REPORT`: prints CI's closing line from the report of `npm test`. */
import { readFile } from 'node:fs/promises'
import { closingLineOf } from './verdict.ts'

process.stdout.write(`${closingLineOf(await readFile(process.argv[2] ?? '', 'utf8').catch(() => ''))}\n`)
