/**
 * One network at one plant: the switch, its ports and the gateway, with the bytes moved. A frame costs one look-up in the switch and one call for each port that
 * it goes to; nothing here waits.
 */
import type { Cancel, Clock, Log, PeerId } from '../kit/index.ts'
import { CAPTURES_MAX, MTU_BYTES, RESTORED_LEASE_MS } from './constants.ts'
import { formatMac } from './ethernet.ts'
import { wireFrames } from './offload.ts'
import { SwitchCore, type PortId, type PortStation, type Verdict } from './switch-core.ts'
import type { Device, Frame, Station } from './types.ts'
import type { Gateway, PortView } from './index.ts'

export interface VirtualNetworkComponents {
  /** None where the client's own LAN gives the addresses. */
  gateway?: Gateway
  clock: Clock
  log: Log
  /** All stations that are known, for names. */
  stations (): Iterable<Station>
  /** The client's own LAN gave a machine here an address, or another one. */
  onLease (mac: string, address: string): void
}

/** What a port's frames are handed to. */
interface Port {
  id: PortId
  kind: 'machine' | 'peer' | 'uplink'
  name: string
  takesOffload: boolean
  send (frame: Frame): void
  /** Of a machine; hosts behind an uplink are told by their cards. */
  station?: Station
}

/** A machine's or an uplink's place at the switch. */
export interface DevicePort {
  /** Its addresses have changed, or since when it is here. */
  setStation (station: PortStation): void
  remove (): void
}

/** A member's place at the switch. */
export interface PeerPort {
  onFrames (frames: readonly Frame[]): void
  setStations (stations: readonly PortStation[], hasUplink: boolean): void
  remove (): void
}

/** See the head of this file. One for each network that the plant is on. */
export class VirtualNetwork {
  readonly #c: VirtualNetworkComponents
  readonly #switch: SwitchCore
  readonly #gateway: Gateway | undefined
  readonly #ports = new Map<PortId, Port>()
  readonly #captures = new Set<(atMs: number, frame: Uint8Array) => void>()
  /** What the client's own LAN gave to machines here. */
  readonly #leases = new Map<string, string>()

  constructor (components: VirtualNetworkComponents) {
    this.#c = components
    const { gateway } = components
    this.#gateway = gateway
    this.#switch = new SwitchCore({ addressing: gateway === undefined ? 'external' : 'mesh', mtuBytes: MTU_BYTES, ...(gateway && { gateway: { mac: gateway.mac, address: gateway.address } }) })
    this.stationsChanged()
  }

