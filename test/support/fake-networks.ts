/** Networks that only note who is on them. */
import type { PeerId, PlantError } from '../../protocols/kit/index.ts'
import type { Attachment, AttachTo, Device, NetworkId, NetworkView, Networks, Station, WantedStation } from '../../protocols/tunnel/index.ts'

export class FakeNetworks implements Networks {
  readonly said: string[] = []
  readonly views: NetworkView[] = []
  /** What the next attachments end in, one after the other; then they succeed. */
  readonly failures: PlantError[] = []
  /** Attachments do not resolve until told. */
  held: Promise<void> | undefined
  #sinks = new Map<NetworkId, Set<(atMs: number, frame: Uint8Array) => void>>()
  #next = 2

  async attach ({ network, proof }: AttachTo, station: WantedStation | Station, device: Device, signal: AbortSignal): Promise<Attachment> {
    this.said.push(`${station.mac} asks for ${network.name}${'handOvers' in proof ? '' : ' as a proxy'}`)
    if (this.held !== undefined) await Promise.race([this.held, new Promise((_resolve, reject) => { signal.addEventListener('abort', () => { reject(signal.reason) }) })])
    const failure = this.failures.shift()
    if (failure !== undefined) throw failure
    const { address, ...wanted } = station as WantedStation
    const given: Station = 'addresses' in station ? station : { ...wanted, addresses: [address ?? `10.192.0.${this.#next++}`] }
    this.said.push(`${station.mac} has ${given.addresses.join()}`)
    let on = true
    const detach = (gone = false): void => {
      if (on || gone) this.said.push(`${station.mac} is off${gone ? ' for good' : ''}`)
      on = false
    }
    device.closed.addEventListener('abort', () => { if (on) detach() })
    return { networkId: 'n' as NetworkId, station: given, onStation: () => {}, renew: async () => {}, detach }
  }

  list (): NetworkView[] { return this.views }

  stations (id: NetworkId): Array<Station & { at: PeerId }> { return this.views.find((view) => view.id === id)?.stations ?? [] }

  refusals (): Record<string, number> { return {} }

  capture (id: NetworkId, sink: (atMs: number, frame: Uint8Array) => void): () => void {
    const sinks = this.#sinks.get(id) ?? new Set()
    this.#sinks.set(id, sinks.add(sink))
    return () => { sinks.delete(sink) }
  }

  captures (id: NetworkId): number { return this.#sinks.get(id)?.size ?? 0 }

  passes (id: NetworkId, atMs: number, frame: Uint8Array): void { for (const sink of this.#sinks.get(id) ?? []) sink(atMs, frame) }

  async start (): Promise<void> {}
  async stop (): Promise<void> {}
}
