/** What a plant tells of its networks, to those who may know: domain, grantees, and owners of machines on them here; what passes there only to domain and grantees. */
import { PlantError, type Clock, type KeyId, type PeerId } from '../../protocols/kit/index.ts'
import { STATIONS_TOLD_MAX, type NetworkHost, type NetworkTold } from '../../protocols/machine/index.ts'
import { captureDrops, captureFrame, captureHead } from '../../protocols/tunnel/pcapng.ts'
import type { NetworkId, NetworkView, Networks } from '../../protocols/tunnel/index.ts'
import type { Records, Whose } from '../../storage/records/records.ts'
import { LIVE_STATES } from './instance.ts'
import { orAborted } from './or-aborted.ts'

export interface NetworkDeskComponents {
  self: PeerId
  clock: Clock
  networks: Pick<Networks, 'list' | 'capture'>
  records: Pick<Records, 'machinesOf'>
  /** Whether the key is the owner's or the domain's, or was granted. */
  mayCall: (whose: Whose, caller: KeyId, signal: AbortSignal) => Promise<boolean>
}

/** Captures under way on a plant. */
const CAPTURES_MAX = 16
/** What a capture holds for a reader that is behind; what comes beyond is left out and counted. */
const CAPTURE_BYTES_MAX = 4 * 1024 * 1024
/** A capture ends within this when the plant leaves the network. */
const LOOK_EVERY_MS = 1_000
/** In one piece of a capture. */
const PIECE_BYTES = 64 * 1024

/** See the head of this file. */
export class NetworkDesk implements NetworkHost {
  readonly #c: NetworkDeskComponents
  #captures = 0

  constructor (components: NetworkDeskComponents) {
    this.#c = components
  }

  async told (caller: KeyId, network: NetworkId | undefined, signal: AbortSignal): Promise<NetworkTold[]> {
    const told: NetworkTold[] = []
    for (const view of this.#c.networks.list()) {
      if (network !== undefined && view.id !== network) continue
      if (await this.#maySee(view, caller, signal)) told.push(toldOf(view, this.#c.self, network !== undefined))
    }
    return told
  }

  async mayCapture (caller: KeyId, network: NetworkId, signal: AbortSignal): Promise<boolean> {
    const view = this.#c.networks.list().find(({ id }) => id === network)
    return view !== undefined && this.#ofDomain(view, caller, signal)
  }

  async capture (network: NetworkId, onBytes: (bytes: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<void> {
    if (this.#captures >= CAPTURES_MAX) throw new PlantError('LIMIT', { bound: 'captures at once', max: CAPTURES_MAX })
    this.#captures++
    const held = new HeldFrames()
    const cancel = this.#c.networks.capture(network, (atMs, frame) => { held.add(atMs, frame) })
    try {
      await onBytes(captureHead())
      let droppedTold = 0
      while (!signal.aborted && this.#c.networks.list().some(({ id }) => id === network)) {
        for (let piece = held.take(); piece !== undefined && !signal.aborted; piece = held.take()) await onBytes(piece)
        if (held.dropped > droppedTold) {
          droppedTold = held.dropped
          await onBytes(captureDrops(this.#c.clock.nowMs(), droppedTold))
        }
        await this.#more(held, signal)
      }
    } finally {
      cancel()
      this.#captures--
    }
  }

  async #more (held: HeldFrames, signal: AbortSignal): Promise<void> {
    const more = Promise.withResolvers<void>()
    const cancel = this.#c.clock.after(LOOK_EVERY_MS, more.resolve)
    held.onMore(more.resolve)
    await orAborted(more.promise, signal).catch(() => {}) // Stopped: the caller sees it.
    cancel()
  }

  async #maySee (view: NetworkView, caller: KeyId, signal: AbortSignal): Promise<boolean> {
    const { domain, domainKey, name } = view.network
    const own = this.#c.records.machinesOf({ owner: caller, domain, domainKey }, LIVE_STATES)
    return own.some(({ lease }) => lease.networks?.includes(name) === true) || this.#ofDomain(view, caller, signal)
  }

  async #ofDomain ({ network: { domain, domainKey } }: NetworkView, caller: KeyId, signal: AbortSignal): Promise<boolean> {
    return this.#c.mayCall({ owner: domainKey, domain, domainKey }, caller, signal)
  }
}

/** Frames for a capture's reader, as the file has them. */
class HeldFrames {
  #frames: Uint8Array[] = []
  #bytes = 0
  #wake: () => void = () => {}
  dropped = 0

  /** Copies the frame, or leaves it out. */
  add (atMs: number, frame: Uint8Array): void {
    if (this.#bytes + frame.length > CAPTURE_BYTES_MAX) this.dropped++
    else {
      const block = captureFrame(atMs, frame)
      this.#frames.push(block)
      this.#bytes += block.length
    }
    this.#wake()
  }

  /** Calls back with the next frame, or at once when there are some. */
  onMore (wake: () => void): void {
    this.#wake = wake
    if (this.#frames.length > 0) wake()
  }

  /** What there is, as long as one piece may be; undefined for none. */
  take (): Uint8Array | undefined {
    let count = 0
    let bytes = 0
    for (const frame of this.#frames) {
      if (count > 0 && bytes + frame.length > PIECE_BYTES) break
      count++
      bytes += frame.length
    }
    if (count === 0) return undefined
    const piece = new Uint8Array(bytes)
    let at = 0
    for (const frame of this.#frames.splice(0, count)) {
      piece.set(frame, at)
      at += frame.length
    }
    this.#bytes -= bytes
    return piece
  }
}

function toldOf ({ id, network: { name, domain, domainKey }, addressing, members, stations, ports }: NetworkView, plant: PeerId, detailed: boolean): NetworkTold {
  const brief = { id, name, domain, domainKey, addressing, plant, members: members.length, machines: ports.filter(({ kind }) => kind === 'machine').length, stations: stations.length }
  if (!detailed) return brief
  return {
    ...brief,
    detail: {
      members: members.map(({ peer, state, relayed, queuedBytes }) => ({ peer, state, relayed, queuedBytes })),
      stations: stations.slice(0, STATIONS_TOLD_MAX).map(({ mac, addresses, vmId, name: host, router, at }) => ({
        mac, addresses: [...addresses], ...(vmId !== undefined && { vmid: vmId }), ...(host !== undefined && { name: host }), ...(router !== undefined && { router }), plant: at
      })),
      ports: ports.map(({ drops, ...port }) => ({ ...port, drops: { ...drops } }))
    }
  }
}
