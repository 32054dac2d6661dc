/** The agent of a machine that was adopted while its guest could not answer: it is connected when somebody wants something of it. */
import { PlantError } from '../../../protocols/kit/index.ts'
import type { Identity, IdentityTaken, ScriptResult, ScriptRun } from '../line.ts'
import type { AgentClient, AgentInfo } from './channel/agent-client.ts'

/** Each call waits for the guest as the channel itself would; one that fails to reach it leaves the next to try anew. */
export class PatientAgent implements AgentClient {
  readonly kind = 'agent'
  readonly #connect: (signal?: AbortSignal) => Promise<AgentClient>
  #client: Promise<AgentClient> | undefined
  #closed = false

  constructor (connect: (signal?: AbortSignal) => Promise<AgentClient>) { this.#connect = connect }

  async hello (signal?: AbortSignal): Promise<AgentInfo> { return await (await this.#reach(signal)).hello(signal) }
  async run (run: ScriptRun, signal?: AbortSignal): Promise<ScriptResult> { return await (await this.#reach(signal)).run(run, signal) }
  async identify (identity: Identity, signal?: AbortSignal): Promise<IdentityTaken> { return await (await this.#reach(signal)).identify(identity, signal) }
  async rehearse (identity: Identity, signal?: AbortSignal): Promise<void> { await (await this.#reach(signal)).rehearse(identity, signal) }
  async grow (diskBytesMin: number, signal?: AbortSignal): Promise<number> { return await (await this.#reach(signal)).grow(diskBytesMin, signal) }
  async sync (signal?: AbortSignal): Promise<void> { await (await this.#reach(signal)).sync(signal) }

  close (): void {
    this.#closed = true
    this.#client?.then((client) => { client.close() }, () => {}) // Never connected: nothing to close.
  }

  async #reach (signal?: AbortSignal): Promise<AgentClient> {
    if (this.#closed) throw new PlantError('VM_DIED', { reason: 'the machine was let go of' })
    const connecting = this.#client ??= this.#connect(signal)
    try {
      return await connecting
    } catch (error) {
      if (this.#client === connecting) this.#client = undefined
      throw error
    }
  }
}
