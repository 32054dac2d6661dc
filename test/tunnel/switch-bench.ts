/** A switch with ports that have names, for tests. */
import type { DropReason } from '../../protocols/tunnel/drops.ts'
import { SwitchCore, type PortId, type PortKind, type PortStation, type StationChange, type SwitchInit, type Verdict } from '../../protocols/tunnel/switch-core.ts'
import type { VmId } from '../../protocols/kit/index.ts'
import { GATEWAY, ip, mac } from './switch-frames.ts'

/** A machine's station by its number. */
export function machine (n: number, more: Partial<PortStation> = {}): PortStation {
  return { mac: mac(n), addresses: [ip(n)], vmId: n.toString(16).padStart(32, '0') as VmId, ...more }
}

/** What became of a frame, by names. */
export interface Seen { to: string[], gateway?: true, answer?: Uint8Array, drop?: DropReason, lease?: Verdict['lease'] }

export class SwitchBench {
  readonly core: SwitchCore
  readonly ids = new Map<string, PortId>()
  nowMs = 1_000_000

  constructor (init: Partial<SwitchInit> = {}) {
    this.core = new SwitchCore({ addressing: 'mesh', mtuBytes: 1500, ...init.addressing !== 'external' && { gateway: GATEWAY }, ...init })
  }

  /** Adds a port; a machine's has its station at once. */
  add (name: string, kind: PortKind, stations: PortStation[] = [], hasUplink = false): StationChange {
    const id = this.core.addPort(kind)
    if (id === undefined) throw new Error('no room for a port')
    this.ids.set(name, id)
    return this.core.setStations(id, stations, hasUplink)
  }

  id (name: string): PortId {
    const id = this.ids.get(name)
    if (id === undefined) throw new Error(`no port ${name}`)
    return id
  }

  set (name: string, stations: PortStation[], hasUplink = false): StationChange { return this.core.setStations(this.id(name), stations, hasUplink) }

  /** A frame comes from a port. */
  from (name: string, bytes: Uint8Array, offload?: Uint8Array): Seen {
    const { to, gateway, answer, drop, lease } = this.core.onFrame(this.nowMs, this.id(name), { bytes, ...offload !== undefined && { offload } })
    return {
      to: to.map((id) => [...this.ids].find(([, one]) => one === id)?.[0] ?? '?'), ...gateway && { gateway }, ...answer !== undefined && { answer }, ...drop !== undefined && { drop }, ...lease !== undefined && { lease }
    }
  }

  drops (name: string): Partial<Record<DropReason, number>> { return this.core.ports().find(({ port }) => port === this.id(name))?.drops ?? {} }
}

/** Two machines here (m1, m2), a member with machine 3 (peer), one with machine 4 and an uplink (proxy), and an uplink of our own. */
export function wholeBench (init: Partial<SwitchInit> = {}): SwitchBench {
  const bench = new SwitchBench(init)
  const given = init.addressing === 'external' ? { addresses: [] } : {}
  bench.add('m1', 'machine', [machine(1, given)])
  bench.add('m2', 'machine', [machine(2, given)])
  bench.add('peer', 'peer', [machine(3, given)])
  bench.add('proxy', 'peer', [machine(4, given)], true)
  bench.add('uplink', 'uplink')
  return bench
}
