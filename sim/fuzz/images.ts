/** What must hold of golden machines of the mesh. Looks at disks, at shelves, and at what came over the lines. */
import type { GoldenId } from '../../protocols/kit/index.ts'
import { hashOf } from '../../protocols/image/index.ts'
import { FETCH_STALLED_MS } from '../../storage/swarm/constants.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { SimPlant } from '../world/plant.ts'
import type { World } from '../world/world.ts'
import type { Publishers } from './publishers.ts'
import { problem, type Checker, type Problem, type Seen } from './seen.ts'

/** What is on a plant's shelf for anybody. */
function shelfOf ({ host }: SimPlant): Golden[] { return [...host.shelf.values()].flatMap(({ golden, off }) => off ? [] : golden) }

/** A machine is begun only from a golden machine that is whole on its host's disk, each piece with the digest that the publisher signed; in the end no disk has another piece. */
export function clonesVerified (): Checker {
  const name = 'verified'
  const digests = new WeakMap<Uint8Array, Uint8Array>()
  const seenPids = new Map<SimPlant, number>()
  return {
    name,
    afterEvent (seen) {
      for (const plant of seen.world.plants) {
        const disk = plant.imageDisk
        if (disk === undefined) return undefined
        const before = seenPids.get(plant) ?? 0
        for (const { vmId, golden, pid } of plant.host.machines.values()) {
          if (pid <= before) continue
          seenPids.set(plant, Math.max(pid, seenPids.get(plant) ?? 0))
          const bad = badPieces(plant, golden.goldenId, digestOf(seen.world, digests))
          if (bad !== undefined) return problem(name, seen, `${plant.name} makes ${vmId} of ${golden.name}, ${bad}`, vmId)
        }
      }
      return undefined
    },
    atRest: (seen) => seen.world.plants.flatMap(({ name: plant, imageDisk }) => [...imageDisk?.packs.values() ?? []].flatMap(({ ref, pieces, digests: wanted }) => {
      const bad = pieces.findIndex((piece, at) => piece !== undefined && !isSame(digestOf(seen.world, digests)(piece), wanted[at]))
      return bad < 0 ? [] : [problem(name, seen, `${plant} keeps piece ${bad} of the pack of ${ref.goldenId}, which is not what was signed`)]
    }))
  }
}

/** Hosts have a piece from each other, so that each is digested once. */
function digestOf ({ ring }: World, known: WeakMap<Uint8Array, Uint8Array>): (piece: Uint8Array) => Uint8Array {
  return (piece) => {
    const digest = known.get(piece) ?? ring.sha256(piece)
    known.set(piece, digest)
    return digest
  }
}

function isSame (a: Uint8Array, b: Uint8Array | undefined): boolean { return b !== undefined && a.every((byte, at) => byte === b[at]) }

/** What is wrong with it; undefined: nothing. */
function badPieces ({ imageDisk }: SimPlant, goldenId: GoldenId, digest: (piece: Uint8Array) => Uint8Array): string | undefined {
  const image = imageDisk?.images.get(goldenId)
  if (image === undefined) return 'which is not on its disk'
  const { hashes, places, packs } = image.manifest
  for (const { first, count, pack, index } of places) {
    const there = imageDisk?.packs.get(packs[pack]?.infoHash ?? '')
    for (let i = 0; i < count; i++) {
      const piece = there?.pieces[index + i]
      if (piece === undefined) return `of which piece ${first + i} is not here`
      if (!isSame(digest(piece), hashOf({ hashes }, first + i))) return `of which piece ${first + i} is not what was signed`
    }
  }
  return undefined
}

/**
 * A golden machine that a plant had on its shelf is on some plant's shelf from then on, unless who may had it removed, or the disk of whoever had it last was lost. Another size of a golden
 * machine may go while that one is there: it is made again when it is needed.
 */
export function lastCopiesKept (publishers: Publishers): Checker {
  const name = 'copies'
  const known = new Map<GoldenId, { golden: Golden, holders: Array<{ plant: SimPlant, disksLost: number }> }>()
  return {
    name,
    afterEvent (seen) {
      const now = new Map<GoldenId, { golden: Golden, holders: Array<{ plant: SimPlant, disksLost: number }> }>()
      for (const plant of seen.world.plants) {
        for (const golden of shelfOf(plant)) {
          const one = now.get(golden.goldenId) ?? { golden, holders: [] }
          one.holders.push({ plant, disksLost: plant.host.disksLost })
          now.set(golden.goldenId, one)
        }
      }
      for (const [goldenId, { golden, holders }] of known) {
        if (now.has(goldenId)) continue
        known.delete(goldenId)
        const excused = publishers.unwanted.has(goldenId) || holders.some(({ plant, disksLost }) => plant.host.disksLost > disksLost) || (isOtherSize(golden, now) || isUnwantedSize(golden, publishers))
        if (!excused) return problem(name, seen, `no plant has ${golden.name} (${goldenId}) any more, which ${holders.map(({ plant }) => plant.name).join(', ')} had, and nobody had it removed`)
      }
      for (const [goldenId, one] of now) known.set(goldenId, one)
      return undefined
    }
  }
}

