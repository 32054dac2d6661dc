/** Where a proxy listens, and for what: the forms of `--socks` and `--publish`. */
import { isIPv4 } from 'node:net'
import { PlantError } from '../../protocols/kit/index.ts'

/** A port of this host that leads to a port of a machine. */
export interface Publication { host: string, port: number, machine: string, machinePort: number }

const LOOPBACK = '127.0.0.1'
const AT = /^(?:(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9][A-Za-z0-9.-]{0,252})):)?(\d{1,5})$/
const TO = /^(.*):([A-Za-z0-9][A-Za-z0-9._-]{0,252}):(\d{1,5})$/

/** `[HOST:]PORT`, on the loopback interface unless another is named; port 0 is any that is free. Throws USAGE. */
export function listenAt (text: string): { host: string, port: number } {
  const [, v6, host = v6 ?? LOOPBACK, port] = AT.exec(text) ?? []
  if (port === undefined || Number(port) > 65_535) throw new PlantError('USAGE', { found: text, allowed: '[HOST:]PORT, such as 1080, 127.0.0.1:1080 or [::1]:1080' })
  return { host, port: Number(port) }
}

/** `[HOST:]PORT:MACHINE:PORT`. Throws USAGE. */
export function publication (text: string): Publication {
  const [, at = '', machine = '', machinePort = ''] = TO.exec(text) ?? []
  const allowed = '[HOST:]PORT:MACHINE:PORT, such as 2222:workspace:22 or 127.0.0.1:8080:10.192.0.7:80'
  if (machine === '' || Number(machinePort) < 1 || Number(machinePort) > 65_535) throw new PlantError('USAGE', { found: text, allowed })
  try {
    return { ...listenAt(at), machine, machinePort: Number(machinePort) }
  } catch (cause) {
    throw new PlantError('USAGE', { found: text, allowed }, { cause })
  }
}

/** Whether only this host can reach it. */
export function isLoopback (host: string): boolean { return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.')) }
