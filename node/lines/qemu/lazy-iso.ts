/** The ISO channel of a machine, connected on first use: few machines need it. */
import { PlantError } from '../../../protocols/kit/index.ts'
import { shortPath } from '../../drivers/socket-path.ts'
import type { GuestChannel, ScriptResult, ScriptRun } from '../line.ts'
import { connectIsoChannel } from './channel/iso-channel.ts'
import type { IsoChannel } from './channel/iso-channel.ts'
import { DISC_DAEMON_WITHIN_MS } from './limits.ts'

export interface LazyIsoInit {
  socketPath: string
  /** Where images are written while they are needed. */
  dir: string
  attachIso: (path: string) => Promise<() => Promise<void>>
}

/**
 * The ISO channel of a machine, connected on first use: few machines need it. Fails as the channel itself does; the next script tries anew
 * after a connection that failed.
 */
export class LazyIso implements GuestChannel {
  readonly kind = 'iso'
  readonly #init: LazyIsoInit
  #channel: Promise<IsoChannel> | undefined
  #closed = false

  constructor (init: LazyIsoInit) { this.#init = init }

  async run (run: ScriptRun, signal?: AbortSignal): Promise<ScriptResult> {
    if (this.#closed) throw new PlantError('VM_DIED', { reason: 'the machine was let go of' })
    const { socketPath, dir, attachIso } = this.#init
    const connecting = this.#channel ??= connectIsoChannel(shortPath(socketPath), { dir, attachIso, timeoutMs: DISC_DAEMON_WITHIN_MS })
    let channel: IsoChannel
    try {
      channel = await connecting
    } catch (error) {
      if (this.#channel === connecting) this.#channel = undefined // The next one tries anew.
      throw error
    }
    return await channel.run(run, signal)
  }

  close (): void {
    this.#closed = true
    this.#channel?.then((channel) => { channel.close() }, () => {}) // Never connected: nothing to close.
  }
}