  /** A machine's card, or an uplink; undefined when there is no port left. Its frames are taken from now on. */
  addDevice (kind: 'machine' | 'uplink', station: PortStation, device: Device): DevicePort | undefined {
    const id = this.#switch.addPort(kind)
    if (id === undefined) return undefined
    const port: Port = { id, kind, name: station.vmId ?? 'proxy', takesOffload: device.takesOffload, send: (frame) => { device.send(frame) }, ...(kind === 'machine' && { station }) }
    this.#ports.set(id, port)
    this.#setStations(port, [station], kind === 'uplink')
    device.onFrame((frame) => { this.#onFrame(port, frame) })
    return {
      setStation: (now) => {
        if (kind === 'machine') port.station = now
        this.#setStations(port, [now], kind === 'uplink')
      },
      remove: () => {
        device.onFrame(() => {}) // Whoever still has the device may go on sending: it is nobody's.
        this.#leases.delete(station.mac)
        this.#remove(id)
      }
    }
  }

  /** The tunnel to a member; undefined when there is no port left. */
  addPeer (peer: PeerId, send: (frame: Frame) => void): PeerPort | undefined {
    const id = this.#switch.addPort('peer')
    if (id === undefined) return undefined
    const port: Port = { id, kind: 'peer', name: peer, takesOffload: true, send }
    this.#ports.set(id, port)
    return {
      onFrames: (frames) => { for (const frame of frames) this.#onFrame(port, frame) },
      setStations: (stations, hasUplink) => { this.#setStations(port, stations, hasUplink) },
      remove: () => { this.#remove(id) }
    }
  }

  /** Names are looked up anew. */
  stationsChanged (): void { this.#gateway?.setStations(() => this.#c.stations()) }

  /** A machine here had this address of the client's own LAN before; believed until it asks again, which it does within RESTORED_LEASE_MS. */
  restoreLease (mac: string, address: string): void {
    this.#leases.set(mac, address)
    this.#switch.restoreLease(this.#c.clock.monotonicMs(), { mac, address, forMs: RESTORED_LEASE_MS })
  }

  /** The address that the client's own LAN gave to a machine here. */
  leaseOf (mac: string): string | undefined { return this.#leases.get(mac) }

  /** Hands on each frame that the switch takes in; one capture too many gets none. A sink that throws gets no more. */
  capture (sink: (atMs: number, frame: Uint8Array) => void): Cancel {
    // One function may be given twice.
    const own = (atMs: number, frame: Uint8Array): void => { sink(atMs, frame) }
    if (this.#captures.size < CAPTURES_MAX) this.#captures.add(own)
    return () => { this.#captures.delete(own) }
  }

  ports (): PortView[] {
    return this.#switch.ports().flatMap(({ port, kind, in: taken, out, drops }) => {
      const name = this.#ports.get(port)?.name
      return name === undefined ? [] : [{ kind, name, framesIn: taken.frames, bytesIn: taken.bytes, framesOut: out.frames, bytesOut: out.bytes, drops }]
    })
  }

  /** What does not hold is said where it concerns a machine here: it is not heard under that address. */
  #setStations ({ id, kind, name }: Port, stations: readonly PortStation[], hasUplink: boolean): void {
    const { refused } = this.#switch.setStations(id, stations, hasUplink)
    if (refused.length === 0) return
    if (kind === 'peer') this.#c.log.debug({ peer: name, count: refused.length, first: refused[0] }, 'a member told of stations that another has')
    else this.#c.log.warn({ station: name, count: refused.length, first: refused[0] }, 'a card or an address is another station\'s; what is sent by it is dropped until that one leaves')
  }

  #remove (id: PortId): void {
    this.#switch.removePort(id)
    this.#ports.delete(id)
  }

  #onFrame (from: Port, frame: Frame): void {
    if (!this.#ports.has(from.id)) return
    if (this.#captures.size > 0) this.#capture(frame.bytes)
    const verdict = this.#switch.onFrame(this.#c.clock.monotonicMs(), from.id, frame)
    if (verdict.to.length > 0) this.#forward(verdict.to, frame)
    if (verdict.gateway) this.#toGateway(from, frame)
    if (verdict.answer !== undefined) from.send({ bytes: verdict.answer })
    if (verdict.lease !== undefined) this.#onLease(verdict.lease)
  }

  #forward (to: readonly PortId[], frame: Frame): void {
    // Cut into segments once, however many ports want it so.
    let pieces: Uint8Array[] | undefined
    for (const id of to) {
      const port = this.#ports.get(id)
      if (port === undefined) continue
      if (frame.offload === undefined || port.takesOffload) {
        port.send(frame)
      } else {
        pieces ??= wireFrames(frame)
        for (const bytes of pieces) port.send({ bytes })
      }
    }
  }

  #toGateway (from: Port, frame: Frame): void {
    const [bytes] = wireFrames(frame)
    if (this.#gateway === undefined || bytes === undefined) return
    const station = from.station ?? { mac: sourceOf(bytes), addresses: [] }
    for (const answer of this.#gateway.onFrame(station, bytes)) {
      this.#switch.noteSent(from.id, answer.length)
      if (this.#captures.size > 0) this.#capture(answer)
      from.send({ bytes: answer })
    }
  }

  #onLease ({ mac, address }: NonNullable<Verdict['lease']>): void {
    if (this.#leases.get(mac) === address) return
    this.#leases.set(mac, address)
    this.#c.onLease(mac, address)
  }

  #capture (frame: Uint8Array): void {
    const atMs = this.#c.clock.nowMs()
    for (const sink of this.#captures) {
      try {
        sink(atMs, frame)
      } catch (error) {
        this.#captures.delete(sink)
        this.#c.log.warn({ error }, 'a capture failed and has ended')
      }
    }
  }
}

/** The card that a frame says it came from. */
function sourceOf (frame: Uint8Array): string {
  let mac = 0
  for (let at = 6; at < 12; at++) mac = mac * 256 + (frame[at] ?? 0)
  return formatMac(mac)
}
