/** doctor: what this host can do, what is missing and the one line that mends it. */
import type { Command } from 'commander'
import { dataDirOf, runCommand } from './context.ts'
import { doctorText, inspectHost } from './doctor.ts'

export function doctorCommand (program: Command): void {
  program.command('doctor').description('what this host can do, what is missing, and the one line that mends it')
    .option('--json', 'one JSON document on stdout')
    .option('--data <dir>', 'a plant\'s data directory')
    .addHelpText('after', '\nExample:\n  plantmesh doctor')
    .action(async (options: { json?: boolean, data?: string }) => runCommand(options, async (c) => {
      const checks = await inspectHost({ dataDir: dataDirOf(options), signal: c.signal })
      c.out.answer({ checks }, doctorText(checks))
      return checks.some((check) => check.state === 'missing') ? 1 : 0
    }))
}
