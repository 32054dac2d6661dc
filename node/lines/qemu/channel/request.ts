/** A request as bytes, the same in frames and on an ISO image, and its outputs as they come back. */
import { PlantError } from '../../../../protocols/kit/index.ts'
import type { ScriptRun } from '../../line.ts'
import { OUTPUTS_NAMES_MAX, OUTPUT_NAME_CHARS_MAX, REQUEST_BYTES_MAX } from './constants.ts'

const KIND = { SCRIPT: 1, PARAMETER: 2, FILE: 3, STDIN: 4 } as const

/** Encodes a request; throws LIMIT when it is too long, ORDER_INVALID when a name cannot be given to the guest. */
export function encodeRequest (run: ScriptRun): Buffer {
  const entries: Buffer[] = []
  const add = (kind: number, name: string, data: Uint8Array | string): void => {
    const nameBytes = Buffer.from(name)
    const dataBytes = typeof data === 'string' ? Buffer.from(data) : data
    const head = Buffer.alloc(9)
    head.writeUInt8(kind, 0)
    head.writeUInt32BE(nameBytes.length, 1)
    head.writeUInt32BE(dataBytes.length, 5)
    entries.push(head, nameBytes, Buffer.from(dataBytes))
  }
  for (const [name, value] of Object.entries(run.parameters)) {
    if (name === '' || /[=\0]/.test(name) || value.includes('\0')) throw new PlantError('ORDER_INVALID', { problem: 'not a name or value of an environment variable', parameter: name })
    add(KIND.PARAMETER, name, value)
  }
  for (const [path, text] of Object.entries(run.files)) {
    if (!path.startsWith('/') || path.endsWith('/') || path.includes('\0')) throw new PlantError('ORDER_INVALID', { problem: 'not the absolute path of a file', file: path })
    add(KIND.FILE, path, text)
  }
  if (run.stdin !== undefined) add(KIND.STDIN, '', run.stdin)
  add(KIND.SCRIPT, '', run.script)
  const request = Buffer.concat(entries)
  if (request.length > REQUEST_BYTES_MAX) throw new PlantError('LIMIT', { bound: 'REQUEST_BYTES_MAX', bytes: request.length, bytesMax: REQUEST_BYTES_MAX })
  return request
}

/**
 * Reads what an action appended to `$PLANT_OUTPUT`: lines `Name=value`, the last of a name counts. Lines of another form, names that are
 * no attribute names and whatever is beyond the bounds are left out.
 */
export function parseOutputs (text: string): Record<string, string> {
  const outputs = new Map<string, string>()
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=')
    const name = line.slice(0, equals)
    if (equals < 1 || name.length > OUTPUT_NAME_CHARS_MAX || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) continue
    if (outputs.size >= OUTPUTS_NAMES_MAX && !outputs.has(name)) continue
    outputs.set(name, line.slice(equals + 1))
  }
  return Object.fromEntries(outputs)
}
