/** The program's entry: gathers every room's commands. Stands above all layers; nothing imports it. */
import { plantmesh } from './cli/program.ts'
import { printError } from './cli/output.ts'
import { simCommands } from '../sim/drivers/cli/index.ts'

// Who reads our output may stop (`| head`): then there is nobody to tell, and nothing went wrong.
process.stdout.on('error', () => { process.exit(0) })
try {
  const program = plantmesh()
  simCommands(program)
  await program.parseAsync(process.argv)
} catch (error) {
  process.exitCode = printError(error, process.argv.includes('--json'))
}
