/** The program's entry: gathers every room's commands. Stands above all layers; nothing imports it. */
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// Reading the sources takes half of a short command's time. Where nothing can be written nothing is kept.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/plantmesh'))
const [{ plantmesh }, { printError }, { simCommands }] = await Promise.all([import('./cli/program.ts'), import('./cli/output.ts'), import('../sim/drivers/cli/index.ts')])

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Who reads our output may stop (`| head`): then there is nobody to tell, and nothing went wrong.
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`plantmesh: the output could not be written: ${error.message}\n`)
  process.exit(1)
})
try {
  const program = plantmesh()
  simCommands(program)
  await program.parseAsync(process.argv)
} catch (error) {
  process.exitCode = printError(error, process.argv.includes('--json'))
}
