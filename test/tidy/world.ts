/** One way in to the world (STYLE.md, 1): clocks, timers, chance, keys, network and processes belong to the edges. */
import { isEdge, isPort, layerOf } from './rooms.ts'
import { globalUses } from './scopes.ts'
import { list, problemAt, type Problem, type Source } from './source.ts'

/** Globals that are the world, whole or by member, with what to use instead. */
const BANNED: Record<string, string> = {
  'Date.now': 'the Clock',
  'performance': 'the Clock',
  'setTimeout': 'the Clock',
  'setInterval': 'the Clock',
  'setImmediate': 'the Clock',
  'queueMicrotask': 'the Clock',
  'AbortSignal.timeout': 'the Clock',
  'Math.random': 'the Random',
  'crypto': 'the Crypto or the Random',
  'fetch': 'the Transport',
  'WebSocket': 'the Transport',
  'XMLHttpRequest': 'the Transport',
  'process': 'the components',
  'require': 'an import',
  'eval': 'nothing'
}

/** Uses of the world outside the edges. */
export function worldProblems (files: Source[]): Problem[] {
  return files.filter(({ path }) => layerOf(path) !== undefined && (!isEdge(path) || isPort(path))).flatMap((file) => globalUses(file.program).flatMap(({ name, chain, node, parent }) => {
    const banned = Object.keys(BANNED).find((one) => chain === one || chain.startsWith(`${one}.`))
    if (banned !== undefined) return [problemAt(file, node.start, `uses ${banned} outside the edges: take ${BANNED[banned] ?? ''} from a component`)]
    // `new Date()` reads the clock, `new Date(ms)` does not; `Date()` does in any case.
    const readsClock = name === 'Date' && (parent?.type === 'CallExpression' || (parent?.type === 'NewExpression' && list(parent, 'arguments').length === 0)) && parent['callee'] === node
    return readsClock ? [problemAt(file, node.start, 'reads the clock by Date outside the edges: take the Clock from a component')] : []
  }))
}
