/** Tenant networks with one rule broken in all plants, until it is mended: what the checker of networks must catch. */
import { ClaimedAddressing } from '../../../protocols/tunnel/address/addressing.ts'
import { Floods, floodTo } from '../../../protocols/tunnel/floods.ts'
import { Guard } from '../../../protocols/tunnel/guard.ts'
import { JoinedNetwork } from '../../../protocols/tunnel/joined.ts'
import type { SwitchPort } from '../../../protocols/tunnel/switch-port.ts'

/** Puts another method in a class's place, and returns what puts the right one back. */
function instead<T extends object, K extends keyof T> (proto: T, name: K, make: (right: T[K]) => T[K]): () => void {
  const right = proto[name]
  proto[name] = make(right)
  return () => { proto[name] = right }
}

/** What came out of a tunnel goes into the others, whose ends believe whatever comes out of one; what a machine says is guarded as ever. */
export function splitHorizonOff (): () => void {
  const peers = new WeakMap<Floods, Set<SwitchPort>>()
  const mended = [
    instead(Floods.prototype, 'from', (right) => function (this: Floods, port, scope) {
      const flood = right.call(this, port, scope)
      const known = peers.get(this) ?? new Set<SwitchPort>()
      peers.set(this, known)
      for (const one of [port, ...flood.ports]) if (one.kind === 'peer') known.add(one)
      return port.kind === 'peer' ? floodTo([...flood.ports, ...[...known].filter((one) => one !== port)]) : flood
    }),
    instead(Guard.prototype, 'speaker', (right) => function (this: Guard, port, view) {
      const speaker = right.call(this, port, view)
      return port.kind === 'peer' && typeof speaker === 'string' ? undefined : speaker
    }),
    instead(Guard.prototype, 'judge', (right) => function (this: Guard, nowMs, port, speaker, view) {
      return port.kind === 'peer' ? undefined : right.call(this, nowMs, port, speaker, view)
    })
  ]
  return () => { for (const mend of mended) mend() }
}

/** Whoever speaks is believed. */
export function guardOff (): () => void {
  const mended = [
    instead(Guard.prototype, 'speaker', (right) => function (this: Guard, port, view) {
      const speaker = right.call(this, port, view)
      return typeof speaker === 'string' ? undefined : speaker
    }),
    instead(Guard.prototype, 'judge', () => () => undefined)
  ]
  return () => { for (const mend of mended) mend() }
}

/** Only what a machine says of its IP address is believed. */
export function addressesUnguarded (): () => void { return instead(Guard.prototype, 'judge', () => () => undefined) }

/** Each plant counts addresses up by itself, and asks nobody. */
export function addressesUnclaimed (): () => void {
  const given = new WeakMap<ClaimedAddressing, number>()
  return instead(ClaimedAddressing.prototype, 'allot', () => async function (this: ClaimedAddressing, _network, { address: _, ...station }) {
    const count = (given.get(this) ?? 1) + 1
    given.set(this, count)
    return { ...station, addresses: [`10.192.0.${count}`], given: { sinceMs: 0, prefixBits: 10 } }
  })
}

/** A machine that has gone stays a station of its network. */
export function stationsThatStay (): () => void { return instead(JoinedNetwork.prototype, 'remove', () => () => {}) }
