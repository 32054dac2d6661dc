/** A request as bytes, the same in frames and on an ISO image, and its outputs as they come back. */
import { PlantError } from '../../../../protocols/kit/index.ts'
import { Outputs, type DroppedOutputs } from '../../../../protocols/order/index.ts'
import type { ScriptRun } from '../../line.ts'
import { OUTPUTS_BYTES_MAX, REQUEST_BYTES_MAX } from './constants.ts'

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
 * Reads what an action appended to `$PLANT_OUTPUT`: lines `Name=value`. Lines of another form, and what is beyond the bounds, are left out and
 * counted. The guest sends OUTPUTS_BYTES_MAX at most: as many are all that there was, or their last line is cut and others may be lost.
 */
export function parseOutputs (bytes: Uint8Array): { outputs: Record<string, string>, outputsDropped?: DroppedOutputs } {
  const outputs = new Outputs()
  const lines = Buffer.from(bytes).toString('utf8').split('\n')
  if (bytes.length >= OUTPUTS_BYTES_MAX) outputs.drop(lines.pop()?.split('=')[0] ?? '', `cut off, and whatever came after it: at most ${OUTPUTS_BYTES_MAX} bytes`)
  for (const line of lines) {
    const equals = line.indexOf('=')
    if (equals >= 0) outputs.put(line.slice(0, equals), line.slice(equals + 1))
    else if (line !== '') outputs.drop(line, 'not a line Name=value')
  }
  return { outputs: outputs.kept, ...(outputs.dropped.count > 0 && { outputsDropped: outputs.dropped }) }
}
