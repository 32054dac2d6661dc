/** The host's own IPv4 addresses, which may change while it runs. */
import { networkInterfaces } from 'node:os'
import { ipv4Number } from '../../protocols/tunnel/ethernet.ts'

/** Asking takes some 50 us, too much for each packet; an address that has just come is known after this. */
const KNOWN_FOR_MS = 2_000

/** Gives them, no older than KNOWN_FOR_MS. */
export function ownAddresses (): () => readonly number[] {
  let known: { addresses: readonly number[], atMs: number } | undefined
  return () => {
    const nowMs = performance.now()
    if (known === undefined || nowMs - known.atMs > KNOWN_FOR_MS) {
      const addresses = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => ipv4Number(address))).filter((address) => address !== undefined)
      known = { addresses, atMs: nowMs }
    }
    return known.addresses
  }
}
