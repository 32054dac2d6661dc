/** Names of the world, asked of the resolvers that this host uses; queries and answers go as they are. */
import { createSocket } from 'node:dgram'
import { getServers } from 'node:dns'
import { isIPv6 } from 'node:net'

/** Two tries at each of two servers fit into the five seconds after which most resolvers ask again. */
const TRY_MS = 1_200
const SERVERS_MAX = 2
const TRIES = 2
/** Of all machines of the plant: a resolver that is down must not cost descriptors without end. */
const UNDER_WAY_MAX = 256
const DNS_HEAD_BYTES = 12

let underWay = 0

/** The answer to a query; undefined when nobody answers in time, or too many are asked at once. */
export async function askOutside (query: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
  if (query.length < DNS_HEAD_BYTES || underWay >= UNDER_WAY_MAX) return undefined
  underWay++
  try {
    for (let i = 0; i < TRIES; i++) {
      for (const server of getServers().slice(0, SERVERS_MAX)) {
        const answer = await askOne(query, server, AbortSignal.any([signal, AbortSignal.timeout(TRY_MS)]))
        if (answer !== undefined || signal.aborted) return answer
      }
    }
    return undefined
  } finally {
    underWay--
  }
}

/** A socket of its own for each question, connected: nobody else's datagrams are taken for the answer, and its port is a new one. */
async function askOne (query: Uint8Array, server: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const { address, port } = placeOf(server)
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  const settled = Promise.withResolvers<Uint8Array | undefined>()
  const give = (): void => { settled.resolve(undefined) }
  signal.addEventListener('abort', give, { once: true })
  socket.on('error', give)
  socket.on('message', (message) => { if (message.length >= DNS_HEAD_BYTES && message[0] === query[0] && message[1] === query[1]) settled.resolve(message) })
  socket.connect(port, address, () => { socket.send(query, () => {}) })
  try {
    return await settled.promise
  } finally {
    signal.removeEventListener('abort', give)
    socket.close()
  }
}

/** `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`, as Node writes them. */
function placeOf (server: string): { address: string, port: number } {
  const [, address = server, port = '53'] = /^\[(.+)\]:(\d+)$/.exec(server) ?? /^([\d.]+):(\d+)$/.exec(server) ?? []
  return { address, port: Number(port) }
}
