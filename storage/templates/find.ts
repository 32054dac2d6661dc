/** Finding templates by a ClassAd expression over what each is (README.md has the attributes). */
import { adOf, evaluate, holds, parseExpression, type ClassAd } from '../../protocols/order/classad/index.ts'
import { versionName } from '../../protocols/order/versions.ts'
import type { Template } from './template.ts'

/** A template as an ad. */
export function adOfTemplate (template: Template): ClassAd {
  const { main, series, version, base, labels } = template
  const { isa, cpus, memoryMiB, diskMiB } = main.hardware
  return adOf({
    Name: versionName(main),
    Series: series,
    Version: version,
    GoldenId: main.goldenId,
    Os: main.os,
    Isa: isa,
    Cpus: cpus,
    MemoryMiB: memoryMiB,
    DiskMiB: diskMiB,
    Labels: [...new Set(labels.map(({ label }) => label))],
    Publisher: main.publisher,
    Domain: main.publishedBy?.domain,
    Base: base === undefined ? undefined : versionName(base.main),
    Depth: template.depth,
    Bytes: template.bytes,
    OwnBytes: template.ownBytes,
    Actions: main.actionsDone.length,
    CreatedAt: main.createdAtMs / 1_000,
    LastUsed: template.lastUsedMs === undefined ? undefined : template.lastUsedMs / 1_000,
    Uses: template.uses,
    Here: template.here,
    Holders: template.holders,
    Pinned: template.pinnedBy.length > 0
  })
}

/** Whether the expression holds for a template; what is undefined or an error does not. Throws EXPRESSION_INVALID at once. */
export function templateTest (text: string): (template: Template) => boolean {
  const expression = parseExpression(text)
  return (template) => holds(evaluate(expression, { my: adOfTemplate(template) }))
}
