/** Keys and fakes for the tests of member; the fakes keep all in memory. */
import { makeKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { keyIdOf, type Clock, type Directory, type KeyId, type Log, type PeerId, type PubSub, type Signer } from '../../protocols/kit/index.ts'
import type { GrantStore } from '../../protocols/member/index.ts'

export const crypto = new NodeCrypto()

export const quietLog: Log = { debug () {}, info () {}, warn () {}, error () {} }

export interface Person { signer: Signer, id: KeyId }

export function person (): Person {
  const signer = makeKey()
  return { signer, id: keyIdOf(signer.publicKey) }
}

/** A directory in memory, shared by all who are given it; `down` makes it fail. */
export class FakeDirectory implements Directory {
  readonly values = new Map<string, Uint8Array>()
  gets = 0
  down = false
  async provide (): Promise<void> {}
  withdraw (): void {}
  async find (): Promise<PeerId[]> { return [] }
  async put (key: string, value: Uint8Array): Promise<void> {
    if (this.down) throw new Error('down')
    this.values.set(key, value)
  }

  async get (key: string): Promise<Uint8Array | undefined> {
    this.gets++
    if (this.down) throw new Error('down')
    return this.values.get(key)
  }
}

type Handler = (from: PeerId, message: Uint8Array) => 'accept' | 'ignore' | 'reject'

/** Gossip that reaches every subscriber at once. */
export class FakePubSub implements PubSub {
  readonly handlers = new Map<string, Set<Handler>>()
  async publish (topic: string, message: Uint8Array): Promise<void> {
    for (const handler of this.handlers.get(topic) ?? []) handler('peer' as PeerId, message)
  }

  async subscribe (topic: string, handler: Handler): Promise<() => void> {
    const handlers = this.handlers.get(topic) ?? new Set()
    this.handlers.set(topic, handlers.add(handler))
    return () => { handlers.delete(handler) }
  }
}

/** A clock that stands until it is set; `after` never fires. */
export class FakeStandingClock implements Clock {
  ms = 1_000_000
  nowMs (): number { return this.ms }
  monotonicMs (): number { return this.ms }
  after (): () => void { return () => {} }
}

export class FakeGrantStore implements GrantStore {
  readonly kept: Array<{ domain: string, domainKey: KeyId, grantee: KeyId, signed: Uint8Array }> = []
  putGrant (grant: { domain: string, domainKey: KeyId, grantee: KeyId, signed: Uint8Array }): void { this.kept.push(grant) }
  grants (): Array<{ domain: string, domainKey: KeyId, grantee: KeyId, signed: Uint8Array }> { return this.kept }
}
