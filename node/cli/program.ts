/** The command line as a whole (CONTRACT.md, Commands). */
import { Command, type CommanderError } from 'commander'
import { PlantError } from '../../protocols/kit/index.ts'
import { classadCommands } from './classad.ts'
import { completionScript } from './completion.ts'
import { doctorCommand } from './doctor-command.ts'
import { domainCommands } from './domain-commands.ts'
import { machineCommands } from './machine-commands.ts'
import { goldenCommands } from './golden-commands.ts'
import { meshCommands } from './mesh-commands.ts'
import { networkCommands } from './network-commands.ts'
import { orderCommands } from './order-commands.ts'
import { printError } from './output.ts'
import { proxyCommands } from './proxy-command.ts'
import { sshCommand } from './ssh-command.ts'
import { startCommand } from './start-command.ts'
import { templateCommands } from './template-commands.ts'
import { upCommand } from './up-command.ts'
import { VERSION } from './version.ts'

/** Wrong usage exits with 2 (CONTRACT.md); help and version are no errors. */
function exitOn (error: CommanderError): never {
  if (error.exitCode !== 0 && process.argv.includes('--json')) process.exit(printError(new PlantError('USAGE', { problem: error.message }), true))
  process.exit(error.exitCode === 0 ? 0 : 2)
}

export function plantmesh (): Command {
  const program = new Command('plantmesh')
    .description('A peer-to-peer mesh of plants that make, configure and keep virtual machines')
    .version(VERSION)
    .showHelpAfterError('(add --help for what is allowed)')
    .enablePositionalOptions()
  startCommand(program)
  upCommand(program)
  machineCommands(program)
  sshCommand(program)
  proxyCommands(program)
  meshCommands(program)
  networkCommands(program)
  goldenCommands(program)
  templateCommands(program)
  domainCommands(program)
  orderCommands(program)
  classadCommands(program)
  doctorCommand(program)
  program.command('completion').description('a script that completes commands in your shell').argument('<shell>', 'bash, zsh or fish')
    .addHelpText('after', '\nExample:\n  source <(plantmesh completion bash)')
    .action((shell: string) => {
      if (shell !== 'bash' && shell !== 'zsh' && shell !== 'fish') {
        process.exitCode = printError(new PlantError('USAGE', { shell, allowed: 'bash, zsh, fish' }), false)
        return
      }
      process.stdout.write(completionScript(program, shell))
    })
  for (const command of everyCommand(program)) command.exitOverride(exitOn)
  return program
}

function * everyCommand (command: Command): Generator<Command> {
  yield command
  for (const sub of command.commands) yield * everyCommand(sub)
}
