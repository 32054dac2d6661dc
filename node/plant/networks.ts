/**
 * Puts the plant's machines on networks: each as soon as it runs, so that the network is there when its guest asks for an address; again when its
 * plant was started again; and off when it has ended, after which its address may be another's.
 */
import { PlantError, asPlantError, type Clock, type KeyId, type Log, type VmId } from '../../protocols/kit/index.ts'
import type { Order } from '../../protocols/order/order.ts'
import type { Attachment, AttachTo, Device, MembershipProof, Networks, Station, WantedStation } from '../../protocols/tunnel/index.ts'
import type { MachineRecord } from '../../storage/records/records.ts'
import type { LiveMachine } from '../lines/line.ts'
import { hostNameOf } from './identity.ts'
import { orAborted } from './or-aborted.ts'

export interface MachineNetworksComponents {
  clock: Clock
  log: Log
  networks: Pick<Networks, 'attach'>
  /** A machine's card as what frames come out of. */
  cardOf: (machine: LiveMachine) => Promise<Device>
  /** By what the plant shows the other members that it has the machine. */
  proofOf: (vmId: VmId) => MembershipProof
  orderOf: (vmId: VmId) => Order
}

/** Whose machine it is. */
export interface NetworkedMachine { vmId: VmId, order: Order, domainKey: KeyId }

/** A network that a machine is on, as its record has it. */
export type OnNetwork = NonNullable<MachineRecord['networks']>[number]

interface Entry { stop: AbortController, joined: Promise<Attachment | undefined> }

/** Between two tries to put an adopted machine back: twice as long each time. */
const AGAIN_MS = 1_000
const AGAIN_MS_MAX = 60_000

/** See the head of this file. One machine has one entry: a card that takes over from another waits until that one is off. */
export class MachineNetworks {
  readonly #c: MachineNetworksComponents
  readonly #on = new Map<VmId, Entry>()

  constructor (components: MachineNetworksComponents) {
    this.#c = components
  }

  /** Machines that are on a network, or on their way there or off. */
  get size (): number { return this.#on.size }

  /** A new machine: resolves when its network carries its frames, with what it was given; none for an order without one. Throws as `Networks.attach`. */
  async attach (of: NetworkedMachine, machine: LiveMachine, signal: AbortSignal): Promise<OnNetwork[]> {
    const { network } = of.order
    if (network === undefined) return []
    const wanted = { ...stationOf(of, machine), ...(network.address !== undefined && { address: network.address }) }
    const { joined } = this.#enter(of.vmId, signal, async (stop) => this.#join(of, network, wanted, machine, stop))
    const attachment = await joined
    if (attachment === undefined) throw new PlantError('VM_DIED', { vmId: of.vmId, reason: 'it ended while it was put on its network' })
    return [{ name: network.name, station: attachment.station }]
  }

  /** A machine that an earlier run of the plant put on its networks; tried, in the background, until it is there again or has ended. */
  again ({ vmId, domainKey, networks = [] }: Pick<MachineRecord, 'vmId' | 'domainKey' | 'networks'>, machine: LiveMachine): void {
    const [on] = networks
    if (on === undefined) return
    this.#enter(vmId, undefined, async (stop) => {
      for (let pauseMs = AGAIN_MS; ; pauseMs = Math.min(2 * pauseMs, AGAIN_MS_MAX)) {
        try {
          const order = this.#c.orderOf(vmId)
          return order.network && await this.#join({ vmId, order, domainKey }, order.network, { ...on.station, mac: machine.mac }, machine, stop)
        } catch (error) {
          if (stop.aborted) return undefined
          const { code, details } = asPlantError(error)
          this.#c.log.warn({ vmId, network: on.name, code, ...details, nextMs: pauseMs }, 'a machine could not be put back on its network; tried again')
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
    void entry.joined.then((attachment) => {
      attachment?.detach(true)
      if (this.#on.get(vmId) === entry) this.#on.delete(vmId)
    })
  }

  /** Those that are on their way are called off; the others stay for the plant's next start. */
  async stop (): Promise<void> {
    const entries = [...this.#on.values()]
    this.#on.clear()
    for (const { stop } of entries) stop.abort(new PlantError('INTERRUPTED'))
    for (const { joined } of entries) (await joined)?.detach()
  }

  /** `joined` gives undefined for what failed; who begins it is told by what it returns. */
  #enter (vmId: VmId, signal: AbortSignal | undefined, work: (stop: AbortSignal) => Promise<Attachment | undefined>): { joined: Promise<Attachment | undefined> } {
    const before = this.#on.get(vmId)
    before?.stop.abort(new PlantError('VM_STATE', { vmId, problem: 'another card has taken over' }))
    const stop = new AbortController()
    const until = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
    const joined = (async () => {
      (await before?.joined)?.detach(true)
      until.throwIfAborted()
      return work(until)
    })()
    this.#on.set(vmId, { stop, joined: joined.catch(() => undefined) })
    return { joined }
  }

  async #join ({ vmId, order, domainKey }: NetworkedMachine, network: NonNullable<Order['network']>, station: WantedStation | Station, machine: LiveMachine, signal: AbortSignal): Promise<Attachment> {
    const { name, addressing, proxy } = network
    const to: AttachTo = { network: { domainKey, domain: order.domain, name }, addressing, proof: this.#c.proofOf(vmId), ...(proxy !== undefined && { via: proxy }) }
    const card = await this.#c.cardOf(machine)
    try {
      return await this.#c.networks.attach(to, station, card, signal)
    } catch (error) {
      card.close()
      throw error
    }
  }

  async #pause (ms: number, stop: AbortSignal): Promise<void> {
    const over = Promise.withResolvers<void>()
    const cancel = this.#c.clock.after(ms, over.resolve)
    await orAborted(over.promise, stop).catch(cancel) // Stopped: the next try sees it.
  }
}

function stationOf ({ vmId, order }: NetworkedMachine, { mac }: LiveMachine): WantedStation {
  return { mac, vmId, name: hostNameOf(order.metadata.name ?? '', vmId) }
}
