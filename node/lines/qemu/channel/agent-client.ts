/** The agent in the guest as the host sees it: runs scripts, gives the clone its identity, grows its disk. */
import { PlantError } from '../../../../protocols/kit/index.ts'
import type { GuestChannel, Identity, IdentityTaken, ScriptResult, ScriptRun } from '../../line.ts'
import { CLOCK_SKEW_MS_MAX, MESSAGE, TAKEN_WITHIN_MS } from './constants.ts'
import { GuestLink } from './guest-link.ts'
import type { LinkOptions } from './guest-link.ts'
import { encodeRequest } from './request.ts'

export interface AgentInfo {
  agentVersion: number
  /** The kernel's; another one means that the guest has booted again. A clone has its golden machine's: the kernel offers no way to change it. */
  bootId: string
}

export interface AgentClient extends GuestChannel {
  readonly kind: 'agent'
  /** Who answers; waits for the guest when it is just booting again. */
  hello (signal?: AbortSignal): Promise<AgentInfo>
  /** Gives the guest an identity; see `LiveMachine.identify`. Throws IDENTITY_FAILED naming the part that was not acknowledged. */
  identify (identity: Identity, signal?: AbortSignal): Promise<IdentityTaken>
  /**
   * Gives the guest an identity that it will not keep, for what that leaves: a random state of its own, ssh host keys made of it, and code that has run once. The
   * next `identify` keeps those keys, which are in no other machine. Throws as `identify` does.
   */
  rehearse (identity: Identity, signal?: AbortSignal): Promise<void>
  /** Grows the root file system to the disk's size, once the guest sees at least `diskBytesMin` of it. Returns the disk's size in bytes. */
  grow (diskBytesMin: number, signal?: AbortSignal): Promise<number>
  /** Has the guest write all that it holds to its disk. */
  sync (signal?: AbortSignal): Promise<void>
  /** Lets go of the socket; what is under way fails with VM_DIED. The machine goes on. */
  close (): void
}

/** Connects to the socket of port `org.plantmesh.agent`; resolves when the agent has answered. One at a time: QEMU serves one connection. */
export async function connectAgent (socketPath: string, options: LinkOptions): Promise<AgentClient> {
  return new SocketAgentClient(await GuestLink.connect(socketPath, options))
}

class SocketAgentClient implements AgentClient {
  readonly kind = 'agent'
  readonly #link: GuestLink
  #rehearsed = false

  constructor (link: GuestLink) { this.#link = link }

  async hello (signal?: AbortSignal): Promise<AgentInfo> {
    await this.#link.ready(TAKEN_WITHIN_MS, signal)
    return { agentVersion: this.#link.agentVersion, bootId: this.#link.bootId }
  }

  async run (run: ScriptRun, signal?: AbortSignal): Promise<ScriptResult> {
    const request = encodeRequest(run)
    return await this.#link.run(run, async (id) => {
      await this.#link.send(MESSAGE.BODY, id, request)
      await this.#link.send(MESSAGE.START, id, new Uint8Array())
      return undefined
    }, TAKEN_WITHIN_MS, signal)
  }

  async identify (identity: Identity, signal?: AbortSignal): Promise<IdentityTaken> {
    checkIdentity(identity)
    const sentAtMs = Date.now()
    // This host's own clock may jump meanwhile: the guest has the time that it was told, and what has passed since.
    const since = performance.now()
    const want = { machineId: identity.machineId, hostName: identity.hostName, mac: identity.mac, timeMs: String(sentAtMs), seed: Buffer.from(identity.seed).toString('hex'), ...(identity.ownerKey !== undefined && { ownerKey: identity.ownerKey }), ...(this.#rehearsed && { keepHostKeys: '1' }), ...(identity.networked && { network: '1' }) }
    const lines = Object.entries(want).map(([name, value]) => `${name}=${value}\n`).join('')
    const taken = await this.#link.call(MESSAGE.IDENTIFY, Buffer.from(lines), { signal })
    for (const part of ['machineId', 'hostName', 'mac'] as const) {
      if (taken[part] !== want[part]) throw new PlantError('IDENTITY_FAILED', { part, wanted: want[part], found: taken[part] })
    }
    if (taken['seed'] !== 'mixed') throw new PlantError('IDENTITY_FAILED', { part: 'seed' })
    const guestMs = Number(taken['timeMs'])
    if (!(guestMs >= sentAtMs - CLOCK_SKEW_MS_MAX && guestMs <= sentAtMs + (performance.now() - since) + CLOCK_SKEW_MS_MAX)) throw new PlantError('IDENTITY_FAILED', { part: 'clock', wanted: sentAtMs, found: taken['timeMs'] })
    const hostKey = taken['hostKey']
    return hostKey === undefined ? {} : { hostKey: hostKey.slice(0, 1024) }
  }

  async rehearse (identity: Identity, signal?: AbortSignal): Promise<void> {
    await this.identify(identity, signal)
    this.#rehearsed = true
  }

  async grow (diskBytesMin: number, signal?: AbortSignal): Promise<number> {
    const size = Buffer.alloc(8)
    size.writeBigUInt64BE(BigInt(diskBytesMin))
    const grown = await this.#link.call(MESSAGE.GROW, size, { signal })
    const diskBytes = Number(grown['diskBytes'])
    if (!(diskBytes >= diskBytesMin)) throw new PlantError('VM_START_FAILED', { problem: 'the guest\'s file system could not be grown', reason: grown['problem'] })
    return diskBytes
  }

  async sync (signal?: AbortSignal): Promise<void> {
    await this.#link.call(MESSAGE.SYNC, new Uint8Array(), { signal })
  }

  close (): void { this.#link.close() }
}

/** What goes into the guest's files as a line must be one: a bug of the caller otherwise, told as a failure because it names the part. */
function checkIdentity (identity: Identity): void {
  const sound: Record<string, boolean> = {
    mac: /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/.test(identity.mac),
    hostName: /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]{1,63})*$/.test(identity.hostName) && identity.hostName.length <= 64,
    machineId: /^[0-9a-f]{32}$/.test(identity.machineId),
    seed: identity.seed.length === 32,
    ownerKey: identity.ownerKey === undefined || /^ssh-ed25519 [A-Za-z0-9+/=]{68}$/.test(identity.ownerKey)
  }
  for (const [part, ok] of Object.entries(sound)) if (!ok) throw new PlantError('IDENTITY_FAILED', { part, problem: 'not of the form it must have' })
}
