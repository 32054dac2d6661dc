/** Which ports get what goes to many, for each port that it may come from; made once, and anew when ports or stations change. */
import type { Stations } from './stations.ts'
import type { PortId, SwitchPort } from './switch-port.ts'

/** Everybody; those behind which there may be hosts that nobody announced; of stations only routers besides, which may give addresses. */
export type FloodScope = 'all' | 'uplinks' | 'servers'

/** The ports, and a verdict that says so. */
export interface Flood { ports: readonly SwitchPort[], verdict: { readonly to: readonly PortId[], readonly gateway: false } }

/** The floods of one switch. */
export class Floods {
  readonly #ports: ReadonlyMap<PortId, SwitchPort>
  readonly #stations: Stations
  readonly #made = new Map<SwitchPort, Partial<Record<FloodScope, Flood>>>()

  constructor (ports: ReadonlyMap<PortId, SwitchPort>, stations: Stations) {
    this.#ports = ports
    this.#stations = stations
  }

  /** To be called when a port came or went, or has other stations. */
  clear (): void { this.#made.clear() }

  /** Where a frame from a port goes: never back, and never from tunnel to tunnel. */
  from (port: SwitchPort, scope: FloodScope): Flood {
    let made = this.#made.get(port)
    if (made === undefined) this.#made.set(port, made = {})
    return made[scope] ??= this.#make(port, scope)
  }

  #make (from: SwitchPort, scope: FloodScope): Flood {
    const ports = [...this.#ports.values()].filter((port) => port !== from && !(port.kind === 'peer' && from.kind === 'peer') && this.#isMeant(port, scope))
    return floodTo(ports)
  }

  #isMeant (port: SwitchPort, scope: FloodScope): boolean {
    return scope === 'all' || port.hasUplink || (scope === 'servers' && this.#stations.ofPort(port).some(({ isRouter }) => isRouter))
  }
}

/** A flood to these ports. */
export function floodTo (ports: readonly SwitchPort[]): Flood {
  return { ports, verdict: { to: Object.freeze(ports.map(({ id }) => id)), gateway: false } }
}
