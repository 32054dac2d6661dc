/**
 * A host's end of a network without any rights: connections of this host's programs into the network, by a TCP of user space. As a Device it sees what the network sends to its
 * one address and ARP, nothing else; what it sends has its own card's address, whichever the process behind it thinks it has.
 */
import { randomInt } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { PlantError, type Cancel } from '../../protocols/kit/index.ts'
import { contains, sizeOf, subnetOf, subnetText, type Ip4, type Subnet } from '../../protocols/tunnel/address/index.ts'
import { ipv4Text } from '../../protocols/tunnel/ethernet.ts'
import type { Device, Frame } from '../../protocols/tunnel/types.ts'
import { DialWatch, type DialOutcome } from './dial-watch.ts'
import { FrameStream } from './frame-stream.ts'
import { macBytes, setOwnMac, wantedBy } from './gateway-frames.ts'
import type { StartUserNetwork, UserNetwork } from './user-network.ts'

export interface UserGatewayInit {
  /** Its card and address in the network; what it reaches is in this subnet. */
  mac: string
  address: Ip4
  subnet: Subnet
  start: StartUserNetwork
  /** How long a machine may take to answer; DIAL_WITHIN_MS by default. */
  dialWithinMs?: number
}

export interface UserGateway extends Device {
  /**
   * A connection to a machine's port, once the machine has taken it. Throws VM_UNREACHABLE (refused, no answer, out of reach), LIMIT when too many are being opened,
   * or the signal's reason.
   */
  dial (address: Ip4, port: number, signal: AbortSignal): Promise<Socket>
}

/** Connections that are being opened at once, and in all: each takes a descriptor here and two in the process behind. */
const DIALLING_MAX = 64
const OPEN_MAX = 256
/** What a machine that is there needs three tries for (1 s, 2 s, 4 s; RFC 6298), and some. */
const DIAL_WITHIN_MS = 10_000
/** libslirp takes nothing longer for its own subnet, and needs no more: its neighbours are those that it is asked to reach. */
const OWN_PREFIX_BITS_MAX = 24

/** Starts one; resolves when it carries frames. Throws VMM_MISSING, VM_START_FAILED or the signal's reason. */
export async function userGateway (init: UserGatewayInit, signal: AbortSignal): Promise<UserGateway> {
  const own = subnetOf(init.address, Math.min(init.subnet.prefixBits, OWN_PREFIX_BITS_MAX))
  const unused = [2, 3, 4].map((n) => own.base + sizeOf(own) - n).filter((ip) => ip !== init.address).map(ipv4Text)
  const network = await init.start({ host: ipv4Text(init.address), net: subnetText(own), unused: [unused[0] ?? '', unused[1] ?? ''], restrict: true }, signal)
  return new NetworkedGateway(init, network)
}

class NetworkedGateway implements UserGateway {
  readonly takesOffload = false
  readonly #init: UserGatewayInit
  readonly #network: UserNetwork
  readonly #frames: FrameStream
  readonly #mac: Uint8Array
  readonly #watch = new DialWatch()
  readonly #localPorts = new Set<number>()
  #nextPort = randomInt(PORT_MIN, PORT_MAX)
  #dialling = 0

  constructor (init: UserGatewayInit, network: UserNetwork) {
    this.#init = init
    this.#network = network
    this.#mac = macBytes(init.mac)
    this.#frames = new FrameStream(network.frames, { takesOffload: false })
    this.closed.addEventListener('abort', () => { network.end() }, { once: true })
  }

  get closed (): AbortSignal { return this.#frames.closed }

  send (frame: Frame): void {
    if (!wantedBy(frame.bytes, this.#mac, this.#init.address)) return
    this.#watch.onFrame(frame.bytes)
    this.#frames.send(frame)
  }

  onFrame (fn: (frame: Frame) => void): void {
    this.#frames.onFrame((frame) => { if (setOwnMac(frame.bytes, this.#mac, this.#init.address)) fn(frame) })
  }

  close (): void { this.#network.end() }

  async dial (address: Ip4, port: number, signal: AbortSignal): Promise<Socket> {
    const to = { address: ipv4Text(address), port }
    const withinMs = this.#init.dialWithinMs ?? DIAL_WITHIN_MS
    if (!contains(this.#init.subnet, address) || address === this.#init.address) throw new PlantError('VM_UNREACHABLE', { ...to, problem: `outside of ${subnetText(this.#init.subnet)}` })
    if (this.#dialling >= DIALLING_MAX) throw new PlantError('LIMIT', { bound: 'DIALLING_MAX', max: DIALLING_MAX })
    if (this.#localPorts.size >= OPEN_MAX) throw new PlantError('LIMIT', { bound: 'OPEN_MAX', max: OPEN_MAX })
    const until = AbortSignal.any([signal, this.closed, AbortSignal.timeout(withinMs)])
    this.#dialling++
    try {
      return await this.#open(address, port, until)
    } catch (error) {
      signal.throwIfAborted()
      if (this.closed.aborted) throw new PlantError('VM_UNREACHABLE', { ...to, problem: `the user-mode network is gone: ${await this.#network.ended}` }, { cause: error })
      if (until.aborted) throw new PlantError('VM_UNREACHABLE', { ...to, problem: `no answer within ${withinMs / 1000} s` })
      throw error
    } finally {
      this.#dialling--
    }
  }

  /**
   * The forward is there for one connection only, at an address of its own that nobody could guess: loopback has 2^24. The connection's own port is chosen here, because the
   * machine tells connections apart by it and by nothing else.
   */
  async #open (address: Ip4, port: number, until: AbortSignal): Promise<Socket> {
    const host = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`
    const at = { host, port: randomInt(PORT_MIN, PORT_MAX) }
    const localPort = this.#takePort()
    let socket: Socket | undefined
    let forget: Cancel | undefined
    try {
      await this.#network.forward(at, { host: ipv4Text(address), port }, until)
      const outcome = new Promise<DialOutcome>((resolve, reject) => {
        forget = this.#watch.expect({ address, port, localPort }, resolve)
        until.addEventListener('abort', () => { reject(until.reason) }, { once: true })
      })
      socket = connect({ ...at, localAddress: host, localPort, noDelay: true, allowHalfOpen: true })
      const opened = socket
      const failed = new Promise<never>((_, reject) => { opened.once('error', reject) })
      socket.once('close', () => { this.#localPorts.delete(localPort) })
      if (await Promise.race([outcome, failed]) === 'refused') throw new PlantError('VM_UNREACHABLE', { address: ipv4Text(address), port, problem: 'refused: nothing listens there' })
      return opened
    } catch (error) {
      if (socket === undefined) this.#localPorts.delete(localPort)
      socket?.on('error', () => {}).destroy()
      throw error
    } finally {
      forget?.()
      void this.#network.unforward(at)
    }
  }

  #takePort (): number {
    do {
      this.#nextPort = this.#nextPort >= PORT_MAX ? PORT_MIN : this.#nextPort + 1
    } while (this.#localPorts.has(this.#nextPort))
    this.#localPorts.add(this.#nextPort)
    return this.#nextPort
  }
}

/** Neither privileged nor zero. */
const PORT_MIN = 1024
const PORT_MAX = 65_535
