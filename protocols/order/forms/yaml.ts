/** Orders as YAML 1.2: several documents separated by `---`. */
import { Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from 'yaml'
import { DOCUMENTS_MAX, FILE_BYTES_MAX, YAML_ALIASES_MAX } from '../constants.ts'
import { foundText, type Path } from '../problems.ts'
import { FormError, formProblem, oneLine, type RawDocument, type Written } from './document.ts'

/** The documents of a YAML text; empty ones are passed over. Throws FormError. */
export function readYaml (text: string): RawDocument[] {
  // Inside a scalar `---` never stands at the start of a line (YAML 1.2.2, 9.1.2), so counting lines bounds the work before parsing.
  const separators = text.match(/^---/gm)?.length ?? 0
  if (separators > DOCUMENTS_MAX * 2) throw new FormError([formProblem('there are too many documents', `${separators} documents`, `at most ${DOCUMENTS_MAX}`)])
  const lines = new LineCounter()
  const documents = parse(text, lines)
  const results: RawDocument[] = []
  for (const document of documents) {
    const troubles = [...document.errors, ...document.warnings]
    if (troubles.length > 0) {
      throw new FormError(troubles.slice(0, 10).map((trouble) => {
        const { line, col } = lines.linePos(trouble.pos[0])
        return formProblem(`is not valid YAML: ${oneLine(trouble.message)}`, `line ${line}, column ${col}`, 'YAML 1.2', line)
      }), results.length)
    }
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) continue
    refuseTwice(document, lines, results.length)
    let value: unknown
    try {
      value = document.toJS({ maxAliasCount: YAML_ALIASES_MAX })
    } catch (cause) {
      throw new FormError([formProblem(`its aliases cannot be resolved: ${oneLine(String(cause))}`, 'aliases', `at most ${YAML_ALIASES_MAX} aliases, counted through nesting`)], results.length)
    }
    results.push({ value, problems: [], lineOf: (path) => lineOf(document, lines, path) })
  }
  return results
}

function parse (text: string, lineCounter: LineCounter): Document.Parsed[] {
  try {
    const documents = parseAllDocuments(text, { lineCounter, prettyErrors: false, strict: true, uniqueKeys: false, stringKeys: true, schema: 'core' })
    return Array.isArray(documents) ? documents as Document.Parsed[] : []
  } catch (cause) {
    // The parser recurses: nesting that is too deep for it ends here.
    throw new FormError([formProblem(`is not valid YAML: ${oneLine(String(cause))}`, 'text that the parser gives up on', 'YAML 1.2')])
  }
}

/** Fields given twice. The parser's own test compares each with all before it, which a long map would make quadratic. */
function refuseTwice (document: Document.Parsed, lines: LineCounter, index: number): void {
  visit(document, {
    Map: (_key, node) => {
      const seen = new Set<string>()
      for (const { key } of node.items) {
        if (!isScalar(key)) continue
        const name = String(key.value)
        if (seen.has(name)) {
          const line = key.range === null || key.range === undefined ? undefined : lines.linePos(key.range[0]).line
          throw new FormError([formProblem('is not valid YAML: a field is there twice', `the field ${foundText(name)} twice`, 'each field once', line)], index)
        }
        seen.add(name)
      }
    }
  })
}

/** Walks the syntax tree along the path as far as it goes; the key's line where there is a key. */
function lineOf (document: Document.Parsed, lines: LineCounter, path: Path): number | undefined {
  let node: unknown = document.contents
  let offset = document.contents?.range?.[0]
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === part)
      if (pair === undefined) break
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node) && typeof part === 'number') {
      node = node.items[part]
      offset = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset
    } else break
  }
  return offset === undefined ? undefined : lines.linePos(offset).line
}

/** Documents as YAML, scripts of several lines as literal blocks where a block holds them exactly. */
export function writeYaml (written: readonly Written[]): string {
  return written.map(writeDocument).join('---\n')
}

function writeDocument (written: Written): string {
  const document = new Document(written, { version: '1.2', schema: 'core', aliasDuplicateObjects: false })
  visit(document, {
    Scalar: (_key, node) => {
      if (typeof node.value === 'string' && node.value.includes('\n')) node.type = isPlainBlock(node.value) ? 'BLOCK_LITERAL' : 'QUOTE_DOUBLE'
    }
  })
  return document.toString({ lineWidth: 0, doubleQuotedMinMultiLineLength: FILE_BYTES_MAX * 2 })
}

/**
 * True for text that a literal block gives back as it is: printable, no other line breaks than `\n`, no leading blank (it would be
 * indentation) and no line of blanks alone (YAML 1.2.2, 8.1.1.2 and 8.1.3). All else is written in double quotes, with escapes.
 */
function isPlainBlock (text: string): boolean {
  return /^[^\s]/.test(text) && !/^[ \t]+$/m.test(text) && /^[\n\t\u0020-\u007e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]*$/u.test(text)
}
