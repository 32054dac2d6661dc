/** `npm run bench [-- NAME…] [-- --option…]`: runs the benchmarks of `test/bench` one after the other. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const DIR = fileURLToPath(new URL('../../test/bench/', import.meta.url))

/** Words pick benchmarks by name, options go to each. Ends with 1 when one failed or none was found; the others still run. */
async function main (args: string[]): Promise<void> {
  const names = args.filter((arg) => !arg.startsWith('-'))
  const options = args.filter((arg) => arg.startsWith('-'))
  const all = (await readdir(DIR)).filter((file) => file.endsWith('.bench.ts')).sort()
  const chosen = names.length === 0 ? all : all.filter((file) => names.some((name) => file.includes(name)))
  if (chosen.length === 0) {
    process.stderr.write(`no such benchmark; there are: ${all.map((file) => file.slice(0, -'.bench.ts'.length)).join(', ')}\n`)
    process.exitCode = 1
    return
  }
  for (const file of chosen) {
    process.stdout.write(`\n== ${file.slice(0, -'.bench.ts'.length)}\n`)
    const child = spawn(process.execPath, [join(DIR, file), ...options], { stdio: ['ignore', 'inherit', 'inherit'] })
    const [status] = await once(child, 'close') as [number | null]
    if (status === 0) continue
    process.stderr.write(`${file} failed\n`)
    process.exitCode = 1
  }
}

await main(process.argv.slice(2))
