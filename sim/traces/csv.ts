/** Comma-separated values (RFC 4180): quotes around cells that need them, doubled inside. Reading and writing. */
import { PlantError } from '../../protocols/kit/index.ts'

/** The rows of a text with the line on which each begins; blank lines are passed over. Throws TRACE_INVALID for a quote that is never closed. */
export function csvRows (text: string): Array<{ line: number, cells: string[] }> {
  const rows: Array<{ line: number, cells: string[] }> = []
  let cells: string[] = []
  let line = 1
  let began = 1
  const pattern = /(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r?\n|$)/gy
  let end = text.startsWith('\ufeff') ? 1 : 0
  while (end < text.length) {
    pattern.lastIndex = end
    const match = pattern.exec(text)
    if (match === null) throw new PlantError('TRACE_INVALID', { line, found: 'a quote that does not stand around a whole cell', allowed: 'CSV as RFC 4180 has it' })
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    line += match[0].split('\n').length - 1
    end = pattern.lastIndex
    if (match[3] === ',' && end < text.length) continue
    if (match[3] === ',') cells.push('')
    if (cells.length > 1 || cells[0] !== '') rows.push({ line: began, cells })
    cells = []
    began = line
  }
  return rows
}

/** One line of cells, ended; numbers in their shortest form, undefined and NaN as nothing. */
export function csvLine (cells: ReadonlyArray<string | number | boolean | undefined>): string {
  return cells.map((cell) => {
    if (cell === undefined || (typeof cell === 'number' && Number.isNaN(cell))) return ''
    const text = String(cell)
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }).join(',') + '\n'
}
