/** The IPv4 addresses of this host, as they are now: a host is given another one while its plant runs. */
import { networkInterfaces } from 'node:os'
import { ipv4Number } from '../../protocols/tunnel/ethernet.ts'

/** Asked for each packet that leaves, so that the kernel is not. */
const KEPT_MS = 5_000

/** What returns them, at most 5 s old. */
export function ownAddresses (): () => ReadonlySet<number> {
  let known: ReadonlySet<number> = new Set()
  let untilMs = -Infinity
  return () => {
    const nowMs = performance.now()
    if (nowMs >= untilMs) {
      known = new Set(Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => ipv4Number(address))).filter((address) => address !== undefined))
      untilMs = nowMs + KEPT_MS
    }
    return known
  }
}
