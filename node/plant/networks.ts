/**
 * Puts the plant's machines on networks: each as soon as it runs, so that the network is there when its guest asks for an address; again when its
 * plant was started again; and off when it has ended, after which its addresses may be others'.
 */
import { PlantError, asPlantError, type Clock, type KeyId, type Log, type VmId } from '../../protocols/kit/index.ts'
import { networksOf, type Order, type OrderNetwork } from '../../protocols/order/order.ts'
import { cardMacOf } from '../../protocols/tunnel/card-mac.ts'
import type { Attachment, AttachTo, Device, MembershipProof, Networks, Station, WantedStation } from '../../protocols/tunnel/index.ts'
import type { MachineRecord } from '../../storage/records/records.ts'
import type { LiveMachine } from '../lines/line.ts'
import { hostNameOf } from './identity.ts'
import { orAborted } from './or-aborted.ts'

export interface MachineNetworksComponents {
  clock: Clock
  log: Log
  networks: Pick<Networks, 'attach'>
  /** The other end of a machine's card as what frames come out of. */
  deviceOf: (card: CardEnd) => Device
  /** By what the plant shows the other members that it has the machine. */
  proofOf: (vmId: VmId) => MembershipProof
  orderOf: (vmId: VmId) => Order
  /** Gives a machine's card a way out of its network; absent where the plant lets no machine out. */
  wayOut?: (card: Device) => OpenDevice
  /** A machine was given another address than the one that it had. */
  onStation: (vmId: VmId, on: OnNetwork) => void
}

/** A card with a way out, which its machine may take once it is known who it is. */
export interface OpenDevice extends Device { open (station: Station): void }

/** What a line hands out of a card. */
export type CardEnd = Awaited<ReturnType<LiveMachine['network']>>

/** Whose machine it is. */
export interface NetworkedMachine { vmId: VmId, order: Order, domainKey: KeyId }

/** A network that a machine is on, as its record has it. */
export type OnNetwork = NonNullable<MachineRecord['networks']>[number]

/** What is on in the end, in the order of the cards; nothing where it failed. */
interface Entry { stop: AbortController, joined: Promise<Attachment[]> }

/** Between two tries to put an adopted machine back: twice as long each time. */
const AGAIN_MS = 1_000
const AGAIN_MS_MAX = 60_000

/** See the head of this file. One machine has one entry: what takes over from another waits until that one is off. */
export class MachineNetworks {
  readonly #c: MachineNetworksComponents
  readonly #on = new Map<VmId, Entry>()

  constructor (components: MachineNetworksComponents) {
    this.#c = components
  }

