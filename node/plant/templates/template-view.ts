/** A template as the API shows it. JSON-safe. */
import type { GoldenId, KeyId } from '../../../protocols/kit/index.ts'
import { versionName } from '../../../protocols/order/versions.ts'
import type { LabelBy, Template } from '../../../storage/templates/template.ts'

export interface TemplateView {
  /** `series@version`. */
  name: string
  series: string
  version: number
  goldenId: GoldenId
  os: string
  isa: string
  cpus: number
  memoryMiB: number
  diskMiB: number
  labels: string[]
  labelledBy: LabelBy[]
  pinnedBy: KeyId[]
  publisher?: KeyId
  domain?: string
  domainKey?: KeyId
  /** What it was made from; without a name where that is not known any more. */
  base?: { goldenId: GoldenId, name?: string }
  depth: number
  bytes: number
  ownBytes: number
  actions: number
  createdAtMs: number
  lastUsedMs?: number
  uses: number
  here: boolean
  holders: number
  sizes: Array<{ goldenId: GoldenId, cpus: number, memoryMiB: number, here: boolean }>
}

/** As the API shows it. */
export function viewOfTemplate (template: Template): TemplateView {
  const { main, base, labels } = template
  const baseId = template.baseId
  return {
    name: versionName(main),
    series: template.series,
    version: template.version,
    goldenId: main.goldenId,
    os: main.os,
    ...main.hardware,
    labels: [...new Set(labels.map(({ label }) => label))],
    labelledBy: labels,
    pinnedBy: template.pinnedBy,
    ...(main.publisher !== undefined && { publisher: main.publisher }),
    ...(main.publishedBy !== undefined && { domain: main.publishedBy.domain, domainKey: main.publishedBy.domainKey }),
    ...(baseId !== undefined && { base: { goldenId: baseId, ...(base !== undefined && { name: versionName(base.main) }) } }),
    depth: template.depth,
    bytes: template.bytes,
    ownBytes: template.ownBytes,
    actions: main.actionsDone.length,
    createdAtMs: main.createdAtMs,
    ...(template.lastUsedMs !== undefined && { lastUsedMs: template.lastUsedMs }),
    uses: template.uses,
    here: template.here,
    holders: template.holders,
    sizes: template.sizes.map(({ golden, here }) => ({ goldenId: golden.goldenId, cpus: golden.hardware.cpus, memoryMiB: golden.hardware.memoryMiB, here }))
  }
}
