/**
 * What a plant knows of grants. Pure: a document or an answer of the directory goes in, what to keep comes out.
 *
 *   unknown ──(document)──> kept ──(newer document)──> kept        a revocation is a document like any other
 *   unknown ──(directory: none)──> absent ──(GRANT_ABSENT_MS)──> unknown
 */
import type { KeyId } from '../kit/index.ts'
import { GRANT_ABSENT_MS, GRANT_ANSWERS_MAX, GRANT_RECHECK_MS, GRANTS_KEPT_MAX, GRANTS_PER_KEY_MAX } from './constants.ts'
import { isInForce, supersedes, type Grant } from './domains.ts'

export interface GrantTriple { domainKey: KeyId, domain: string, grantee: KeyId }

/** `kept`: new or newer, to be recorded. `known`: this very document or an older one. `full`: a bound is reached. */
export type OfferVerdict = 'kept' | 'known' | 'full'

/** `ask`: the directory should be asked, and until it answers `standing` is what is known here. */
export interface Standing { standing: boolean, ask: boolean }

/** The newest grant of each (domain key, domain, grantee) that is known here; bounded by key and in all. */
export class GrantBook {
  readonly #grants = new Map<string, Grant>()
  readonly #perKey = new Map<KeyId, number>()
  /** When the directory last answered for a triple, in monotonic time. */
  readonly #answeredMs = new Map<string, number>()

  get size (): number { return this.#grants.size }

  /** Takes a grant whose signature holds. */
  offer (grant: Grant): OfferVerdict {
    const name = nameOf(grant)
    const known = this.#grants.get(name)
    if (known !== undefined) {
      if (!supersedes(grant, known)) return 'known'
      this.#grants.set(name, grant)
      return 'kept'
    }
    const ofKey = this.#perKey.get(grant.domainKey) ?? 0
    if (this.#grants.size >= GRANTS_KEPT_MAX || ofKey >= GRANTS_PER_KEY_MAX) return 'full'
    this.#grants.set(name, grant)
    this.#perKey.set(grant.domainKey, ofKey + 1)
    return 'kept'
  }

  /** The directory was asked and has answered (its document, if any, was offered before). */
  answered (triple: GrantTriple, monotonicMs: number): void {
    const name = nameOf(triple)
    this.#answeredMs.delete(name)
    this.#answeredMs.set(name, monotonicMs)
    const oldest = this.#answeredMs.size > GRANT_ANSWERS_MAX ? this.#answeredMs.keys().next().value : undefined
    if (oldest !== undefined) this.#answeredMs.delete(oldest)
  }

  /** Whether the grant stands as far as is known here, and whether that knowledge is too old to rest on. */
  standing (triple: GrantTriple, nowMs: number, monotonicMs: number): Standing {
    const name = nameOf(triple)
    const grant = this.#grants.get(name)
    const standing = grant !== undefined && isInForce(grant, nowMs)
    const answeredMs = this.#answeredMs.get(name)
    const believedMs = grant === undefined ? GRANT_ABSENT_MS : GRANT_RECHECK_MS
    return { standing, ask: answeredMs === undefined || monotonicMs - answeredMs >= believedMs }
  }

  grantOf (triple: GrantTriple): Grant | undefined {
    return this.#grants.get(nameOf(triple))
  }

  all (): Grant[] { return [...this.#grants.values()] }
}

/** Keys hold no space, so that no two triples share a name. */
function nameOf (triple: GrantTriple): string {
  return `${triple.domainKey} ${triple.grantee} ${triple.domain}`
}
