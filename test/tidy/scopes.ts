/** References to globals: identifiers that stand for a value and that no declaration around them binds. */
import { child, children, list, textOf, type Node } from './source.ts'

/** TypeScript nodes that wrap a value; all others hold only types. */
const VALUE_WRAPPERS = new Set(['TSAsExpression', 'TSSatisfiesExpression', 'TSNonNullExpression', 'TSTypeAssertion', 'TSInstantiationExpression'])

/** A global that is used, and the member chain it starts (`Date.now`), as far as the names are written out. */
export interface GlobalUse { name: string, chain: string, node: Node, parent: Node | undefined }

/** Every use of a global in a program. */
export function globalUses (program: Node): GlobalUse[] {
  const found: GlobalUse[] = []
  visit(program, [], [], found)
  return found
}

function visit (node: Node, ancestors: Node[], scopes: Array<Set<string>>, found: GlobalUse[]): void {
  if (node.type.startsWith('TS')) {
    const value = VALUE_WRAPPERS.has(node.type) ? child(node, 'expression') : undefined
    if (value !== undefined) visit(value, [...ancestors, node], scopes, found)
    return
  }
  if (node.type === 'Identifier') {
    const name = textOf(node, 'name')
    if (isReference(node, ancestors.at(-1)) && !scopes.some((scope) => scope.has(name))) found.push({ name, chain: chainOf(node, ancestors), node, parent: ancestors.at(-1) })
    return
  }
  const own = declaredIn(node)
  const inner = own.size > 0 ? [...scopes, own] : scopes
  for (const one of children(node)) visit(one, [...ancestors, node], inner, found)
}

/** False for names of members, keys and labels, and for the names in import and export lists. */
function isReference (node: Node, parent: Node | undefined): boolean {
  if (parent === undefined) return true
  switch (parent.type) {
    case 'MemberExpression': return child(parent, 'object') === node || parent['computed'] === true
    case 'Property': return child(parent, 'value') === node || parent['computed'] === true
    case 'MethodDefinition':
    case 'PropertyDefinition':
    case 'AccessorProperty': return child(parent, 'value') === node || parent['computed'] === true
    case 'LabeledStatement':
    case 'BreakStatement':
    case 'ContinueStatement':
    case 'MetaProperty':
    case 'ImportSpecifier':
    case 'ImportDefaultSpecifier':
    case 'ImportNamespaceSpecifier':
    case 'ExportSpecifier': return false
    default: return true
  }
}

function chainOf (node: Node, ancestors: Node[]): string {
  const names = [textOf(node, 'name')]
  let below = node
  for (const above of ancestors.toReversed()) {
    if (above.type !== 'MemberExpression' || child(above, 'object') !== below) break
    const property = child(above, 'property')
    const name = above['computed'] === true ? textOf(property, 'value') : textOf(property, 'name')
    if (name === '') break
    names.push(name)
    below = above
  }
  // What hangs on the global object is the global.
  return (names.length > 1 && (names[0] === 'globalThis' || names[0] === 'global') ? names.slice(1) : names).join('.')
}

/** Names that a node declares for everything below it. */
function declaredIn (node: Node): Set<string> {
  const names = new Set<string>()
  const add = (pattern: Node | undefined): void => { for (const name of boundBy(pattern)) names.add(name) }
  const statements = (body: Node[]): void => {
    for (const statement of body) {
      const declaration = statement.type.startsWith('Export') ? child(statement, 'declaration') ?? statement : statement
      if (declaration.type === 'VariableDeclaration') list(declaration, 'declarations').forEach((one) => { add(child(one, 'id')) })
      else if (/^(?:Function|Class)Declaration$/.test(declaration.type)) add(child(declaration, 'id'))
      else if (declaration.type === 'ImportDeclaration') list(declaration, 'specifiers').forEach((one) => { add(child(one, 'local')) })
    }
  }
  switch (node.type) {
    case 'Program':
    case 'BlockStatement':
    case 'StaticBlock': statements(list(node, 'body')); break
    case 'FunctionBody': statements(list(node, 'statements').concat(list(node, 'body'))); break
    case 'SwitchStatement': statements(list(node, 'cases').flatMap((one) => list(one, 'consequent'))); break
    case 'ForStatement': statements([child(node, 'init')].filter((one) => one !== undefined)); break
    case 'ForInStatement':
    case 'ForOfStatement': statements([child(node, 'left')].filter((one) => one !== undefined)); break
    case 'CatchClause': add(child(node, 'param')); break
    case 'ClassExpression': add(child(node, 'id')); break
    case 'FunctionExpression':
    case 'FunctionDeclaration':
    case 'ArrowFunctionExpression':
      add(child(node, 'id'))
      list(node, 'params').forEach(add)
      break
    default:
  }
  return names
}

function boundBy (pattern: Node | undefined): string[] {
  switch (pattern?.type) {
    case undefined: return []
    case 'Identifier': return [textOf(pattern, 'name')]
    case 'AssignmentPattern': return boundBy(child(pattern, 'left'))
    case 'RestElement': return boundBy(child(pattern, 'argument'))
    case 'ArrayPattern': return list(pattern, 'elements').flatMap(boundBy)
    case 'ObjectPattern': return list(pattern, 'properties').flatMap((one) => boundBy(one.type === 'RestElement' ? child(one, 'argument') : child(one, 'value')))
    default: return []
  }
}
