/** A port of a network's switch: what it is, and what went through it. */
import type { Branded } from '../kit/index.ts'
import { MACHINE_STORM_BURST, MACHINE_STORM_PER_S, PEER_STORM_BURST, PEER_STORM_PER_S, UPLINK_STORM_BURST, UPLINK_STORM_PER_S } from './constants.ts'
import type { DropReason } from './drops.ts'
import { StormBucket } from './storm.ts'

/** A port of one switch; never given again to another. */
export type PortId = Branded<number, 'PortId'>

/** One machine's card; the tunnel to a member plant or proxy; a way out behind which there may be many hosts. */
export type PortKind = 'machine' | 'peer' | 'uplink'

/** Frames and their bytes. */
export interface Traffic { frames: number, bytes: number }

/** A port for people. `in` is what came from it, dropped or not; `drops` are of these. */
export interface PortView {
  port: PortId, kind: PortKind, hasUplink: boolean, stations: number, learnt: number, in: Traffic, out: Traffic, drops: Partial<Record<DropReason, number>>
}

const STORMS: Record<PortKind, readonly [burst: number, perS: number]> = {
  machine: [MACHINE_STORM_BURST, MACHINE_STORM_PER_S], peer: [PEER_STORM_BURST, PEER_STORM_PER_S], uplink: [UPLINK_STORM_BURST, UPLINK_STORM_PER_S]
}

/** What a switch keeps of a port. */
export class SwitchPort {
  readonly id: PortId
  readonly kind: PortKind
  readonly storm: StormBucket
  /** Hosts that are nobody's station may be behind it. */
  hasUplink: boolean
  framesIn = 0
  bytesIn = 0
  framesOut = 0
  bytesOut = 0
  readonly drops = new Map<DropReason, number>()

  constructor (id: PortId, kind: PortKind) {
    this.id = id
    this.kind = kind
    this.hasUplink = kind === 'uplink'
    this.storm = new StormBucket(...STORMS[kind])
  }

  noteDrop (reason: DropReason): void { this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1) }

  noteOut (bytes: number): void {
    this.framesOut++
    this.bytesOut += bytes
  }

  view (stations: number, learnt: number): PortView {
    const { id: port, kind, hasUplink } = this
    return { port, kind, hasUplink, stations, learnt, in: { frames: this.framesIn, bytes: this.bytesIn }, out: { frames: this.framesOut, bytes: this.bytesOut }, drops: Object.fromEntries(this.drops) }
  }
}
