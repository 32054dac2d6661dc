/** The step between a network and a machine's actions: the guest has the addresses that it was given there. */
import { asPlantError, type Log } from '../../protocols/kit/index.ts'
import type { LiveMachine } from '../lines/line.ts'

/** A guest asks when it has taken its identity, and is answered at once. One that does not (it has no client, or sets addresses of its own) is not waited for any longer. */
const ADDRESSED_WITHIN_MS = 10_000

/** What the kernel routes to itself; the smallest busybox can look there. */
const SCRIPT = 'for address in $ADDRESSES; do until grep -qwF "$address" /proc/net/fib_trie; do sleep 0.05 || sleep 1; done; done'

/** Resolves when it has all of them, or has had its time. Throws as `GuestChannel.run`. */
export async function guestAddressed (live: LiveMachine, addresses: readonly string[], log: Log, signal: AbortSignal): Promise<void> {
  if (addresses.length === 0) return
  try {
    await live.channel('agent').run({ script: SCRIPT, parameters: { ADDRESSES: addresses.join(' ') }, files: {}, timeoutMs: ADDRESSED_WITHIN_MS }, signal)
  } catch (error) {
    const { code } = asPlantError(error)
    if (code !== 'ACTION_TIMEOUT') throw error
    log.warn({ vmId: live.vmId, addresses, waitedMs: ADDRESSED_WITHIN_MS }, 'a guest does not take the addresses that its networks gave it; its actions run without')
  }
}
