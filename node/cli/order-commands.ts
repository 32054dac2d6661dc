/** validate and convert: CONTRACT.md, Commands. No plant is asked. */
import type { Command } from 'commander'
import { PlantError } from '../../protocols/kit/index.ts'
import { runCommand } from './context.ts'
import { convertOrders, validateOrders } from './order-files.ts'

const FORMATS = ['yaml', 'json', 'xml'] as const
type Format = typeof FORMATS[number]

export function orderCommands (program: Command): void {
  program.command('validate').description('check an order without ordering')
    .requiredOption('-f, --file <order>', 'order or topology file (YAML, JSON or XML; - for standard input)')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  plantmesh validate -f order.yaml')
    .action(async (options: { file: string, json?: boolean }) => runCommand(options, async (c) => {
      const orders = await validateOrders(options.file)
      c.out.answer({ valid: true, orders }, `valid: ${orders.length} ${orders.length === 1 ? 'machine' : 'machines'}`)
    }))
  program.command('convert').description('write an order in another form')
    .requiredOption('-f, --file <order>', 'order or topology file (YAML, JSON or XML; - for standard input)')
    .requiredOption('--to <form>', FORMATS.join(', '))
    .addHelpText('after', '\nExample:\n  plantmesh convert -f order.yaml --to xml')
    .action(async (options: { file: string, to: string }) => runCommand({}, async () => {
      if (!(FORMATS as readonly string[]).includes(options.to)) throw new PlantError('USAGE', { option: '--to', found: options.to, allowed: FORMATS.join(', ') })
      process.stdout.write(await convertOrders(options.file, options.to as Format))
    }))
}
