/** A proxy's end as a network interface of this host. */
import { PlantError } from '../../protocols/kit/index.ts'
import { openTap } from '../net/tap.ts'
import { runTool } from '../setup/run-tool.ts'
import type { Context } from './context.ts'
import { joinNetwork, subnetOfStation, type EndOptions, type NetworkChoice } from './network-end.ts'
import { untilOver } from './until-over.ts'

export interface TapOptions { tap?: string, bare?: boolean, address?: string }

/** Carries frames between the interface and the network until the user or the plant ends it; the interface goes with it. */
export async function tapEnd (c: Context, choice: NetworkChoice, ends: EndOptions, { tap: name, bare, address }: TapOptions): Promise<number> {
  const tap = openTap(name === undefined ? {} : { name })
  try {
    const uplink = await joinNetwork(c, choice, { ...ends, mac: tap.mac, takesOffload: true })
    try {
      tap.onFrame((frame) => { uplink.send(frame) })
      uplink.onFrame((frame) => { tap.send(frame) })
      const { station, networkId } = uplink
      const own = station.addresses[0]
      const cidr = bare === true || own === undefined ? undefined : `${own}/${subnetOfStation(station, address).prefixBits}`
      if (cidr !== undefined) await runTool('ip', ['address', 'replace', cidr, 'dev', tap.name], { failure: 'TAP_UNAVAILABLE', signal: c.signal })
      process.stdout.write(`ready ${JSON.stringify({ network: choice.network, networkId, tap: tap.name, mac: tap.mac, ...(cidr !== undefined && { address: cidr }) })}\n`)
      await untilOver(c.signal, AbortSignal.any([uplink.closed, goneOf(tap.closed, tap.name)]))
      return 0
    } finally {
      uplink.close()
    }
  } finally {
    tap.close()
  }
}

/** Somebody else may remove the interface. */
function goneOf (closed: AbortSignal, name: string): AbortSignal {
  const gone = new AbortController()
  closed.addEventListener('abort', () => { gone.abort(new PlantError('TAP_UNAVAILABLE', { name, problem: 'the interface was removed' })) }, { once: true })
  return gone.signal
}
