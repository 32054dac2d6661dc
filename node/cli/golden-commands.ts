/** golden list/show/build/import/publish/fetch/remove: CONTRACT.md, Commands. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { bytesOf } from '../../storage/warehouse/warehouse.ts'
import type { MeshGolden } from '../plant/images/mesh-goldens.ts'
import { clientOptions, runCommand, vmIdArgument, type Context } from './context.ts'
import { meshTable } from './golden-mesh.ts'
import { printable, table } from './output.ts'
import { torrentCommand } from './torrent-command.ts'

/** Adds the commands. */
export function goldenCommands (program: Command): void {
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
  sized(clientOptions(golden.command('build').description('build one from Debian\'s packages: tiny or debian').argument('<family>')))
    .option('--name <name>', 'what orders will call it (the family\'s by default)')
    .addHelpText('after', '\nExample:\n  plantmesh golden build debian --name base')
    .action(async (family, options) => runCommand(options, async (c) => {
      await making(c, '/v1/golden', { name: family, ...(options.name !== undefined && { as: options.name }), ...sizesOf(options) })
    }))
  sized(clientOptions(golden.command('import').description('make one of an image: qcow2, raw disk, or tar of a root file system').argument('<file>')))
    .requiredOption('--name <name>', 'what orders will call it')
    .option('--os <family>', 'the family that orders may ask for as well (its name by default)')
    .option('--disk-only', 'keep the disk without booting it: it is booted when a machine is ordered')
    .addHelpText('after', '\nExample:\n  plantmesh golden import cloud.qcow2 --name cloud --os debian --memory 1024')
    .action(async (file, options) => runCommand(options, async (c) => {
      await making(c, '/v1/golden/import', {
        file: resolve(file), name: options.name, ...(options.os !== undefined && { os: options.os }), ...(options.diskOnly === true && { diskOnly: true }), ...sizesOf(options)
      })
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
    .action(async (name, options) => runCommand(options, async (c) => { await making(c, '/v1/golden/fetch', { name }) }))
  torrentCommand(golden)
  clientOptions(golden.command('remove').description('take it off the shelf; machines made from it go on').argument('<name>'))
    .addHelpText('after', '\nExample:\n  plantmesh golden remove workspace')
    .action(async (name, options) => runCommand(options, async (c) => {
      c.out.answer(await c.api.delete(`/v1/golden/${encodeURIComponent(name)}`, c.signal), `${name} removed`)
    }))
}

interface Sizes { memory?: number, cpus?: number, disk?: number }

function sized<C extends ReturnType<typeof clientOptions>> (command: C): C {
  return command.option('--memory <MiB>', 'memory', Number).option('--cpus <n>', 'processors', Number).option('--disk <MiB>', 'disk', Number) as C
}

/** Sizes that were not given are the plant's to choose. */
function sizesOf ({ memory, cpus, disk }: Sizes): Record<string, number> {
  return { ...(cpus !== undefined && { cpus }), ...(memory !== undefined && { memoryMiB: memory }), ...(disk !== undefined && { diskMiB: disk }) }
}

async function making (c: Context, path: string, body: Record<string, unknown>): Promise<void> {
  const made = await c.api.lines(path, body, (e) => { c.out.progress(printable(String(e['step'])), Number(e['share'])) }, c.signal) as Golden
  c.out.answer(made, goldenText(made))
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
