/** The shape of code (STYLE.md, 10 and 11): sizes, exports that say what they are for, and what the language may not be used for. */
import { layerOf } from './rooms.ts'
import { child, list, problemAt, textOf, walk, type Node, type Problem, type Source } from './source.ts'

const FILE_LINES_MAX = 400
const FUNCTION_LINES_MAX = 70
/** Their tools take nothing but a default export. */
const DEFAULT_EXPORTS = ['test/vitest.config.ts', 'node/setup/progress-reporter.ts']

/** Files and functions that have grown too long. A test's `describe` is a chapter, not a function, and so is what a contract suite exports. */
export function lengthProblems (files: Source[]): Problem[] {
  return files.flatMap((file) => {
    const lines = file.text.trimEnd().split('\n').length
    const problems = lines > FILE_LINES_MAX ? [problemAt(file, 0, `has ${lines} lines, ${FILE_LINES_MAX} at most: split it`)] : []
    walk(file.program, (node, ancestors) => {
      if (!/^(?:FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type) || isChapter(ancestors.at(-1)) || isSuite(file.path, ancestors.at(-1))) return
      const long = file.text.slice(node.start, node.end).split('\n').length
      if (long > FUNCTION_LINES_MAX) problems.push(problemAt(file, node.start, `a function of ${long} lines, ${FUNCTION_LINES_MAX} at most: compute in helpers`))
    })
    return problems
  })
}

function isSuite (path: string, parent: Node | undefined): boolean {
  return path.startsWith('test/contracts/') && parent?.type === 'ExportNamedDeclaration'
}

function isChapter (parent: Node | undefined): boolean {
  if (parent?.type !== 'CallExpression') return false
  let callee = child(parent, 'callee')
  while (callee !== undefined && callee.type !== 'Identifier') callee = child(callee, callee.type === 'MemberExpression' ? 'object' : 'callee')
  return textOf(callee, 'name') === 'describe'
}

/** `any`, enums, namespaces, default exports, barrels. */
export function languageProblems (files: Source[]): Problem[] {
  return files.flatMap((file) => {
    const problems: Problem[] = []
    const tell = (node: Node, text: string): void => { problems.push(problemAt(file, node.start, text)) }
    walk(file.program, (node) => {
      switch (node.type) {
        case 'TSAnyKeyword': tell(node, 'says any: unknown, and a decoder, say what it is'); break
        case 'TSEnumDeclaration': tell(node, 'declares an enum: a union of strings needs no code'); break
        case 'TSModuleDeclaration': tell(node, 'declares a namespace: a file is one'); break
        case 'TSParameterProperty': tell(node, 'has a parameter property: write the field out'); break
        case 'ExportDefaultDeclaration': if (!DEFAULT_EXPORTS.includes(file.path)) tell(node, 'has a default export: name it'); break
        case 'ExportSpecifier': {
          const exported = child(node, 'exported')
          if ((textOf(exported, 'name') === 'default' || textOf(exported, 'value') === 'default') && !DEFAULT_EXPORTS.includes(file.path)) tell(node, 'has a default export: name it')
          break
        }
        case 'ExportAllDeclaration': if (!file.path.endsWith('/index.ts')) tell(node, 'is a barrel: only a module\'s own index.ts re-exports everything'); break
        default:
      }
    })
    return problems
  })
}

/**
 * Exports without a doc comment, outside of tests. A comment also covers the exports that follow line on line, without a blank one between
 * (a family of constants); a file's only export may be told by the comment that opens the file; and where there is such a comment, a type is
 * told by it and by its fields.
 */
