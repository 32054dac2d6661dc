/** The life cycle of templates for people: `plantmesh template why`. */
import type { TemplateLife, TemplateWhy } from '../plant/templates/template-life.ts'
import type { TemplateView } from '../plant/templates/template-view.ts'
import { printable } from './output.ts'

/** As the API answers; without the rest where a plant fetches nothing. */
type Answer = Partial<ReturnType<TemplateLife['why']>> & { templates: TemplateWhy[] }

/** With the names that lists show. */
export type NamedWhy = Answer & { templates: Array<TemplateWhy & { template: string, cpus?: number, memoryMiB?: number }> }

/** Golden machines that one call may name. */
const IDS_ASKED_MAX = 64

/** Those of all sizes. */
export function goldenIdQuery (templates: readonly TemplateView[]): string {
  return `?${templates.flatMap(({ sizes }) => sizes.map(({ goldenId }) => `goldenId=${goldenId}`)).slice(0, IDS_ASKED_MAX).join('&')}`
}

/** The plant's answer, each template under its `name@version`. */
export function whyOf (answer: unknown, templates: readonly TemplateView[]): NamedWhy {
  const told = answer as Answer
  const sizes = new Map(templates.flatMap((template) => template.sizes.map((size) => [size.goldenId, { template: template.name, cpus: size.cpus, memoryMiB: size.memoryMiB }])))
  return { ...told, templates: told.templates.map((one) => ({ ...one, ...(sizes.get(one.goldenId) ?? { template: one.name }) })) }
}

/** A paragraph each. */
export function lifeText ({ templates, lookedAtMs, roomBytes, policy }: NamedWhy): string {
  if (policy === undefined) return 'this plant fetches nothing: it keeps what it has'
  const room = `this plant gives ${mib(policy.copyBytesMax)} of disk to copies ahead of use, of which ${mib(roomBytes ?? 0)} are left`
  if (lookedAtMs === undefined || lookedAtMs === 0) return `this plant has just started and has not looked yet; ${room}`
  const none = templates.length === 0 ? ['nothing of that name was there at the last look'] : []
  return [...templates.flatMap(paragraph), ...none, '', `${room}; last look ${new Date(lookedAtMs).toISOString().slice(0, 19).replace('T', ' ')}`].join('\n')
}

function paragraph (one: NamedWhy['templates'][number]): string[] {
  const size = one.memoryMiB === undefined ? '' : ` (${one.cpus} cpus, ${one.memoryMiB} MiB)`
  const marks = [...(one.pins > 0 ? [`${one.pins} ${one.pins === 1 ? 'pin' : 'pins'}`] : []), ...(one.labels > 0 ? [`${one.labels} ${one.labels === 1 ? 'label' : 'labels'}`] : [])]
  return [
    `${printable(one.template)}${size}  ${one.goldenId}`,
    `  used    ${one.usesHere} times an hour here, ${one.usesMesh} in the mesh${marks.length === 0 ? '' : `; ${marks.join(', ')}`}`,
    `  copies  ${one.holders} of ${one.target}${one.here === 'no' ? '' : one.here === 'copy' ? ', one of them here, fetched from others' : ', one of them here, of its own'}`,
    `  does    ${DEEDS[one.does]}: ${printable(one.why)}`,
    ...(one.spares === undefined ? [] : [`  spares  ${sparesText(one.spares)}`])
  ]
}

function sparesText ({ ready, making, target, ordersPerHour, memoryMiB, budgetMiB, why }: NonNullable<TemplateWhy['spares']>): string {
  return `${ready} ready and ${making} being made of ${target}, for ${ordersPerHour} orders an hour, in ${Math.round(memoryMiB)} of ${budgetMiB} MiB: ${printable(why)}`
}

const DEEDS: Record<TemplateWhy['does'], string> = { leave: 'nothing', wait: 'waits', copy: 'takes a copy', giveUp: 'gives up its copy', dispose: 'disposes of it' }

function mib (bytes: number): string { return `${Math.round(bytes / 2 ** 20)} MiB` }
