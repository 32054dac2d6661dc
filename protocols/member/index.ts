/**
 * Who may do what: signed calls, domains, grants (README.md). Documents, not a stream protocol: they travel inside the messages of others,
 * by gossip and in the directory, and prove themselves.
 */
import type { Clock, Crypto, Directory, KeyId, Log, PubSub, Service } from '../kit/index.ts'
import type { Ownership } from './domains.ts'
import { GrantsService } from './service.ts'

export * from './constants.ts'
export * from './messages.ts'
export * from './calls.ts'
export * from './domains.ts'
export * from './hand-overs.ts'
export * from './joins.ts'
export { GrantBook, type GrantTriple, type OfferVerdict, type Standing } from './core.ts'

/** What keeps grants across restarts; `Records` does. */
export interface GrantStore {
  putGrant (grant: { domain: string, domainKey: KeyId, grantee: KeyId, signed: Uint8Array }): void
  grants (): Array<{ domain: string, domainKey: KeyId, grantee: KeyId, signed: Uint8Array }>
}

export interface GrantsComponents {
  crypto: Crypto
  directory: Directory
  pubsub: PubSub
  records: GrantStore
  clock: Clock
  log: Log
  /** Whether this plant has a machine of that domain: only then is a grant that gossip brought worth keeping. Cheap, synchronous. */
  concerns (domain: string, domainKey: KeyId): boolean
}

/** The grants that a plant knows, and how it learns of others. */
export interface Grants extends Service {
  /**
   * Tells the mesh of a signed grant or revocation: kept, gossiped and put into the directory. Throws MESSAGE_INVALID, SIGNATURE_INVALID,
   * LIMIT, or CALL_STALE when a newer one is known.
   */
  publish (signed: Uint8Array, signal?: AbortSignal): Promise<void>
  /** Keeps a grant that a caller brought along (`Call.credentials`), if it is sound and newer. Never throws. */
  take (signed: Uint8Array): void
  /** Whether the domain's key has granted this key; asks the directory when what is known here is missing or old. */
  holds (domain: string, domainKey: KeyId, grantee: KeyId, signal?: AbortSignal): Promise<boolean>
  /** Whether a key may call a machine: owner, domain's key, or granted. */
  mayCall (machine: Ownership, caller: KeyId, signal?: AbortSignal): Promise<boolean>
}

/** The grants service over the given components. */
export function grants (): (components: GrantsComponents) => Grants {
  return (components) => new GrantsService(components)
}
