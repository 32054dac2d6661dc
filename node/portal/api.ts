/** The plant's HTTP API (CONTRACT.md, Conventions). Bytes in JSON are base64. */
import { chmod, rm } from 'node:fs/promises'
import swagger from '@fastify/swagger'
import fastify, { type FastifyInstance } from 'fastify'
import { PlantError, asPlantError, type ErrorCode, type Log } from '../../protocols/kit/index.ts'
import type { CallEvent } from '../../protocols/machine/index.ts'
import type { NetworkView } from '../../protocols/tunnel/index.ts'
import type { Shop } from '../shop/shop-face.ts'
import { goldenRoutes, type GoldenApi } from './golden-api.ts'
import { answerInLines } from './ndjson.ts'
import { consoleRoute } from './console-route.ts'
import { framesRoute, type ProxyApi } from './frames-route.ts'
import { METRICS_TYPE, networkMetrics } from './metrics.ts'
import { upgradeRoutes } from './upgrades.ts'
import { templateRoutes, type LifeApi, type TemplateApi } from './template-routes.ts'
import { shortPath } from '../drivers/socket-path.ts'

/** A signed order of 1 MiB in base64, with room for its envelope. */
const BODY_BYTES_MAX = 2 * 1024 * 1024

const API_TEXT = `A plant's local API: orders and signed calls, golden machines, the mesh as this plant sees it.

How to sign: signedOrder and signedCall are base64 of DAG-CBOR {payload, publicKey, signature}. payload is DAG-CBOR {kind, vmId?, body, via, issuedAtMs, nonce}; \
via is the peerId that GET /v1/self of this API answers (no other plant serves the call), nonce 16 random bytes. publicKey is an Ed25519 key, signature its \
signature of: one byte 0x11, the text "plantmesh/call/v1", payload. kind is order {orderId, documentIndex, copyIndex, order}, query {}, list {all}, \
exec {script, timeoutMs, stdin?}, console {}, publish {name}, collect {}, networks {network?}, join {domain, domainKey, network, expiresAtMs, credential?}, capture {network, plant} or why {orderId}; those of a machine name it in vmId. protocols/member/README.md has the rest.`

/** What the API serves: the shop, and what the plant's own administrator may do. */
export interface ApiComponents {
  shop: Shop
  golden: GoldenApi
  templates: TemplateApi
  life: LifeApi
  /** Clients' own ends of networks; absent where the plant has no networks. */
  proxies?: ProxyApi
  /** What the plant's networks are like now. */
  networks: () => NetworkView[]
  /** Takes in a grant that a domain's key signed. */
  grant: (signed: Uint8Array, signal: AbortSignal) => Promise<void>
  self: () => Record<string, unknown>
  log: Log
}

const base64 = { type: 'string', contentEncoding: 'base64', maxLength: BODY_BYTES_MAX } as const
const HTTP_STATUS: Partial<Record<ErrorCode, number>> = { USAGE: 400, ORDER_INVALID: 400, EXPRESSION_INVALID: 400, VM_UNKNOWN: 404, GOLDEN_UNKNOWN: 404, ORDER_UNKNOWN: 404, NOT_AUTHORISED: 403 }

/** Serves the API on a unix socket that only its owner can open; returns what stops it. */
export async function serveApi (socketPath: string, c: ApiComponents): Promise<{ stop: () => Promise<void> }> {
  const app = fastify({ bodyLimit: BODY_BYTES_MAX, forceCloseConnections: true, ajv: { customOptions: { removeAdditional: false, strict: false } } })
  await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'plantmesh', description: API_TEXT, version: '1.0.0' } } })
  app.setErrorHandler((error, _request, reply) => {
    const known = isValidation(error) ? new PlantError('USAGE', { problem: (error as Error).message }) : asPlantError(error)
    if (known.code === 'INTERNAL') c.log.error({ error: known.stack, cause: String(known.cause) }, 'an API call failed')
    return reply.status(HTTP_STATUS[known.code] ?? 500).send({ error: known.report() })
  })
  app.setNotFoundHandler((request, reply) => reply.status(404).send({ error: new PlantError('USAGE', { problem: 'the API has no such address', method: request.method, path: request.url.slice(0, 256), see: '/openapi.json' }).report() }))
  orderRoutes(app, c)
  adminRoutes(app, c)
  templateRoutes(app, c.templates, c.life)
  const closeUpgraded = upgradeRoutes(app, [consoleRoute(c.shop), ...(c.proxies === undefined ? [] : [framesRoute(c.proxies)])])
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  await app.ready()
  await rm(socketPath, { force: true }) // A plant that was killed left it; the data lock says that no other plant serves it.
  // The socket must never be open to others, not even until the chmod.
  const umaskBefore = process.umask(0o177)
  try {
    await app.listen({ path: shortPath(socketPath) })
  } finally {
    process.umask(umaskBefore)
  }
  await chmod(socketPath, 0o600)
  return {
    stop: async () => {
      closeUpgraded() // Upgraded connections are no longer the server's to close.
      await app.close()
      await rm(socketPath, { force: true })
    }
  }
}

