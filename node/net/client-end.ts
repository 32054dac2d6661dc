/** A client's end of a network without rights: what the plant hands over on one side, this host's programs on the other; machines go by address or name. */
import { randomInt } from 'node:crypto'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { PlantError } from '../../protocols/kit/index.ts'
import { DEFAULT_SUBNET, GATEWAY_MAC, gatewayOf, type Ip4, type Subnet } from '../../protocols/tunnel/address/index.ts'
import { ipv4Number } from '../../protocols/tunnel/ethernet.ts'
import type { Device } from '../../protocols/tunnel/types.ts'
import { macBytes } from './gateway-frames.ts'
import { answerIn, isHostName, questionFrame, type NameAnswer } from './name-question.ts'
import { userGateway, type UserGateway } from './user-gateway.ts'
import type { StartUserNetwork } from './user-network.ts'

export interface ClientEndInit {
  mac: string
  address: Ip4
  subnet: Subnet
  start: StartUserNetwork
}

/** Connects this host's programs to machines of one network. */
export interface ClientEnd {
  /** A connection to a port of a machine, by dotted address or by its name in the network. Throws NAME_UNKNOWN, VM_UNREACHABLE, LIMIT or the signal's reason. */
  dial (machine: string, port: number, signal: AbortSignal): Promise<Socket>
  /** Aborted when the network or what carries connections into it is gone. */
  readonly closed: AbortSignal
  close (): void
}

/** The gateway of each plant answers for all of a network: no answer means that frames were lost, or that nobody gives names there. */
const ASK_AFTER_MS = [0, 300, 1_000, 2_000] as const
const ASKED_MAX = 64
/** Who has just joined does not know the other members yet, and so not their machines: until then a name that is not there is asked for again. */
const SETTLES_WITHIN_MS = 8_000
const ASK_AGAIN_MS = 400

/** Joins both; ends with the uplink, which it ends. Throws as `userGateway` does. */
export async function clientEnd (init: ClientEndInit, uplink: Device, signal: AbortSignal): Promise<ClientEnd> {
  const gateway = await userGateway(init, signal)
  return new UserEnd(init, uplink, gateway)
}

function goneOf (closed: AbortSignal): AbortSignal {
  const gone = new AbortController()
  closed.addEventListener('abort', () => { gone.abort(new PlantError('VM_UNREACHABLE', { problem: 'the user-mode network of this host has ended' })) }, { once: true })
  return gone.signal
}

class UserEnd implements ClientEnd {
  readonly #init: ClientEndInit
  readonly #uplink: Device
  readonly #gateway: UserGateway
  readonly #asked = new Map<number, (answer: NameAnswer) => void>()
  readonly #port = randomInt(32_768, 60_000)
  readonly #settledMs = performance.now() + SETTLES_WITHIN_MS
  readonly closed: AbortSignal

  constructor (init: ClientEndInit, uplink: Device, gateway: UserGateway) {
    this.#init = init
    this.#uplink = uplink
    this.#gateway = gateway
    this.closed = AbortSignal.any([uplink.closed, goneOf(gateway.closed)])
    this.closed.addEventListener('abort', () => { this.close() }, { once: true })
    gateway.onFrame((frame) => { uplink.send(frame) })
    uplink.onFrame((frame) => {
      if (this.#asked.size > 0) {
        const answer = answerIn(frame.bytes, { address: init.address, port: this.#port })
        if (answer !== undefined) return this.#asked.get(answer.id)?.(answer)
      }
      gateway.send(frame)
    })
  }

  async dial (machine: string, port: number, signal: AbortSignal): Promise<Socket> {
    const address = ipv4Number(machine) ?? await this.#found(machine, signal)
    return this.#gateway.dial(address, port, signal)
  }

  close (): void {
    this.#gateway.close()
    this.#uplink.close()
  }

  async #found (name: string, signal: AbortSignal): Promise<Ip4> {
    for (;;) {
      const address = await this.#lookUp(name, signal)
      if (address !== undefined) return address
      if (performance.now() > this.#settledMs) throw new PlantError('NAME_UNKNOWN', { name })
      await pause(ASK_AGAIN_MS, undefined, { signal: AbortSignal.any([signal, this.closed]) }).catch(() => {}) // Called off: the next look says so.
    }
  }

  /** Undefined when there is no such name. */
  async #lookUp (name: string, signal: AbortSignal): Promise<Ip4 | undefined> {
    signal.throwIfAborted()
    if (this.closed.aborted) throw this.closed.reason
    if (!isHostName(name)) throw new PlantError('NAME_UNKNOWN', { name, problem: 'neither an IPv4 address nor a host name' })
    if (this.#asked.size >= ASKED_MAX) throw new PlantError('LIMIT', { bound: 'ASKED_MAX', max: ASKED_MAX })
    let id = randomInt(1, 65_536)
    while (this.#asked.has(id)) id = randomInt(1, 65_536)
    const { mac, address } = this.#init
    const frame = { id, name, from: { mac: macBytes(mac), address, port: this.#port }, to: { mac: macBytes(GATEWAY_MAC), address: gatewayOf(DEFAULT_SUBNET) } }
    const answered = Promise.withResolvers<NameAnswer>()
    this.#asked.set(id, answered.resolve)
    const done = new AbortController()
    const until = AbortSignal.any([signal, this.closed, done.signal])
    try {
      const silence = this.#askAgain(() => { this.#uplink.send({ bytes: questionFrame(frame) }) }, until)
      const answer = await Promise.race([answered.promise, silence])
      signal.throwIfAborted()
      if (answer === undefined) throw new PlantError('NAME_UNKNOWN', { name, problem: 'the network\'s names do not answer' })
      return answer.addresses[0]
    } finally {
      done.abort()
      this.#asked.delete(id)
    }
  }

  /** Resolves when all tries are through. */
  async #askAgain (ask: () => void, until: AbortSignal): Promise<undefined> {
    for (const afterMs of ASK_AFTER_MS) {
      await pause(afterMs, undefined, { signal: until }).catch(() => {}) // Answered meanwhile, or called off: thrown below.
      if (until.aborted) break
      ask()
    }
    await pause(ASK_AFTER_MS.at(-1), undefined, { signal: until }).catch(() => {})
    return undefined
  }
}
