/** A proxy's end as a network interface of this host. */
import { networkInterfaces } from 'node:os'
import { PlantError } from '../../protocols/kit/index.ts'
import { openTap } from '../net/tap.ts'
import type { Uplink } from '../net/proxy-uplink.ts'
import { runTool } from '../setup/run-tool.ts'
import type { Context } from './context.ts'
import { tellReady } from './output.ts'
import { stayJoined } from './join-again.ts'
import { tellIfEmpty } from './list-networks.ts'
import { joinNetwork, subnetOfStation, type EndOptions, type NetworkChoice } from './network-end.ts'

export interface TapOptions { tap?: string, bare?: boolean, address?: string }

/** Carries frames between the interface and the network until the user ends it; the interface goes with it. */
export async function tapEnd (c: Context, choice: NetworkChoice, ends: EndOptions, { tap: name, bare, address }: TapOptions): Promise<number> {
  const tap = openTap(name === undefined ? {} : { name })
  const gone = goneOf(tap.closed, tap.name)
  let uplink: Uplink | undefined
  let first = true
  tap.onFrame((frame) => { uplink?.send(frame) })
  const given = new InterfaceAddress(tap.name)
  try {
    await stayJoined(c, async () => {
      const joined = await joinNetwork(c, choice, { ...ends, mac: tap.mac, takesOffload: true })
      return { joined, closed: AbortSignal.any([joined.closed, gone]) }
    }, async (now) => {
      uplink?.close()
      uplink = now?.joined
      if (uplink === undefined) return
      uplink.onFrame((frame) => { tap.send(frame) })
      const { station, networkId } = uplink
      const own = station.addresses[0]
      const cidr = bare === true || own === undefined ? undefined : `${own}/${subnetOfStation(station, address).prefixBits}`
      const mend = await given.set(cidr, c.signal)
      if (mend !== undefined) c.out.note(`${tap.name} has no address yet, which takes root: ${mend}`)
      if (first) {
        tellReady(c.out, { network: choice.network, networkId, tap: tap.name, mac: tap.mac, ...(cidr !== undefined && { address: cidr }) })
        void tellIfEmpty(c, { id: networkId, name: choice.network, domain: choice.domain })
      } else c.out.note(`joined again${cidr === undefined ? '' : `, as ${cidr}`}`)
      first = false
    })
    return 0
  } finally {
    uplink?.close()
    await given.remove()
    tap.close()
  }
}

/** The address that an interface is given for as long as we run: one that root made for its user stays when we go, and would keep it. */
class InterfaceAddress {
  readonly #name: string
  #had: string | undefined

  constructor (name: string) {
    this.#name = name
  }

  /** In place of the one before. Returns the line for root to type where this user may not, TAP_UNAVAILABLE is thrown for whatever else fails. */
  async set (cidr: string | undefined, signal: AbortSignal): Promise<string | undefined> {
    if (this.#had !== cidr) await this.remove()
    if (cidr === undefined || this.#has(cidr)) return undefined
    const args = ['address', 'replace', cidr, 'dev', this.#name]
    try {
      await runTool('ip', args, { failure: 'TAP_UNAVAILABLE', signal })
      this.#had = cidr
      return undefined
    } catch (error) {
      if (!(error instanceof PlantError && /not permitted/i.test(String(error.details['output'])))) throw error
      return `sudo ip ${args.join(' ')}`
    }
  }

  async remove (): Promise<void> {
    const had = this.#had
    this.#had = undefined
    if (had !== undefined) await runTool('ip', ['address', 'delete', had, 'dev', this.#name], { signal: AbortSignal.timeout(REMOVES_WITHIN_MS) }).catch(() => {}) // The interface went, and its address with it.
  }

  #has (cidr: string): boolean { return networkInterfaces()[this.#name]?.some((address) => address.cidr === cidr) === true }
}

const REMOVES_WITHIN_MS = 2_000

/** Somebody else may remove the interface. */
function goneOf (closed: AbortSignal, name: string): AbortSignal {
  const gone = new AbortController()
  closed.addEventListener('abort', () => { gone.abort(new PlantError('TAP_UNAVAILABLE', { name, problem: 'the interface was removed' })) }, { once: true })
  return gone.signal
}
