/** Generated expressions: trees of every kind, as the parser would make them without parentheses. */
import fc from 'fast-check'
import { Expression, type BinaryOp, type Node, type UnaryOp } from '../../../protocols/order/classad/ast.ts'
import { adOf, adReal } from '../../../protocols/order/classad/index.ts'

export const FUNCTIONS = ['isUndefined', 'isError', 'int', 'real', 'bool', 'string', 'toLower', 'floor', 'round', 'pow', 'quantize', 'strcat', 'join', 'substr', 'strcmp', 'size', 'split',
  'splitSlotName', 'member', 'identicalMember', 'sum', 'avg', 'min', 'max', 'anyCompare', 'stringListSize', 'stringListSum', 'stringListMember', 'stringListSubsetMatch', 'stringListsIntersect',
  'stringList_regexpMember', 'regexp', 'regexps', 'replaceAll', 'regexpMember', 'versioncmp', 'versionGE', 'version_in_range', 'absTime', 'relTime', 'splitTime', 'formatTime', 'interval',
  'ifThenElse', 'eval', 'unparse', 'evalInEachContext', 'countMatches', 'nothing']
const BINARY: BinaryOp[] = ['||', '&&', '|', '^', '&', '==', '!=', '=?=', '=!=', '<', '<=', '>', '>=', '<<', '>>', '>>>', '+', '-', '*', '/', '%', '?:']
const UNARY: UnaryOp[] = ['-', '+', '!', '~']
const NAMES = ['a', 'b', 'c', 'd', 'MY', 'TARGET', 'self', 'other', 'odd name', 'is', 'e"\'\\']

const name = fc.constantFrom(...NAMES)
const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom('a, b,c', '1,2.5', '^a*$', '(a|b)+', '2004-01-01T00:00:00Z', '1+02:03:04', 'a + 1', '%c %Y', '<', 'is', '1e999', '\\1', 'a@b'))
const scalar: fc.Arbitrary<Node> = fc.oneof(
  text.map((value): Node => ({ kind: 'literal', value: { type: 'string', value } })),
  fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map((value): Node => ({ kind: 'literal', value: { type: 'integer', value } })),
  fc.integer({ min: 0, max: 9 }).map((value): Node => ({ kind: 'literal', value: { type: 'integer', value: BigInt(value) } })),
  fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map((value) => adReal(Math.abs(value)).node),
  fc.constantFrom<Node>({ kind: 'literal', value: { type: 'undefined' } }, { kind: 'literal', value: { type: 'error' } }, { kind: 'literal', value: { type: 'boolean', value: true } })
)

export const nodes = fc.letrec<{ node: Node }>((tie) => ({
  node: fc.oneof({ maxDepth: 5, withCrossShrink: true },
    scalar,
    fc.record({ kind: fc.constant('ref' as const), name, absolute: fc.boolean() }),
    fc.record({ kind: fc.constant('select' as const), base: tie('node'), name }),
    fc.record({ kind: fc.constant('index' as const), base: tie('node'), index: tie('node') }),
    fc.record({ kind: fc.constant('call' as const), name: fc.constantFrom(...FUNCTIONS), args: fc.array(tie('node'), { maxLength: 4 }) }),
    fc.record({ kind: fc.constant('unary' as const), op: fc.constantFrom(...UNARY), operand: tie('node') }),
    fc.record({ kind: fc.constant('binary' as const), op: fc.constantFrom(...BINARY), left: tie('node'), right: tie('node') }),
    fc.record({ kind: fc.constant('ternary' as const), test: tie('node'), yes: tie('node'), no: tie('node') }),
    fc.record({ kind: fc.constant('list' as const), items: fc.array(tie('node'), { maxLength: 4 }) }),
    fc.dictionary(name, tie('node'), { maxKeys: 3 }).map((attributes): Node => ({ kind: 'ad', ad: adWith(attributes) })))
})).node

export const expressions = nodes.map((node) => new Expression(node))
export const ads = fc.dictionary(name, nodes, { maxKeys: 5 }).map(adWith)

function adWith (attributes: Record<string, Node>): ReturnType<typeof adOf> {
  return adOf(Object.fromEntries(Object.entries(attributes).map(([key, node]) => [key, new Expression(node)])))
}
