// What npm's scripts start: sets up what is missing with nothing but Node 20 and npm, then becomes the program under the bundled Node.
//   node node/setup/launch.mjs start|setup|test|test:all|bench|check [arguments…]
import { realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { NODE_ADVICE, become, programNode } from './become.mjs'
import { SetupProblem, ensurePackages } from './packages.mjs'

const root = realpathSync(join(dirname(fileURLToPath(import.meta.url)), '..', '..'))
const [verb = '', ...args] = process.argv.slice(2)

/** What each of npm's scripts runs: files of the checkout that need the packages and Node 24. */
const PROGRAMS = {
  start: [join(root, 'node', 'main.ts'), 'start'],
  // Packages and the command are there by then; a plant gets its VMM itself. The doctor says what this host can do.
  setup: [join(root, 'node', 'main.ts'), 'doctor'],
  test: [join(root, 'node', 'setup', 'tests.ts'), 'test'],
  'test:all': [join(root, 'node', 'setup', 'tests.ts'), 'test:all'],
  check: [join(root, 'node', 'setup', 'tests.ts'), 'check'],
  bench: [join(root, 'node', 'setup', 'bench.ts')]
}

try {
  const program = Object.hasOwn(PROGRAMS, verb) ? PROGRAMS[verb] : undefined
  if (program === undefined) throw new SetupProblem(`usage: node node/setup/launch.mjs ${Object.keys(PROGRAMS).join('|')} [arguments…]`)
  await ensurePackages(root)
  const node = programNode(root)
  if (node === undefined) throw new SetupProblem(NODE_ADVICE)
  become(node, [...program, ...args])
} catch (error) {
  process.stderr.write(`plantmesh: set-up: ${error instanceof SetupProblem ? error.message : error?.stack ?? error}\n`)
  process.exitCode = 1
}
