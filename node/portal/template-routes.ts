/** The API's part on templates: what there is, marks, removal. */
import type { FastifyInstance } from 'fastify'
import type { GoldenId } from '../../protocols/kit/index.ts'
import type { TemplateDesk } from '../plant/templates/template-desk.ts'
import type { TemplateLife } from '../plant/templates/template-life.ts'

/** What is served of a plant's templates. */
export type TemplateApi = Pick<TemplateDesk, 'list' | 'mark' | 'remove'>
/** What is served of their life cycle; undefined where nothing is fetched. */
export type LifeApi = Pick<TemplateLife, 'why'> | undefined

/** A signed mark of 1 KiB in base64. */
const mark = { type: 'string', contentEncoding: 'base64', maxLength: 1_400 } as const
/** As long as an expression may be (`protocols/order/classad`): what is longer is told so by the parser. */
const EXPRESSION_CHARS_MAX = 131_072
const REMOVALS_MAX = 64
const IDS_ASKED_MAX = 64

/** Adds the routes. */
export function templateRoutes (app: FastifyInstance, templates: TemplateApi, life: LifeApi): void {
  app.get<{ Querystring: { goldenId?: string[] } }>('/v1/templates/why', {
    schema: {
      summary: 'How templates are used, how many copies they have and are to have, and what this plant does about it',
      description: 'As of this plant\'s last look; of these golden machines, or of all. Ages and sizes are in ms and bytes.',
      querystring: { type: 'object', additionalProperties: false, properties: { goldenId: { type: 'array', maxItems: IDS_ASKED_MAX, items: { type: 'string', pattern: '^[0-9a-f]{32}$' } } } }
    }
  }, async (request) => life?.why(request.query.goldenId as GoldenId[] | undefined) ?? { templates: [] })

  app.get<{ Querystring: { find?: string } }>('/v1/templates', {
    schema: {
      summary: 'Templates here and elsewhere',
      description: 'With find, those for which the ClassAd expression over the template\'s ad holds (storage/templates/README.md has its attributes).',
      querystring: { type: 'object', additionalProperties: false, properties: { find: { type: 'string', maxLength: EXPRESSION_CHARS_MAX } } }
    }
  }, async (request) => ({ templates: await templates.list(request.query.find, AbortSignal.timeout(LIST_TIMEOUT_MS)) }))

  app.post<{ Body: { find: string } }>('/v1/templates/find', {
    schema: {
      summary: 'Templates for which a ClassAd expression holds, however long it is',
      body: { type: 'object', required: ['find'], additionalProperties: false, properties: { find: { type: 'string', maxLength: EXPRESSION_CHARS_MAX } } }
    }
  }, async (request) => ({ templates: await templates.list(request.body.find, AbortSignal.timeout(LIST_TIMEOUT_MS)) }))

  app.post<{ Body: { signed: string } }>('/v1/templates/marks', {
    schema: {
      summary: 'Keep and spread a signed mark: a label or a pin, on or off',
      description: 'protocols/template/README.md has the form of a mark and what is signed.',
      body: { type: 'object', required: ['signed'], additionalProperties: false, properties: { signed: mark } }
    }
  }, async (request) => {
    templates.mark(Buffer.from(request.body.signed, 'base64'))
    return { kept: true }
  })

  app.post<{ Body: { signed: string[] } }>('/v1/templates/remove', {
    schema: {
      summary: 'Remove templates everywhere by signed marks of removal',
      description: 'Refused while machines or other templates are made from them. One mark for each size of a template.',
      body: { type: 'object', required: ['signed'], additionalProperties: false, properties: { signed: { type: 'array', minItems: 1, maxItems: REMOVALS_MAX, items: mark } } }
    }
  }, async (request) => templates.remove(request.body.signed.map((text) => Buffer.from(text, 'base64')), AbortSignal.timeout(LIST_TIMEOUT_MS)))
}

/** Other plants are asked for descriptions and uses in less. */
const LIST_TIMEOUT_MS = 10_000
