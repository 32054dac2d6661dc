/** SOCKS 5 (RFC 1928) without authentication: CONNECT to addresses and names of a network. Who may reach its port may reach the network. */
import type { Socket } from 'node:net'
import { PlantError, asPlantError } from '../../protocols/kit/index.ts'
import { relayServer, type RelayServer } from './relay-server.ts'
import { readSome } from './read-some.ts'

const VERSION = 5
const NO_AUTHENTICATION = 0
const NOT_ACCEPTABLE = 0xff
const CONNECT = 1
const KIND = { IPV4: 1, NAME: 3, IPV6: 4 } as const
/** RFC 1928, 6. */
const REPLY = { DONE: 0, FAILED: 1, UNREACHABLE_NETWORK: 3, UNREACHABLE: 4, REFUSED: 5, COMMAND: 7, ADDRESS_KIND: 8 } as const
/** How long a caller may take to say where it wants to. */
const SAID_WITHIN_MS = 10_000

/** Serves it; `dial` connects to a machine by address or name. Throws CONFIG_INVALID when the address cannot be listened on. */
export async function socksServer (at: { host: string, port: number }, dial: (machine: string, port: number, signal: AbortSignal) => Promise<Socket>, onFailure: (error: unknown) => void): Promise<RelayServer> {
  return relayServer(at, async (caller, signal) => {
    const { machine, port } = await destination(caller, signal)
    try {
      const there = await dial(machine, port, signal)
      caller.write(reply(REPLY.DONE))
      return there
    } catch (error) {
      caller.write(reply(replyTo(asPlantError(error))))
      throw error
    }
  }, onFailure)
}

/** Where the caller wants to; refuses all but CONNECT to IPv4 addresses and names. */
async function destination (caller: Socket, signal: AbortSignal): Promise<{ machine: string, port: number }> {
  const until = AbortSignal.any([signal, AbortSignal.timeout(SAID_WITHIN_MS)])
  const read = async (count: number): Promise<Buffer> => readSome(caller, count, until)
  const [version, methods = 0] = await read(2)
  if (version !== VERSION) throw unsound('not SOCKS 5')
  if (!(await read(methods)).includes(NO_AUTHENTICATION)) {
    caller.write(Buffer.of(VERSION, NOT_ACCEPTABLE))
    throw unsound('the caller insists on authentication, which there is none of')
  }
  caller.write(Buffer.of(VERSION, NO_AUTHENTICATION))
  const [again, command, , kind] = await read(4)
  if (again !== VERSION) throw unsound('not SOCKS 5')
  let machine: string
  if (kind === KIND.IPV4) machine = (await read(4)).join('.')
  else if (kind === KIND.NAME) machine = (await read((await read(1))[0] ?? 0)).toString('latin1')
  else {
    caller.write(reply(REPLY.ADDRESS_KIND))
    throw unsound('neither an IPv4 address nor a name', { kind })
  }
  const port = (await read(2)).readUInt16BE()
  if (command !== CONNECT) {
    caller.write(reply(REPLY.COMMAND))
    throw unsound('only CONNECT is served', { command })
  }
  return { machine, port }
}

function unsound (problem: string, details: Record<string, unknown> = {}): PlantError { return new PlantError('MESSAGE_INVALID', { path: 'socks', problem, ...details }) }

/** The address in a reply says where the connection comes from, which nobody uses: zeros, as most servers have it. */
function reply (code: number): Buffer { return Buffer.of(VERSION, code, 0, KIND.IPV4, 0, 0, 0, 0, 0, 0) }

function replyTo ({ code, details }: PlantError): number {
  if (code === 'NAME_UNKNOWN') return REPLY.UNREACHABLE
  if (code !== 'VM_UNREACHABLE') return REPLY.FAILED
  const problem = String(details['problem'])
  if (problem.startsWith('refused')) return REPLY.REFUSED
  return problem.startsWith('outside') ? REPLY.UNREACHABLE_NETWORK : REPLY.UNREACHABLE
}
