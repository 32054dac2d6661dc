/** The commands of `plantmesh sim`. */
import type { Command } from 'commander'
import { compareCommand } from './compare.ts'
import { fuzzCommand } from './fuzz.ts'
import { checkCommand, listCommand } from './look.ts'
import { runCommand, sweepCommand } from './run.ts'

/** Adds `sim` and its commands to the program. */
export function simCommands (program: Command): void {
  const sim = program.command('sim').description('the simulator: the plants\' own decisions on a virtual clock, network and VMM')
    .addHelpText('after', `
From nothing to a plot:
  plantmesh sim run vmplants-creation       eight plants make 296 machines as in the VMPlants paper; then open the report.html that it names

Then:
  plantmesh sim list                        what else is shipped
  plantmesh sim run FILE --runs 20          your own scenario; sim/README.md shows how to write one, and a policy in TypeScript
  plantmesh sim sweep FILE --over policy.k=1,4,16
  plantmesh sim compare FILE FILE --a policy.costModel=memory --b policy.costModel=time-to-done

One seed fixes everything: the same seed gives the same trace hash, on any machine and with any number of workers.`)
  runCommand(sim)
  sweepCommand(sim)
  compareCommand(sim)
  checkCommand(sim)
  listCommand(sim)
  fuzzCommand(sim)
}
