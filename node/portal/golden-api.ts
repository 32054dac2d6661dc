/** The API's routes for golden machines: what the plant's own administrator may do with them. */
import type { FastifyInstance } from 'fastify'
import type { Golden } from '../../protocols/order/golden.ts'
import type { MeshGolden } from '../plant/images/mesh-goldens.ts'
import type { PackTorrent } from '../plant/images/plain-packs.ts'
import { answerInLines } from './ndjson.ts'

/** Sizes that are left out are the family's own. */
export interface GoldenBuild {
  family: string
  /** The family's when absent. */
  name?: string
  cpus?: number
  memoryMiB?: number
  diskMiB?: number
}

export interface GoldenImport extends Omit<GoldenBuild, 'family' | 'name'> {
  /** Absolute path on the plant's host. */
  file: string
  name: string
  /** The family that orders may ask for; its name when absent. */
  os?: string
  diskOnly: boolean
}

type Step = (step: string, share: number) => void

/** What the routes do. */
export interface GoldenApi {
  list (): Golden[]
  build (request: GoldenBuild, onStep: Step, signal: AbortSignal): Promise<Golden>
  import (request: GoldenImport, onStep: Step, signal: AbortSignal): Promise<Golden>
  remove (name: string): Promise<void>
  /** What the mesh has. */
  mesh (): MeshGolden[]
  /** Gets one of the mesh onto the shelf. */
  fetch (name: string, onStep: Step, signal: AbortSignal): Promise<Golden>
  /** `.torrent` files of its packs, for BitTorrent clients outside the mesh. */
  torrents (name: string): Promise<PackTorrent[]>
}

const NAME = { type: 'string', maxLength: 64 } as const
const SIZES = {
  cpus: { type: 'integer', minimum: 1, maximum: 64 },
  memoryMiB: { type: 'integer', minimum: 64, maximum: 1_048_576 },
  diskMiB: { type: 'integer', minimum: 64, maximum: 16_777_216 }
} as const
/** PATH_MAX. */
const PATH_CHARS_MAX = 4096

/** Adds the routes under /v1/golden. */
export function goldenRoutes (app: FastifyInstance, golden: GoldenApi): void {
  app.get('/v1/golden', { schema: { summary: 'Golden machines of this plant, and those of the mesh: where they are, and what of them is not here' } }, async () => ({ golden: golden.list(), mesh: golden.mesh() }))
  app.post<{ Body: { name: string } }>('/v1/golden/fetch', {
    schema: {
      summary: 'Fetch a golden machine of the mesh by name or id, ahead of an order',
      description: 'Answers in lines: {"event":"progress",…}…, then {"answer":golden} or {"error":…}. Asked again after an end it goes on where it stopped.',
      body: { type: 'object', required: ['name'], additionalProperties: false, properties: { name: { type: 'string', minLength: 1, maxLength: 253 } } }
    }
  }, async (request, reply) => answerInLines(reply, async (lines) => golden.fetch(request.body.name, (step, share) => { void lines.event({ event: 'progress', step, share }) }, lines.signal)))
  app.post<{ Body: Omit<GoldenBuild, 'family' | 'name'> & { name: string, as?: string } }>('/v1/golden', {
    schema: {
      summary: 'Build a golden machine of a family (tiny, debian) from Debian\'s packages',
      body: { type: 'object', required: ['name'], additionalProperties: false, properties: { name: NAME, as: NAME, ...SIZES } }
    }
  }, async (request, reply) => answerInLines(reply, async (lines) => {
    const { name: family, as: name, ...sizes } = request.body
    return await golden.build({ family, ...sizes, ...(name !== undefined && { name }) }, (step, share) => { void lines.event({ event: 'progress', step, share }) }, lines.signal)
  }))
  app.post<{ Body: Omit<GoldenImport, 'diskOnly'> & { diskOnly?: boolean } }>('/v1/golden/import', {
    schema: {
      summary: 'Make a golden machine of an image on the plant\'s host (qcow2, raw, tar)',
      body: { type: 'object', required: ['file', 'name'], additionalProperties: false, properties: { file: { type: 'string', maxLength: PATH_CHARS_MAX }, name: NAME, os: NAME, diskOnly: { type: 'boolean' }, ...SIZES } }
    }
  }, async (request, reply) => answerInLines(reply, async (lines) =>
    await golden.import({ ...request.body, diskOnly: request.body.diskOnly ?? false }, (step, share) => { void lines.event({ event: 'progress', step, share }) }, lines.signal)))
  app.get<{ Params: { name: string } }>('/v1/golden/:name/torrents', { schema: { summary: 'The .torrent files (base64) of a golden machine\'s packs, where the plant has a plain BitTorrent port' } }, async (request) => {
    const torrents = await golden.torrents(request.params.name)
    return { torrents: torrents.map((one) => ({ ...one, torrent: Buffer.from(one.torrent).toString('base64') })) }
  })
  app.delete<{ Params: { name: string } }>('/v1/golden/:name', { schema: { summary: 'Remove a golden machine' } }, async (request) => {
    await golden.remove(request.params.name)
    return { removed: request.params.name }
  })
}