function isOtherSize ({ from, name, version }: Golden, shelves: ReadonlyMap<GoldenId, { golden: Golden }>): boolean {
  const base = from === undefined ? undefined : shelves.get(from as GoldenId)?.golden
  return base !== undefined && base.name === name && base.version === version
}

/** Sizes of what is removed go with it. */
function isUnwantedSize ({ from }: Golden, { unwanted }: Publishers): boolean { return from !== undefined && unwanted.has(from as GoldenId) }

/** A fetch that gets nothing looks again each tenth of a second; a plant that stands still looks when it goes on. */
const LOOKED_AFTER_MS = 2_000

/** Every fetch ends: whole, cancelled, or stalled; a plant fetches a pack once at a time, and no piece comes to one that has it. In peace copies may come ahead of use. */
export function fetchesEnd (): Checker {
  const name = 'fetches'
  return {
    name,
    afterEvent ({ world }) {
      const under = new Set<string>()
      for (const fetch of world.swarms?.fetches ?? []) {
        const key = `${fetch.peer}/${fetch.infoHash}`
        if (under.has(key) && !fetch.life.dead) return { checker: name, atMs: world.timeline.nowMs, text: `${world.nameOf(fetch.peer)} fetches ${fetch.infoHash} twice at once` }
        if (!fetch.life.dead) under.add(key)
        const silentMs = fetch.nowMs - fetch.progressMs
        if (fetch.life.dead || fetch.life.stillUntilUs + LOOKED_AFTER_MS * 1_000 > world.timeline.nowUs || silentMs < FETCH_STALLED_MS + LOOKED_AFTER_MS) continue
        return { checker: name, atMs: world.timeline.nowMs, text: `a fetch of ${world.nameOf(fetch.peer)} has got nothing for ${Math.round(silentMs / 1_000)} s and has not ended` }
      }
      return undefined
    },
    atRest: (seen) => cameTwice(name, seen),
    atEnd: (seen) => cameTwice(name, seen)
  }
}

function cameTwice (name: string, seen: Seen): Problem[] {
  const { swarms, plants } = seen.world
  return plants.flatMap(({ name: plant, peer, imageDisk }) => [...imageDisk?.packs.keys() ?? []].flatMap((infoHash) => {
    const came = swarms?.cameTo(peer, infoHash) ?? 0
    const written = imageDisk?.written.get(infoHash) ?? 0
    return came > written ? [problem(name, seen, `${came} pieces of ${infoHash} came to ${plant}, and ${written} of them were missing there`)] : []
  }))
}

/** What has just come or gone is told within two rounds of questions to neighbours (EXCHANGED_EVERY_MS). */
const TOLD_MS_MAX = 75_000

/** Everybody knows what everybody has to offer, and nobody is said to have what it has not, but for what came or went of late; what was removed is on no shelf. */
export function holdingsAgree (publishers: Publishers): Checker {
  const name = 'holdings'
  const shelves = new Map<SimPlant, Map<GoldenId, { here: boolean, sinceMs: number }>>()
  const isNew = (seen: Seen, plant: SimPlant, id: GoldenId): boolean => seen.world.timeline.nowMs - (shelves.get(plant)?.get(id)?.sinceMs ?? -Infinity) < TOLD_MS_MAX
  const check = (seen: Seen): Problem[] => seen.world.plants.flatMap((at) => {
    const images = at.node?.images
    if (images === undefined) return []
    const said = new Map(images.held().map((held) => [held.goldenId, held.said]))
    return seen.world.plants.filter((plant) => plant !== at).flatMap((plant) => {
      const has = new Set(shelfOf(plant).filter(({ publisher }) => publisher !== undefined).map(({ goldenId }) => goldenId))
      const missing = [...has].filter((id) => said.get(id)?.has(plant.peer) !== true && !isNew(seen, plant, id))
      const stale = [...said].filter(([id, by]) => by.has(plant.peer) && !has.has(id) && !isNew(seen, plant, id))
      return [
        ...missing.map((id) => problem(name, seen, `${at.name} does not know that ${plant.name} has ${id}`)),
        ...stale.map(([id]) => problem(name, seen, `${at.name} has it that ${plant.name} has ${id}, which it has not`))
      ]
    })
  })
  return {
    name,
    afterEvent ({ world }) {
      for (const plant of world.plants) {
        if (plant.imageDisk === undefined) return undefined
        const known = shelves.get(plant) ?? new Map<GoldenId, { here: boolean, sinceMs: number }>()
        shelves.set(plant, known)
        for (const [id, { off }] of plant.host.shelf) if (known.get(id)?.here !== !off) known.set(id, { here: !off, sinceMs: world.timeline.nowMs })
        for (const [id, { here }] of known) if (here && !plant.host.shelf.has(id)) known.set(id, { here: false, sinceMs: world.timeline.nowMs })
      }
      return undefined
    },
    atRest: check,
    atEnd: (seen) => [
      ...check(seen),
      ...seen.world.plants.flatMap((plant) => shelfOf(plant).filter(({ goldenId }) => publishers.removed.has(goldenId)).map((golden) => problem(name, seen, `${plant.name} still has ${golden.name}, which its owner had removed`)))
    ]
  }
}

/** All that are about golden machines. */
export function imageCheckers (publishers: Publishers): Checker[] {
  return [clonesVerified(), lastCopiesKept(publishers), fetchesEnd(), holdingsAgree(publishers)]
}
