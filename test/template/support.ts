/** Marks and golden machines for tests. */
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { makeKey } from '../../node/drivers/key-file.ts'
import { keyIdOf, type GoldenId, type KeyId, type Signer } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { signMark, type Mark } from '../../protocols/template/index.ts'

export const crypto = new NodeCrypto()

/** Some people, each with a key. */
export const people: Array<{ signer: Signer, key: KeyId }> = Array.from({ length: 4 }, () => {
  const signer = makeKey()
  return { signer, key: keyIdOf(signer.publicKey) }
})

export const goldenId = (number: number): GoldenId => number.toString(16).padStart(32, '0') as GoldenId

type Unsigned<M extends Mark> = M extends Mark ? Omit<M, 'by'> : never

/** A mark of one of the people, signed. */
export function markBy (person: number, mark: Unsigned<Mark>): Uint8Array {
  const { signer, key } = people[person] as { signer: Signer, key: KeyId }
  return signMark(signer, { ...mark, by: key } as Mark)
}

export const labelBy = (person: number, golden: number, label: string, atMs: number, on = true): Uint8Array =>
  markBy(person, { kind: 'label', goldenId: goldenId(golden), label, on, atMs })

export function goldenOf (number: number, more: Partial<Golden> = {}): Golden {
  return {
    goldenId: goldenId(number), name: 'workspace', os: 'tiny', hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }, lineFingerprint: 'line', actionsDone: [],
    files: [{ name: 'disk', bytes: 100, root: '0'.repeat(64) }], createdAtMs: number, ...more
  }
}
