/** plants, key: CONTRACT.md, Commands. */
import type { Command } from 'commander'
import { keyIdOf } from '../../protocols/kit/index.ts'
import { clientOptions, runCommand, type Context } from './context.ts'
import { table } from './output.ts'

export function meshCommands (program: Command): void {
  clientOptions(program.command('plants').description('the mesh as this plant sees it: capacity, load, age of the advert'))
    .addHelpText('after', '\nExample:\n  plantmesh plants --json')
    .action(async (options) => runCommand(options, plants))

  clientOptions(program.command('key').description('show your key, for others to grant'))
    .addHelpText('after', '\nExample:\n  plantmesh key')
    .action(async (options) => runCommand(options, async (c) => {
      const key = keyIdOf((await c.signer()).publicKey)
      c.out.answer({ key }, key)
    }))
}

async function plants (c: Context): Promise<void> {
  const { plants } = await c.api.get('/v1/plants', c.signal) as { plants: Array<{ plant: string, self: boolean, ageMs: number, ad: Record<string, unknown> }> }
  const rows = plants.map(({ plant, self, ageMs, ad }) => [
    `${plant}${self ? ' (this one)' : ''}`, String(ad['Accelerator'] ?? '?'), `${String(ad['FreeCpus'])}/${String(ad['Cpus'])}`,
    `${String(ad['FreeMemoryMiB'])}/${String(ad['MemoryMiB'])}`, `${Number(ad['Machines']) - Number(ad['FreeMachines'])}/${String(ad['Machines'])}`, Number(ad['Load'] ?? 0).toFixed(2), `${(ageMs / 1000).toFixed(1)} s`
  ])
  c.out.answer(plants, table([['PLANT', 'VMM', 'CPUS FREE', 'MEMORY FREE', 'MACHINES', 'LOAD', 'AGE'], ...rows]))
}
