/** Which marks put a label on a template or take it off. Pure. */
import type { KeyId } from '../../protocols/kit/index.ts'
import type { Mark } from '../../protocols/template/index.ts'
import type { TemplateView } from '../plant/templates/template-view.ts'

/**
 * On: a mark on the size that stands for the template. Off: one on each size that this key has labelled - another may stand for it by now -, or on the first, as
 * a label put on elsewhere may not have been heard of yet. A clock that went back must not make them earlier than what they undo.
 */
export function labelMarks (template: Pick<TemplateView, 'goldenId' | 'labelledBy'>, { by, label, on, nowMs }: { by: KeyId, label: string, on: boolean, nowMs: number }): Mark[] {
  const mine = template.labelledBy.filter((one) => one.label === label && one.by === by)
  const goldenIds = on || mine.length === 0 ? [template.goldenId] : mine.map(({ goldenId }) => goldenId)
  return goldenIds.map((goldenId) => ({ by, goldenId, kind: 'label', label, on, atMs: Math.max(nowMs, ...mine.map(({ atMs }) => atMs + 1)) }))
}

/** Others who have put it on: taking off one's own leaves theirs. */
export function labelledByOthers (template: Pick<TemplateView, 'labelledBy'>, by: KeyId, label: string): KeyId[] {
  return [...new Set(template.labelledBy.flatMap((one) => one.label === label && one.by !== by ? [one.by] : []))]
}