  /** Machines that are on a network, or on their way there or off. */
  get size (): number { return this.#on.size }

  /** A new machine: resolves when its networks carry its frames, with what it has there at any time; none for an order without any. Throws as `Networks.attach`; then it is on none. */
  async attach (of: NetworkedMachine, machine: LiveMachine, signal: AbortSignal): Promise<OnNetwork[]> {
    const networks = networksOf(of.order)
    if (networks.length === 0) return []
    const attachments = await this.#enter(of.vmId, signal, async (stop) => this.#joinAll(of, machine, [], stop))
    return attachments.map((attachment, nth) => ({ name: networks[nth]?.name ?? '', get station () { return attachment.station } }))
  }

  /** A machine that an earlier run of the plant put on its networks; tried, in the background, until it is there again or has ended. */
  again ({ vmId, domainKey, networks = [] }: Pick<MachineRecord, 'vmId' | 'domainKey' | 'networks'>, machine: LiveMachine): void {
    if (networks.length === 0) return
    void this.#enter(vmId, undefined, async (stop) => {
      for (let pauseMs = AGAIN_MS; ; pauseMs = Math.min(2 * pauseMs, AGAIN_MS_MAX)) {
        try {
          return await this.#joinAll({ vmId, order: this.#c.orderOf(vmId), domainKey }, machine, networks, stop)
        } catch (error) {
          if (stop.aborted) return []
          const { code, details } = asPlantError(error)
          this.#c.log.warn({ vmId, code, ...details, nextMs: pauseMs }, 'a machine could not be put back on its networks; tried again')
        }
        await this.#pause(pauseMs, stop)
      }
    })
  }

  /** The machine is no more: nothing of it stays on a network, and its addresses are free. */
  gone (vmId: VmId): void {
    const entry = this.#on.get(vmId)
    if (entry === undefined) return
    entry.stop.abort(new PlantError('VM_STATE', { vmId, problem: 'it has ended' }))
    void entry.joined.then((attachments) => {
      for (const attachment of attachments) attachment.detach(true)
      if (this.#on.get(vmId) === entry) this.#on.delete(vmId)
    })
  }

  /** Those that are on their way are called off; the others keep what they have for the plant's next start. */
  async stop (): Promise<void> {
    const entries = [...this.#on.values()]
    this.#on.clear()
    for (const { stop } of entries) stop.abort(new PlantError('INTERRUPTED'))
    for (const { joined } of entries) for (const attachment of await joined) attachment.detach()
  }

  async #enter (vmId: VmId, signal: AbortSignal | undefined, work: (stop: AbortSignal) => Promise<Attachment[]>): Promise<Attachment[]> {
    const before = this.#on.get(vmId)
    before?.stop.abort(new PlantError('VM_STATE', { vmId, problem: 'another has taken over' }))
    const stop = new AbortController()
    const until = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
    const joined = (async () => {
      for (const attachment of await before?.joined ?? []) attachment.detach(true)
      until.throwIfAborted()
      return work(until)
    })()
    this.#on.set(vmId, { stop, joined: joined.catch(() => []) })
    return joined
  }

  /** All or none. `had` is what it has been given before. */
  async #joinAll (of: NetworkedMachine, machine: LiveMachine, had: readonly OnNetwork[], signal: AbortSignal): Promise<Attachment[]> {
    const proof = this.#c.proofOf(of.vmId)
    const ends = await Promise.allSettled(networksOf(of.order).map(async (network, nth) => {
      const mac = nth === 0 ? machine.mac : cardMacOf(of.vmId, nth)
      const station = had.find(({ name }) => name === network.name)?.station
      const card = nth === 0 ? machine : await machine.attachCard(mac, signal)
      const device = this.#c.deviceOf(await card.network())
      return this.#join(of, network, proof, station === undefined ? wantedOf(of, network, mac) : { ...station, mac }, device, signal)
    }))
    const joined = ends.flatMap((end) => end.status === 'fulfilled' ? end.value : [])
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed === undefined) return joined
    for (const attachment of joined) attachment.detach(had.length === 0)
    throw failed.reason
  }

  async #join ({ vmId, order, domainKey }: NetworkedMachine, { name, addressing, proxy, egress }: OrderNetwork, proof: MembershipProof, station: WantedStation | Station, device: Device, signal: AbortSignal): Promise<Attachment> {
    const to: AttachTo = { network: { domainKey, domain: order.domain, name }, addressing, proof, ...(proxy !== undefined && { via: proxy }) }
    const out = egress === true ? this.#c.wayOut?.(device) : undefined
    try {
      const attachment = await this.#c.networks.attach(to, station, out ?? device, signal)
      out?.open(attachment.station)
      attachment.onStation((now) => {
        out?.open(now)
        this.#c.onStation(vmId, { name, station: now })
      })
      return attachment
    } catch (error) {
      device.close()
      throw error
    }
  }

  async #pause (ms: number, stop: AbortSignal): Promise<void> {
    const over = Promise.withResolvers<void>()
    const cancel = this.#c.clock.after(ms, over.resolve)
    await orAborted(over.promise, stop).catch(cancel) // Stopped: the next try sees it.
  }
}

function wantedOf ({ vmId, order }: NetworkedMachine, { address, router, routes }: OrderNetwork, mac: string): WantedStation {
  return { mac, vmId, name: hostNameOf(order.metadata.name ?? '', vmId), ...(address !== undefined && { address }), ...(router === true && { router }), ...(routes !== undefined && { routes }) }
}
