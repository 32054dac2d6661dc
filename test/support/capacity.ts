/** Ads and keys for tests of the capacity protocol. */
import { makeKey } from '../../node/drivers/key-file.ts'
import type { DiskKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { CapacityCore } from '../../protocols/capacity/index.ts'
import type { PlantAd } from '../../protocols/capacity/index.ts'
import type { Random } from '../../protocols/kit/index.ts'

export function adOf (change: Partial<PlantAd> = {}): PlantAd {
  return {
    site: 'here', isa: 'x86_64', accelerator: 'tcg', cpus: 4, freeCpus: 4, memoryMiB: 4096, freeMemoryMiB: 4096, diskMiB: 20_000, freeDiskMiB: 20_000,
    machines: 32, freeMachines: 32, freeNetworks: 4, load: 0, goldenMachines: [{ name: 'tiny', os: 'tiny', isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }],
    goldenMore: false, ...change
  }
}

/** The same numbers for the same seed (mulberry32). */
export function seededRandom (seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(next() * 256)), int: (below) => Math.floor(next() * below) }
}

const crypto = new NodeCrypto()

export function coreOf (init: { key?: DiskKey, epoch?: number, seed?: number, viewPlantsMax?: number } = {}): CapacityCore & { key: DiskKey } {
  const key = init.key ?? makeKey()
  const core = new CapacityCore({ random: seededRandom(init.seed ?? 1), sign: (bytes) => key.sign(bytes), verify: (...args) => crypto.verify(...args) }, {
    self: key.peerId, epoch: init.epoch ?? 1, ...(init.viewPlantsMax === undefined ? {} : { viewPlantsMax: init.viewPlantsMax })
  })
  return Object.assign(core, { key })
}

/** The adverts that a core publishes up to then, with the times at which it does. */
export function runTo (core: CapacityCore, toMs: number): Array<{ atMs: number, message: Uint8Array }> {
  const published: Array<{ atMs: number, message: Uint8Array }> = []
  while (core.wakeAtMs <= toMs) {
    const atMs = core.wakeAtMs
    for (const effect of core.onWake(atMs)) if (effect.do === 'publish') published.push({ atMs, message: effect.message })
  }
  return published
}
