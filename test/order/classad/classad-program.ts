/** The classad commands alone, as a program: what cli.test.ts starts. */
import { Command } from 'commander'
import { classadCommands } from '../../../node/cli/classad.ts'

const program = new Command('plantmesh')
classadCommands(program)
for (const command of program.commands.flatMap((sub) => [sub, ...sub.commands])) command.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
await program.parseAsync()