export function docProblems (files: Source[]): Problem[] {
  return files.filter(({ path }) => layerOf(path) !== 'test').flatMap((file) => {
    const exported = list(file.program, 'body').filter((node) => /^Export(?:Named|Default)Declaration$/.test(node.type) && child(node, 'declaration') !== undefined)
    const opened = openedByDoc(file)
    const told = new Set<Node>()
    for (const [i, node] of exported.entries()) {
      const before = exported[i - 1]
      const sameFamily = before !== undefined && told.has(before) && /^[^\n]*\n?[^\S\n]*$/.test(file.text.slice(before.end, node.start))
      if ((opened && (exported.length === 1 || isType(node))) || hasDoc(file, node) || sameFamily) told.add(node)
    }
    return exported.filter((node) => !told.has(node)).map((node) => problemAt(file, node.start, `exports ${nameOf(node)} without a doc comment: say what it is for and what happens when it fails`))
  })
}

const isType = (node: Node): boolean => /^TS(?:Interface|TypeAlias)Declaration$/.test(child(node, 'declaration')?.type ?? '')

const isDoc = ({ type, value }: Source['comments'][number]): boolean => type === 'Block' && value.startsWith('*')

/** The file starts with a comment that says what it is; plain JavaScript may say it in lines. */
function openedByDoc (file: Source): boolean {
  const first = file.comments.find(({ start }) => !file.text.startsWith('#!') || start > 0)
  return first !== undefined && (isDoc(first) || file.path.endsWith('.mjs')) && file.text.slice(0, first.start).replace(/^#!.*\n/, '').trim() === ''
}

function hasDoc (file: Source, node: Node): boolean {
  return file.comments.some((comment) => isDoc(comment) && comment.end <= node.start && file.text.slice(comment.end, node.start).trim() === '')
}

function nameOf (node: Node): string {
  const declaration = child(node, 'declaration')
  if (declaration?.type === 'VariableDeclaration') return list(declaration, 'declarations').map((one) => textOf(child(one, 'id'), 'name')).join(', ')
  return textOf(child(declaration ?? node, 'id'), 'name') || 'something'
}

const TEST_ROOTS = ['test', 'it', 'describe', 'suite']
const PASSED_OVER = ['only', 'skip', 'todo', 'skipIf', 'runIf', 'fails']

/** Tests that are passed over, alone, or only promised. */
export function wholeProblems (files: Source[]): Problem[] {
  return files.filter(({ path }) => layerOf(path) === 'test').flatMap((file) => {
    const problems: Problem[] = []
    const tell = (node: Node, what: string): void => { problems.push(problemAt(file, node.start, `uses ${what}: every test runs, always`)) }
    walk(file.program, (node) => {
      if (node.type === 'MemberExpression' && PASSED_OVER.includes(textOf(child(node, 'property'), 'name')) && TEST_ROOTS.includes(rootOf(node))) tell(node, `${rootOf(node)}.${textOf(child(node, 'property'), 'name')}`)
      if (node.type !== 'CallExpression') return
      const callee = child(node, 'callee')
      const name = textOf(callee, 'name')
      if (/^x(?:it|test|describe)$|^f(?:it|describe)$/.test(name)) tell(node, name)
      // `(context) => context.skip()` and `({ skip }) => skip()`.
      if (name === 'skip' || (callee?.type === 'MemberExpression' && textOf(child(callee, 'property'), 'name') === 'skip' && /^(?:ctx|context|task|t)$/.test(rootOf(callee)))) tell(node, 'skip()')
      if (!TEST_ROOTS.includes(callee === undefined ? '' : rootOf(callee))) return
      for (const options of list(node, 'arguments').filter(({ type }) => type === 'ObjectExpression')) {
        for (const property of list(options, 'properties')) {
          const key = textOf(child(property, 'key'), 'name')
          if (PASSED_OVER.includes(key)) tell(property, `the option ${key}`)
        }
      }
    })
    return problems
  })
}

function rootOf (node: Node): string {
  let at: Node | undefined = node
  while (at !== undefined && at.type !== 'Identifier') at = child(at, at.type === 'CallExpression' ? 'callee' : 'object')
  return textOf(at, 'name')
}
