/** A network stack in user space, which joins frames to connections of this host: what a client's end and a machine's way out are built on (`lines/qemu/user-network.ts` is one). */
import type { Duplex } from 'node:stream'

export interface UserNetworkInit {
  /** Its own address, and the network that it takes for its own: `10.192.0.0/24`. */
  host: string
  net: string
  /** Two addresses of `net`, neither `host`: it would serve names and leases there, which nobody asks for. */
  unused: readonly [string, string]
  /** It opens no connection to outside for anybody in the network. */
  restrict: boolean
}

/** A place of this host: an address and a port. */
export interface HostPort { host: string, port: number }

/** One that runs. */
export interface UserNetwork {
  /** Frames: u32 big-endian length, and the bytes. */
  readonly frames: Duplex
  /** Resolves when it is gone, with a sentence for people. */
  readonly ended: Promise<string>
  /** Whoever connects to a port here is connected to a machine's; takes effect at once. Throws VM_UNREACHABLE, or the signal's reason. */
  forward (from: HostPort, to: HostPort, signal: AbortSignal): Promise<void>
  /** Lets nobody else in by it; what is connected stays. Never rejects. */
  unforward (from: HostPort): Promise<void>
  end (): void
}

/** Starts one; resolves when it carries frames. Throws VMM_MISSING, VM_START_FAILED with the end of what it said, or the signal's reason; nothing is left then. */
export type StartUserNetwork = (init: UserNetworkInit, signal: AbortSignal) => Promise<UserNetwork>
