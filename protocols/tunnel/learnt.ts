/**
 * Hosts behind uplinks, learnt from what they send: bounded per port and in all, forgotten when silent. Each port's hosts are a list from the longest
 * silent to the last heard, so that making room, ageing and hearing again cost a few pointers each, whatever the flood.
 */
import { LEARNT_LIFE_MS, LEARNT_MAX, LEARNT_MOVE_MS, LEARNT_PER_PORT_MAX } from './constants.ts'

interface Host<P> { mac: number, list: HostList<P>, heardAtMs: number, before: Host<P> | undefined, after: Host<P> | undefined }
interface HostList<P> { port: P, count: number, first: Host<P> | undefined, last: Host<P> | undefined }

/** A learnt host, for people. */
export interface LearntHost<P> { mac: number, port: P, heardAtMs: number }

/** The hosts behind the uplinks of one switch; `P` is what it calls a port. */
export class LearntHosts<P> {
  readonly #hosts = new Map<number, Host<P>>()
  readonly #lists = new Map<P, HostList<P>>()
  readonly #perPortMax: number
  readonly #max: number

  constructor (perPortMax = LEARNT_PER_PORT_MAX, max = LEARNT_MAX) {
    this.#perPortMax = perPortMax
    this.#max = max
  }

  get size (): number { return this.#hosts.size }

  /** How many are behind a port. */
  countOf (port: P): number { return this.#lists.get(port)?.count ?? 0 }

  /** Notes that a host was heard at a port. When it was heard at another one just now it stays there, and that one is the answer. */
  hear (mac: number, port: P, nowMs: number): P | undefined {
    let host = this.#hosts.get(mac)
    if (host !== undefined && host.list.port === port) {
      host.heardAtMs = nowMs
      if (host.after !== undefined) {
        unlink(host)
        append(host)
      }
      return undefined
    }
    if (host !== undefined) {
      if (nowMs - host.heardAtMs < LEARNT_MOVE_MS) return host.list.port
      this.#drop(host)
    }
    let list = this.#lists.get(port)
    if (list === undefined) this.#lists.set(port, list = { port, count: 0, first: undefined, last: undefined })
    host = { mac, list, heardAtMs: nowMs, before: undefined, after: undefined }
    this.#makeRoom(list, nowMs)
    append(host)
    this.#hosts.set(mac, host)
    return undefined
  }

  /** Behind which port a host is, or undefined when it is not known or was silent too long. */
  portOf (mac: number, nowMs: number): P | undefined {
    const host = this.#hosts.get(mac)
    if (host === undefined) return undefined
    if (nowMs - host.heardAtMs < LEARNT_LIFE_MS) return host.list.port
    this.#drop(host)
    return undefined
  }

  /** Forgets one host: it turned out to be a machine of the network. */
  forget (mac: number): void {
    const host = this.#hosts.get(mac)
    if (host !== undefined) this.#drop(host)
  }

  /** Forgets all hosts of a port that is gone or is no uplink any more. */
  forgetPort (port: P): void {
    const list = this.#lists.get(port)
    while (list?.first !== undefined) this.#drop(list.first)
    this.#lists.delete(port)
  }

  /** All that were heard lately. */
  list (nowMs: number): Array<LearntHost<P>> {
    return [...this.#hosts.values()].filter(({ heardAtMs }) => nowMs - heardAtMs < LEARNT_LIFE_MS).map(({ mac, list, heardAtMs }) => ({ mac, port: list.port, heardAtMs }))
  }

  #makeRoom (list: HostList<P>, nowMs: number): void {
    while (list.first !== undefined && nowMs - list.first.heardAtMs >= LEARNT_LIFE_MS) this.#drop(list.first)
    if (list.first !== undefined && list.count >= this.#perPortMax) this.#drop(list.first)
    if (this.#hosts.size < this.#max) return
    // Its own first: a port that floods takes nothing from the others; one that has none yet takes from the one with most.
    let from = list
    if (from.count === 0) for (const other of this.#lists.values()) if (other.count > from.count) from = other
    if (from.first !== undefined) this.#drop(from.first)
  }

  #drop (host: Host<P>): void {
    unlink(host)
    this.#hosts.delete(host.mac)
  }
}

function append<P> (host: Host<P>): void {
  const { list } = host
  host.before = list.last
  host.after = undefined
  if (list.last === undefined) list.first = host
  else list.last.after = host
  list.last = host
  list.count++
}

function unlink<P> (host: Host<P>): void {
  const { list, before, after } = host
  if (before === undefined) list.first = after
  else before.after = after
  if (after === undefined) list.last = before
  else after.before = before
  list.count--
}
