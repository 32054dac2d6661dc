/** check and list: what a file says, and what is shipped, without running anything. */
import type { Command } from 'commander'
import { plantCount } from '../../scenario/index.ts'
import { constantsOf } from '../../timings/index.ts'
import { loadScenario, shippedScenarios } from '../scenario-file.ts'
import { columns, printable, shown, tellLeftOut } from './screen.ts'
import { gather } from './options.ts'
import { settings } from './run.ts'

/** Adds `sim check`. */
export function checkCommand (sim: Command): void {
  sim.command('check').description('check a scenario without running it').argument('<scenario>', 'a scenario file, or the name of a shipped one')
    .option('--set <path=value>', 'set a field first; may be repeated', gather, [])
    .option('--json', 'one JSON document on stdout: every point with all defaults filled in', false)
    .action(async (name: string, options: { json: boolean, set: string[] }) => shown(options.json, async () => {
      const { points, path, file, leftOut } = await loadScenario(name, { set: settings(options.set) })
      tellLeftOut(leftOut)
      if (options.json) process.stdout.write(JSON.stringify({ valid: true, path, points: points.map(({ name, scenario }) => ({ name, scenario })) }) + '\n')
      else process.stdout.write(`valid: ${counted(points.length, 'point')} of ${counted(file.runs, 'run')}, mode ${file.mode}\n${points.slice(0, 50).map((point) => `  ${printable(point.name)}: ${counted(plantCount(point.scenario), 'plant')}, ${counted(point.scenario.orders.length, 'source')} of orders, ${counted(point.scenario.faults.length, 'fault')}`).join('\n')}\n`)
    }))
}

/** Adds `sim list`. */
export function listCommand (sim: Command): void {
  sim.command('list').description('scenarios that are shipped, and numbers of the sets of timings')
    .option('--timings', 'list the numbers of VMM timings with their sources instead', false)
    .option('--json', 'one JSON document on stdout', false)
    .action(async (options: { json: boolean, timings: boolean }) => shown(options.json, async () => {
      if (options.timings) {
        const sets = { paper: constantsOf('paper'), measured: constantsOf('measured') }
        process.stdout.write(options.json ? JSON.stringify(sets) + '\n' : Object.entries(sets).map(([set, constants]) => `${set}\n${Object.entries(constants).map(([name, { value, unit, from, source }]) => `  ${name} = ${value} ${unit} (${from}): ${source}`).join('\n')}`).join('\n') + '\n')
        return
      }
      const scenarios = await shippedScenarios()
      process.stdout.write(options.json ? JSON.stringify(scenarios) + '\n' : scenarios.map(({ name, title }) => columns([[`  ${name.padEnd(20)}`, title]])).join('\n') + '\n')
    }))
}

function counted (count: number, what: string): string { return `${count} ${what}${count === 1 ? '' : 's'}` }
