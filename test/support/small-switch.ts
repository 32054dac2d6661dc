/** A switch of a few lines for tests with real guests: every frame goes to every other port, and to the network's gateway. */
import type { Duplex } from 'node:stream'
import { NetworkGateway } from '../../protocols/tunnel/address/index.ts'
import type { Station } from '../../protocols/tunnel/types.ts'

interface Port { station: Station, stream: Duplex }

export class SmallSwitch {
  readonly gateway: NetworkGateway
  readonly #ports = new Set<Port>()
  readonly #watchers = new Set<(from: Station, frame: Buffer, at: 'guest' | 'gateway') => void>()

  constructor (network: string) {
    this.gateway = new NetworkGateway({ network, clock: { monotonicMs: () => performance.now() } })
    this.gateway.setStations(() => [...this.#ports].map(({ station }) => station))
  }

  /** Frames that guests send, and that the gateway answers to them. */
  watch (fn: (from: Station, frame: Buffer, at: 'guest' | 'gateway') => void): void { this.#watchers.add(fn) }

  /** Puts a machine's card (`LiveMachine.network`) on the network; returns what takes it off. */
  plug (station: Station, stream: Duplex): () => void {
    const port = { station, stream }
    this.#ports.add(port)
    this.gateway.setStations(() => [...this.#ports].map((one) => one.station))
    let rest = Buffer.alloc(0)
    stream.on('data', (piece: Buffer) => {
      rest = Buffer.concat([rest, piece])
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
        const frame = Buffer.from(rest.subarray(4, 4 + rest.readUInt32BE(0)))
        rest = rest.subarray(4 + frame.length)
        this.#onFrame(port, frame)
      }
    })
    return () => {
      this.#ports.delete(port)
      stream.destroy()
    }
  }

  /** What a station is told from now on. */
  change (mac: string, station: Station): void {
    for (const port of this.#ports) if (port.station.mac === mac) port.station = station
    this.gateway.setStations(() => [...this.#ports].map((one) => one.station))
  }

  #onFrame (from: Port, frame: Buffer): void {
    for (const fn of this.#watchers) fn(from.station, frame, 'guest')
    for (const port of this.#ports) if (port !== from) send(port, frame)
    for (const answer of this.gateway.onFrame(from.station, frame)) {
      for (const fn of this.#watchers) fn(from.station, Buffer.from(answer), 'gateway')
      send(from, answer)
    }
  }
}

function send ({ stream }: Port, frame: Uint8Array): void {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(frame.length)
  stream.write(Buffer.concat([head, frame]))
}
