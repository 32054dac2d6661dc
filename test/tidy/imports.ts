/** What a file imports, whichever way it says so. */
import { posix } from 'node:path'
import { child, list, textOf, walk, type Node, type Source } from './source.ts'

/** One import of a file. */
export interface Import {
  /** As written. */
  specifier: string
  /** Path in the house, for relative imports. */
  target?: string
  /** Gone when the file runs: `import type`, or only type specifiers. */
  typeOnly: boolean
  offset: number
}

/** Static imports and re-exports, `import()`, `import('…')` types and `require()`. */
export function importsOf (file: Source): Import[] {
  const found: Import[] = []
  const add = (from: Node | undefined, typeOnly: boolean): void => {
    const specifier = textOf(from, 'value')
    if (from === undefined || specifier === '') return
    const target = specifier.startsWith('.') ? posix.join(posix.dirname(file.path), specifier) : undefined
    found.push({ specifier, typeOnly, offset: from.start, ...(target !== undefined && { target }) })
  }
  walk(file.program, (node) => {
    switch (node.type) {
      case 'ImportDeclaration': {
        const specifiers = list(node, 'specifiers')
        add(child(node, 'source'), node['importKind'] === 'type' || (specifiers.length > 0 && specifiers.every((one) => one['importKind'] === 'type')))
        break
      }
      case 'ExportNamedDeclaration':
      case 'ExportAllDeclaration':
        add(child(node, 'source'), node['exportKind'] === 'type')
        break
      case 'ImportExpression':
        add(child(node, 'source'), false)
        break
      case 'TSImportType':
        add(child(node, 'source') ?? child(child(node, 'argument') ?? node, 'literal'), true)
        break
      case 'CallExpression':
        if (child(node, 'callee')?.['name'] === 'require') add(list(node, 'arguments')[0], false)
        break
      default:
    }
  })
  return found
}
