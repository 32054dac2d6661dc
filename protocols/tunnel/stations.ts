/**
 * Which machine is at which port, and who holds which address. A MAC is held by one port: the newest proven, among equals the first. An address is
 * held by one MAC: the first, wherever that MAC moves. Who does not hold a key waits for it.
 */
import { STATIONS_MAX, STATIONS_PER_PORT_MAX, STATION_ADDRESSES_MAX } from './constants.ts'
import { Contest } from './contest.ts'
import { formatMac, ipv4Number, ipv4Text, isGroup, parseMac } from './ethernet.ts'
import type { PortId, SwitchPort } from './switch-port.ts'
import type { Station } from './types.ts'

/** A station as a port has it; `sinceMs` says when it was proven to be there, so that a machine that moved is believed at its new place at once. */
export interface PortStation extends Station { sinceMs?: number }

/** What of a port's stations does not hold; it does as soon as who has it leaves. */
export interface StationRefusal { mac: string, address?: string, problem: 'MAC_INVALID' | 'MAC_TAKEN' | 'ADDRESS_INVALID' | 'ADDRESS_TAKEN' | 'LIMIT', by?: PortId }

/** What came of announcing a port's stations. */
export interface StationChange { refused: StationRefusal[] }

/** A station at a port, whether it holds its MAC or waits for it. */
export class StationRecord {
  readonly port: SwitchPort
  readonly mac: number
  /** Counts up with each station: the earlier stays. */
  readonly order: number
  /** The order of the first that had this MAC, wherever it is now: ranks its claims to addresses. */
  addressOrder: number
  sinceMs: number
  isRouter: boolean
  isMachine: boolean
  wanted: readonly number[]
  /** Addresses of `wanted` that it holds. */
  held: readonly number[] = []
  holdsMac = false

  constructor (port: SwitchPort, mac: number, order: number, wanted: readonly number[], station: PortStation) {
    this.port = port
    this.mac = mac
    this.order = order
    this.addressOrder = order
    this.sinceMs = station.sinceMs ?? 0
    this.isRouter = station.router === true
    this.isMachine = station.vmId !== undefined
    this.wanted = wanted
  }
}

/** Told when a MAC is at another place, or nowhere any more. */
export type OnStation = (mac: number, now: StationRecord | undefined, before: StationRecord | undefined) => void

/** The stations of one switch; what ports announce is checked and bounded here. */
export class Stations {
  readonly #macs: Contest<number, StationRecord>
  readonly #addresses: Contest<number, StationRecord>
  readonly #ports = new Map<SwitchPort, Map<number, StationRecord>>()
  /** Who holds each MAC, for one look-up a frame. */
  readonly #byMac = new Map<number, StationRecord>()
  readonly #reserved: { mac: number | undefined, address: number | undefined }
  #count = 0
  #order = 0