function isValidation (error: unknown): boolean {
  const status = (error as { statusCode?: unknown }).statusCode
  return typeof status === 'number' && status >= 400 && status < 500
}

function orderRoutes (app: FastifyInstance, c: ApiComponents): void {
  app.post<{ Body: { signedOrder: string, strict?: boolean } }>('/v1/orders', {
    schema: {
      summary: 'Make the machine of a signed order',
      description: 'Answers in lines: {"event":"progress",…}…, then {"answer":machine} or {"error":…}. The same order asked again is the same machine.',
      body: { type: 'object', required: ['signedOrder'], additionalProperties: false, properties: { signedOrder: base64, strict: { type: 'boolean' } } }
    }
  }, async (request, reply) => answerInLines(reply, async (lines) =>
    c.shop.create(Buffer.from(request.body.signedOrder, 'base64'), { strict: request.body.strict ?? false }, { onEvent: async (e) => lines.event(jsonEvent(e)) }, lines.signal)))

  app.post<{ Body: { signedCall: string } }>('/v1/calls', {
    schema: {
      summary: 'Query, list, exec, publish, collect, networks, capture: a signed call for the plants that it concerns',
      description: 'Answers in lines. Output of exec, and the capture file, come as {"event":"output","source":…,"bytes":base64}.',
      body: { type: 'object', required: ['signedCall'], additionalProperties: false, properties: { signedCall: base64 } }
    }
  }, async (request, reply) => answerInLines(reply, async (lines) =>
    c.shop.call(Buffer.from(request.body.signedCall, 'base64'), { onEvent: async (e) => lines.event(jsonEvent(e)) }, lines.signal)))

  app.post<{ Body: { signedCall: string } }>('/v1/why', {
    schema: { summary: 'How an order was decided', body: { type: 'object', required: ['signedCall'], additionalProperties: false, properties: { signedCall: base64 } } }
  }, async (request) => c.shop.why(Buffer.from(request.body.signedCall, 'base64')))

  app.post<{ Body: { signed: string } }>('/v1/grants', {
    schema: { summary: 'Take in and spread a grant or revocation signed by a domain\'s key', body: { type: 'object', required: ['signed'], additionalProperties: false, properties: { signed: base64 } } }
  }, async (request, reply) => answerInLines(reply, async (lines) => c.grant(Buffer.from(request.body.signed, 'base64'), lines.signal)))
}

function adminRoutes (app: FastifyInstance, c: ApiComponents): void {
  app.get('/v1/self', { schema: { summary: 'This plant: peer id, addresses, mesh, version' } }, async () => c.self())
  app.get('/v1/plants', { schema: { summary: 'The mesh as this plant sees it' } }, async () => ({ plants: c.shop.plants() }))
  app.get('/v1/metrics', { schema: { summary: 'What passes on the networks of this plant, as Prometheus reads it' } }, async (_request, reply) => reply.type(METRICS_TYPE).send(networkMetrics(c.networks())))
  goldenRoutes(app, c.golden)
}

function jsonEvent (event: CallEvent): unknown {
  if (event.kind === 'output') return { event: 'output', source: event.source, bytes: Buffer.from(event.bytes).toString('base64') }
  if (event.kind === 'progress') return { event: 'progress', step: event.step, share: event.share }
  return event.kind === 'machines' ? { event: 'machines', machines: event.machines } : { event: 'networks', networks: event.networks }
}
