/** plants, golden list/show/build/publish/remove, key: CONTRACT.md, Commands. */
import type { Command } from 'commander'
import { PlantError, keyIdOf } from '../../protocols/kit/index.ts'
import { bytesOf } from '../../storage/warehouse/warehouse.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { clientOptions, runCommand, vmIdArgument, type Context } from './context.ts'
import type { MeshGolden } from '../plant/images/mesh-goldens.ts'
import { meshTable } from './golden-mesh.ts'
import { printable, table } from './output.ts'

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

  const golden = program.command('golden').description('golden machines of this plant and of the mesh')
  clientOptions(golden.command('list').description('what is on the shelf, and what the mesh has: where, how large, and how much of it is missing here'))
    .option('--mesh', 'with --json: what the mesh has, instead of this plant\'s own')
    .addHelpText('after', '\nExample:\n  plantmesh golden list')
    .action(async (options) => runCommand(options, async (c) => {
      const { golden, mesh } = await c.api.get('/v1/golden', c.signal) as { golden: Golden[], mesh: MeshGolden[] }
      c.out.answer(options.mesh === true ? mesh : golden, `${goldenTable(golden)}${meshTable(mesh, golden)}`)
    }))
  clientOptions(golden.command('show').description('one golden machine').argument('<name>'))
    .addHelpText('after', '\nExample:\n  plantmesh golden show tiny')
    .action(async (name, options) => runCommand(options, async (c) => {
      const { golden } = await c.api.get('/v1/golden', c.signal) as { golden: Golden[] }
      const found = golden.filter((g) => g.name === name || g.goldenId === name)
      if (found.length === 0) throw new PlantError('GOLDEN_UNKNOWN', { name })
      c.out.answer(found.length === 1 ? found[0] : found, found.map(goldenText).join('\n\n'))
    }))
  clientOptions(golden.command('build').description('build one from Debian\'s packages').argument('<name>'))
    .option('--memory <MiB>', 'memory', Number, 256)
    .option('--cpus <n>', 'processors', Number, 1)
    .option('--disk <MiB>', 'disk', Number, 512)
    .addHelpText('after', '\nExample:\n  plantmesh golden build tiny')
    .action(async (name, options) => runCommand(options, async (c) => {
      const built = await c.api.lines('/v1/golden', { name, cpus: options.cpus, memoryMiB: options.memory, diskMiB: options.disk }, (e) => {
        c.out.progress(printable(String(e['step'])), Number(e['share']))
      }, c.signal) as Golden
      c.out.answer(built, goldenText(built))
    }))
  clientOptions(golden.command('publish').description('suspend a configured machine into a new golden machine; the machine goes on').argument('<vmid>'))
    .requiredOption('--name <name>', 'what orders will call it')
    .addHelpText('after', '\nExample:\n  plantmesh golden publish 0123456789abcdef0123456789abcdef --name workspace')
    .action(async (vmid, options) => runCommand(options, async (c) => {
      const answer = await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'publish', vmId: vmIdArgument(vmid), body: { name: options.name } }) }, (e) => {
        if (e['event'] === 'progress') c.out.progress(printable(String(e['step'])), Number(e['share']))
      }, c.signal) as { golden: Golden }
      c.out.answer(answer.golden, goldenText(answer.golden))
    }))
  clientOptions(golden.command('fetch').description('get a golden machine of the mesh ahead of an order').argument('<name>', 'its name or id'))
    .addHelpText('after', '\nExample:\n  plantmesh golden fetch workspace')
    .action(async (name, options) => runCommand(options, async (c) => {
      const fetched = await c.api.lines('/v1/golden/fetch', { name }, (e) => { c.out.progress(printable(String(e['step'])), Number(e['share'])) }, c.signal) as Golden
      c.out.answer(fetched, goldenText(fetched))
    }))
  clientOptions(golden.command('remove').description('take it off the shelf; machines made from it go on').argument('<name>'))
    .addHelpText('after', '\nExample:\n  plantmesh golden remove workspace')
    .action(async (name, options) => runCommand(options, async (c) => {
      c.out.answer(await c.api.delete(`/v1/golden/${encodeURIComponent(name)}`, c.signal), `${name} removed`)
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

function goldenTable (golden: Golden[]): string {
  if (golden.length === 0) return 'no golden machines; plantmesh golden build tiny makes one'
  return table([['NAME', 'OS', 'ISA', 'CPUS', 'MEMORY', 'DISK', 'ACTIONS', 'SIZE'], ...golden.map((g) => [
    printable(g.name), printable(g.os), g.hardware.isa, String(g.hardware.cpus), `${g.hardware.memoryMiB} MiB`, `${g.hardware.diskMiB} MiB`,
    String(g.actionsDone.length), `${Math.round(bytesOf(g.files) / 1048576)} MiB`])])
}

function goldenText (g: Golden): string {
  return [`${printable(g.name)}  ${g.goldenId}`, `  os ${printable(g.os)}, ${g.hardware.isa}, ${g.hardware.cpus} cpu, ${g.hardware.memoryMiB} MiB memory, ${g.hardware.diskMiB} MiB disk`, `  suspended on ${g.lineFingerprint}`,
    `  actions done: ${g.actionsDone.length === 0 ? 'none' : g.actionsDone.map((a) => `${printable(a.id)} (${a.digest.slice(0, 12)})`).join(', ')}`,
    ...g.files.map((f) => `  ${f.name.padEnd(12)} ${String(f.bytes).padStart(12)} bytes  ${f.root === undefined ? 'sha256' : 'root'} ${(f.root ?? f.sha256 ?? '').slice(0, 16)}…`)].join('\n')
}