  /** `reserved` are the gateway's, which no station may have. */
  constructor (reserved: { mac: number | undefined, address: number | undefined }, onStation: OnStation) {
    this.#reserved = reserved
    this.#macs = new Contest((a, b) => a.sinceMs > b.sinceMs || (a.sinceMs === b.sinceMs && a.order < b.order), (mac, now, before) => {
      this.#reseat(mac, now, before)
      onStation(mac, now, before)
    })
    this.#addresses = new Contest((a, b) => a.addressOrder < b.addressOrder, (address, now, before) => {
      if (before !== undefined) before.held = before.held.filter((one) => one !== address)
      if (now !== undefined) now.held = [...now.held, address]
    })
  }

  /** Announced by all ports, those that wait for their MAC too. */
  get count (): number { return this.#count }

  ofMac (mac: number): StationRecord | undefined { return this.#byMac.get(mac) }

  /** Who was given an IPv4 address. */
  ofAddress (address: number): StationRecord | undefined { return this.#addresses.holder(address) }

  /** A port's stations. */
  ofPort (port: SwitchPort): readonly StationRecord[] { return [...this.#ports.get(port)?.values() ?? []] }

  /** All that hold their MAC. */
  held (): StationRecord[] { return [...this.#byMac.values()] }

  /** Says which stations a port has from now on; those of before that are not among them leave it. */
  set (port: SwitchPort, stations: readonly PortStation[]): StationChange {
    const change: StationChange = { refused: [] }
    const before = this.#ports.get(port) ?? new Map<number, StationRecord>()
    const wanted = this.#checked(port, stations, change)
    for (const [mac, record] of before) if (!wanted.has(mac)) this.#leave(before, record)
    this.#ports.set(port, before)
    for (const [mac, { station, addresses }] of wanted) {
      const known = before.get(mac)
      if (known === undefined && this.#count >= STATIONS_MAX) {
        change.refused.push({ mac: station.mac, problem: 'LIMIT' })
        continue
      }
      const record = known === undefined ? this.#enter(before, port, mac, station, addresses) : this.#update(known, station, addresses)
      this.#tell(change, record)
    }
    return change
  }

  /** Takes a port's stations away. */
  remove (port: SwitchPort): void {
    const records = this.#ports.get(port)
    for (const record of records?.values() ?? []) if (records !== undefined) this.#leave(records, record)
    this.#ports.delete(port)
  }

  #enter (records: Map<number, StationRecord>, port: SwitchPort, mac: number, station: PortStation, addresses: readonly number[]): StationRecord {
    const record = new StationRecord(port, mac, ++this.#order, addresses, station)
    records.set(mac, record)
    this.#count++
    this.#macs.claim(mac, record)
    return record
  }

  /** What it claims already it claims again: a line that was full may have room now. */
  #update (record: StationRecord, station: PortStation, addresses: readonly number[]): StationRecord {
    const gone = record.wanted.filter((address) => !addresses.includes(address))
    record.wanted = addresses
    record.isRouter = station.router === true
    record.isMachine = station.vmId !== undefined
    record.sinceMs = station.sinceMs ?? 0
    for (const address of gone) this.#addresses.release(address, record)
    if (record.holdsMac) for (const address of addresses) this.#addresses.claim(address, record)
    this.#macs.claim(record.mac, record)
    return record
  }

  #leave (records: Map<number, StationRecord>, record: StationRecord): void {
    records.delete(record.mac)
    this.#count--
    this.#macs.release(record.mac, record)
  }

  /** A MAC changes hands: its addresses go with it, in the place in line that they had. */
  #reseat (mac: number, now: StationRecord | undefined, before: StationRecord | undefined): void {
    if (before !== undefined) {
      before.holdsMac = false
      for (const address of before.wanted) this.#addresses.release(address, before)
    }
    if (now === undefined) {
      this.#byMac.delete(mac)
      return
    }
    this.#byMac.set(mac, now)
    now.holdsMac = true
    now.addressOrder = before?.addressOrder ?? now.order
    for (const address of now.wanted) this.#addresses.claim(address, now)
  }

  #tell (change: StationChange, record: StationRecord): void {
    const mac = formatMac(record.mac)
    const holder = this.#byMac.get(record.mac)
    if (holder !== undefined && holder !== record) {
      change.refused.push({ mac, problem: 'MAC_TAKEN', by: holder.port.id })
      return
    }
    for (const address of record.wanted) {
      const owner = this.#addresses.holder(address)
      if (owner !== undefined && owner !== record) change.refused.push({ mac, address: ipv4Text(address), problem: 'ADDRESS_TAKEN', by: owner.port.id })
    }
  }

  /** The stations that can be: what is no MAC or address of a machine, comes twice or is too much is refused. */
  #checked (port: SwitchPort, stations: readonly PortStation[], change: StationChange): Map<number, { station: PortStation, addresses: number[] }> {
    const max = port.kind === 'machine' ? 1 : STATIONS_PER_PORT_MAX
    const wanted = new Map<number, { station: PortStation, addresses: number[] }>()
    for (const station of stations) {
      const mac = parseMac(station.mac)
      if (mac === undefined || mac === 0 || isGroup(mac) || mac === this.#reserved.mac) change.refused.push({ mac: station.mac, problem: 'MAC_INVALID' })
      else if (wanted.has(mac)) change.refused.push({ mac: station.mac, problem: 'MAC_TAKEN', by: port.id })
      else if (wanted.size >= max) change.refused.push({ mac: station.mac, problem: 'LIMIT' })
      else wanted.set(mac, { station, addresses: this.#checkedAddresses(station, change) })
    }
    return wanted
  }

  #checkedAddresses (station: PortStation, change: StationChange): number[] {
    const addresses = new Set<number>()
    for (const text of station.addresses) {
      const address = ipv4Number(text)
      if (address === undefined || !isHostAddress(address) || address === this.#reserved.address) change.refused.push({ mac: station.mac, address: text, problem: 'ADDRESS_INVALID' })
      else if (addresses.size >= STATION_ADDRESSES_MAX) change.refused.push({ mac: station.mac, address: text, problem: 'LIMIT' })
      else addresses.add(address)
    }
    return [...addresses]
  }
}

/** Whether a host can have an IPv4 address: not 0.0.0.0/8, 127.0.0.0/8, multicast, reserved or broadcast. */
export function isHostAddress (address: number): boolean {
  const first = address >>> 24
  return first !== 0 && first !== 127 && first < 224
}
