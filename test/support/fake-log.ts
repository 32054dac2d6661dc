/** A fake log that keeps what it was told. */
import type { Log } from '../../protocols/kit/index.ts'

export interface FakeLog extends Log { readonly lines: Array<{ level: string, fields: Record<string, unknown>, message: string }> }

export function fakeLog (): FakeLog {
  const lines: FakeLog['lines'] = []
  const at = (level: string) => (fields: Record<string, unknown>, message: string): void => { lines.push({ level, fields, message }) }
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
