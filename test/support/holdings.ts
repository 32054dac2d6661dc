/** Cores of plants that tell what they hold, with real keys and signatures. */
import { keyIdOf, type GoldenId, type PeerId } from '../../protocols/kit/index.ts'
import { HoldingsCore, type HoldingsEffect } from '../../protocols/image/holdings-core.ts'
import type { Holding } from '../../protocols/image/holdings.ts'
import { makeKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { FakeRandom } from './fake-random.ts'

export interface HoldingPlant { core: HoldingsCore, peer: PeerId, key: ReturnType<typeof makeKey> }

/** A core with a key of its own, or with that one: the same plant started anew. */
export function holdingPlant (options: { key?: ReturnType<typeof makeKey>, epoch?: number } = {}): HoldingPlant {
  const key = options.key ?? makeKey()
  const peer = keyIdOf(key.publicKey) as string as PeerId
  const crypto = new NodeCrypto()
  const core = new HoldingsCore({ random: new FakeRandom(1), sign: (bytes) => key.sign(bytes), verify: (publicKey, bytes, signature) => crypto.verify(publicKey, bytes, signature) }, { self: peer, epoch: options.epoch ?? 1 })
  return { core, peer, key }
}

/** A golden machine as a plant tells of it; `n` makes its id. */
export function holding (n: number, more: Partial<Holding> = {}): Holding {
  return {
    goldenId: n.toString(16).padStart(32, '0') as GoldenId, name: `image-${n}`, os: 'tiny', isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512, line: '0123456789abcdef',
    done: new Uint8Array(0), ownBytes: 1 << 20, totalBytes: 4 << 20, usedS: 1_000 + n, ...more
  }
}

/** Wakes the core whenever it wants until this time; returns what it published and when. */
export function wakeTo (core: HoldingsCore, untilMs: number): Array<{ atMs: number, message: Uint8Array }> {
  const published: Array<{ atMs: number, message: Uint8Array }> = []
  while (core.wakeAtMs <= untilMs) {
    const atMs = core.wakeAtMs
    for (const effect of core.onWake(atMs)) if (effect.do === 'publish') published.push({ atMs, message: effect.message })
  }
  return published
}

/** What these effects do. */
export function kindsOf (effects: HoldingsEffect[]): string[] { return effects.map((effect) => effect.do) }
