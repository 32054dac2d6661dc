/** The grants service: gossip, directory and records bound to the book (core.ts). See README.md, Grants. */
import { Lifetime, PlantError, decode, encode, limiter, type Cancel, type KeyId, type Limiter } from '../kit/index.ts'
import { GRANT_LOOKUP_MS, GRANT_LOOKUPS_MAX, GRANT_LOOKUPS_WAITING_MAX, GRANT_REPUT_MS, GRANT_TOPIC, GRANTS_PER_KEY_MAX } from './constants.ts'
import { GrantBook, type GrantTriple } from './core.ts'
import { grantKey, openGrant, type Grant, type Ownership } from './domains.ts'
import { grantGossipSchema } from './messages.ts'
import type { Grants, GrantsComponents } from './index.ts'

export class GrantsService implements Grants {
  readonly #c: GrantsComponents
  readonly #book = new GrantBook()
  readonly #lifetime = new Lifetime()
  readonly #gate: Limiter = limiter(GRANT_LOOKUPS_MAX, GRANT_LOOKUPS_WAITING_MAX)
  /** Questions under way, so that many calls of one key ask once. */
  readonly #asking = new Map<string, Promise<void>>()
  /** Directory keys of what was published here; put there again, as the directory forgets. */
  readonly #published = new Map<string, Grant>()
  #cancelReput: Cancel = () => {}

  constructor (components: GrantsComponents) {
    this.#c = components
  }

  async start (): Promise<void> {
    for (const { signed } of this.#c.records.grants()) this.#keep(signed)
    this.#lifetime.own(await this.#c.pubsub.subscribe(GRANT_TOPIC, (_from, message) => this.#onGossip(message)))
    this.#lifetime.own(() => { this.#cancelReput() })
    this.#scheduleReput()
  }

  async stop (): Promise<void> {
    await this.#lifetime.end()
  }

  async publish (signed: Uint8Array, signal?: AbortSignal): Promise<void> {
    const grant = openGrant(this.#c.crypto, signed)
    const verdict = this.#book.offer(grant)
    if (verdict === 'full') throw new PlantError('LIMIT', { bound: 'grants', max: GRANTS_PER_KEY_MAX })
    if (verdict === 'known' && this.#book.grantOf(grant)?.issuedAtMs !== grant.issuedAtMs) {
      throw new PlantError('CALL_STALE', { problem: 'a newer grant or revocation is known', issuedAtMs: grant.issuedAtMs })
    }
    if (verdict === 'kept') this.#record(grant)
    const key = grantKey(this.#c.crypto, grant)
    if (this.#published.size < GRANTS_PER_KEY_MAX || this.#published.has(key)) this.#published.set(key, grant)
    // Gossip reaches the plants that are there now, the directory those that come later: one of the two must work.
    const told = await Promise.allSettled([this.#c.pubsub.publish(GRANT_TOPIC, encode({ signed })), this.#c.directory.put(key, signed, signal)])
    signal?.throwIfAborted()
    if (told.every((outcome) => outcome.status === 'rejected')) this.#c.log.warn({ domain: grant.domain }, 'a grant is kept here but could be told to no other plant')
  }

  take (signed: Uint8Array): void {
    this.#keep(signed, true)
  }

  async holds (domain: string, domainKey: KeyId, grantee: KeyId, signal?: AbortSignal): Promise<boolean> {
    const triple = { domain, domainKey, grantee }
    const known = this.#standing(triple)
    if (!known.ask) return known.standing
    await this.#ask(triple)
    signal?.throwIfAborted()
    return this.#standing(triple).standing
  }

  async mayCall (machine: Ownership, caller: KeyId, signal?: AbortSignal): Promise<boolean> {
    if (caller === machine.owner || caller === machine.domainKey) return true
    return this.holds(machine.domain, machine.domainKey, caller, signal)
  }

  #standing (triple: GrantTriple): { standing: boolean, ask: boolean } {
    return this.#book.standing(triple, this.#c.clock.nowMs(), this.#c.clock.monotonicMs())
  }

  /** Asks the directory; never fails: what is known here decides when it cannot be asked. */
  async #ask (triple: GrantTriple): Promise<void> {
    const key = grantKey(this.#c.crypto, triple)
    const under = this.#asking.get(key)
    if (under !== undefined) return under
    const asked = this.#gate.run(async () => this.#lookUp(key, triple), this.#lifetime.signal)
      .catch((error: unknown) => { this.#c.log.debug({ error, domain: triple.domain }, 'could not ask the directory for a grant') })
      .finally(() => { this.#asking.delete(key) })
    this.#asking.set(key, asked)
    return asked
  }

  async #lookUp (key: string, triple: GrantTriple): Promise<void> {
    const tooLong = new AbortController()
    const cancel = this.#c.clock.after(GRANT_LOOKUP_MS, () => { tooLong.abort(new PlantError('STREAM_TIMEOUT', { timeoutMs: GRANT_LOOKUP_MS })) })
    try {
      const signed = await this.#c.directory.get(key, AbortSignal.any([tooLong.signal, this.#lifetime.signal]))
      const grant = signed && openGrant(this.#c.crypto, signed)
      if (grant !== undefined && grantKey(this.#c.crypto, grant) === key && this.#book.offer(grant) === 'kept') this.#record(grant)
    } finally {
      cancel()
      // Also when it failed: a directory that hangs is not asked again for each of a stranger's calls.
      this.#book.answered(triple, this.#c.clock.monotonicMs())
    }
  }

  #onGossip (message: Uint8Array): 'accept' | 'ignore' | 'reject' {
    let grant: Grant
    try {
      grant = openGrant(this.#c.crypto, decode(grantGossipSchema, message).signed)
    } catch {
      return 'reject' // Not a signed grant: whoever wrote it is scored down, and there is nothing to keep.
    }
    const older = this.#book.grantOf(grant)
    if (older !== undefined || this.#c.concerns(grant.domain, grant.domainKey)) {
      if (this.#book.offer(grant) === 'kept') this.#record(grant)
      else if (older !== undefined) return 'ignore'
    }
    return 'accept'
  }

  /** Keeps a signed document that was not asked for; rubbish is passed over. */
  #keep (signed: Uint8Array, record = false): void {
    try {
      const grant = openGrant(this.#c.crypto, signed)
      // Anyone can make keys and grants: what was brought is kept only for domains that have a machine here.
      if (record && !this.#c.concerns(grant.domain, grant.domainKey)) return
      if (this.#book.offer(grant) === 'kept' && record) this.#record(grant)
    } catch (error) {
      this.#c.log.debug({ error }, 'a grant that does not open is passed over')
    }
  }

  #record (grant: Grant): void {
    const { domain, domainKey, grantee, signed } = grant
    this.#c.records.putGrant({ domain, domainKey, grantee, signed })
  }

  #scheduleReput (): void {
    if (this.#lifetime.ended) return
    this.#cancelReput = this.#c.clock.after(GRANT_REPUT_MS, () => {
      void this.#reput().finally(() => { this.#scheduleReput() })
    })
  }

  async #reput (): Promise<void> {
    for (const [key, grant] of this.#published) {
      if (this.#lifetime.ended) return
      await this.#c.directory.put(key, this.#book.grantOf(grant)?.signed ?? grant.signed, this.#lifetime.signal)
        .catch((error: unknown) => { this.#c.log.debug({ error, domain: grant.domain }, 'could not put a grant again') })
    }
  }
}
