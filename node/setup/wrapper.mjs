// What node_modules/.bin/plantmesh does when it is run by Node instead of by the shell (`node node_modules/.bin/plantmesh …`).
import { join } from 'node:path'
import process from 'node:process'
import { NODE_ADVICE, become, programNode } from './become.mjs'

/**
 * Re-executes the program with the bundled Node; arguments, signals and exit status pass through.
 * @param {string} root the checkout
 * @param {string[]} args
 */
export function runProgram (root, args) {
  const node = programNode(root)
  if (node === undefined) {
    process.stderr.write(`${NODE_ADVICE}\n`)
    process.exit(1)
  }
  become(node, [join(root, 'node', 'main.ts'), ...args])
}

/**
 * The text of `node_modules/.bin/plantmesh`: shell and JavaScript at once. Executed, the shell replaces itself with the bundled Node, so that
 * no process stands between the caller and the program, whatever kills it. Run by a Node of any age, the second line is a string and a
 * comment, and the rest does the same through `runProgram`. It finds the checkout from its own place, also through symbolic links.
 * @returns {string}
 */
export function wrapperText () {
  return `#!/bin/sh
':' //; self=$(readlink -f "$0"); root=\${self%/node_modules/.bin/*}; node=$root/node_modules/.bin/node; [ -x "$node" ] && exec "$node" "$root/node/main.ts" "$@"; exec node "$self" "$@"
// Written by set-up (node/setup/wrapper.mjs). By the shell it is run as the line above, by Node as the lines below.
const { join, dirname } = require('node:path')
const root = dirname(dirname(__dirname))
import(require('node:url').pathToFileURL(join(root, 'node', 'setup', 'wrapper.mjs')).href)
  .then(({ runProgram }) => runProgram(root, process.argv.slice(2)))
`
}
