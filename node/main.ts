/** The program's entry: gathers every room's commands. Stands above all layers; nothing imports it. */
import { plantmesh } from './cli/program.ts'

await plantmesh().parseAsync(process.argv)
