/** A proxy's end as a network interface of this host. */
import { PlantError } from '../../protocols/kit/index.ts'
import { openTap } from '../net/tap.ts'
import type { Uplink } from '../net/proxy-uplink.ts'
import { runTool } from '../setup/run-tool.ts'
import type { Context } from './context.ts'
import { stayJoined } from './join-again.ts'
import { joinNetwork, subnetOfStation, type EndOptions, type NetworkChoice } from './network-end.ts'

export interface TapOptions { tap?: string, bare?: boolean, address?: string }

/** Carries frames between the interface and the network until the user ends it; the interface goes with it. */
export async function tapEnd (c: Context, choice: NetworkChoice, ends: EndOptions, { tap: name, bare, address }: TapOptions): Promise<number> {
  const tap = openTap(name === undefined ? {} : { name })
  const gone = goneOf(tap.closed, tap.name)
  let uplink: Uplink | undefined
  let had: string | undefined
  let first = true
  tap.onFrame((frame) => { uplink?.send(frame) })
  const ip = async (...args: string[]): Promise<string> => runTool('ip', args, { failure: 'TAP_UNAVAILABLE', signal: c.signal })
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
      if (had !== undefined && had !== cidr) await ip('address', 'delete', had, 'dev', tap.name)
      if (cidr !== undefined) await ip('address', 'replace', cidr, 'dev', tap.name)
      had = cidr
      if (first) process.stdout.write(`ready ${JSON.stringify({ network: choice.network, networkId, tap: tap.name, mac: tap.mac, ...(cidr !== undefined && { address: cidr }) })}\n`)
      else c.out.note(`joined again${cidr === undefined ? '' : `, as ${cidr}`}`)
      first = false
    })
    return 0
  } finally {
    uplink?.close()
    tap.close()
  }
}

/** Somebody else may remove the interface. */
function goneOf (closed: AbortSignal, name: string): AbortSignal {
  const gone = new AbortController()
  closed.addEventListener('abort', () => { gone.abort(new PlantError('TAP_UNAVAILABLE', { name, problem: 'the interface was removed' })) }, { once: true })
  return gone.signal
}
