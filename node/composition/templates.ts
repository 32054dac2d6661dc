/** A plant's templates, composed: marks, the desk that lists and removes, and their life cycle where golden machines are fetched. */
import type { Lifetime, PeerId } from '../../protocols/kit/index.ts'
import { marks, type Marks, type MarksComponents } from '../../protocols/template/index.ts'
import { LIFE_DEFAULTS, type LifePolicy } from '../../storage/templates/life-policy.ts'
import type { MeshGoldens } from '../plant/images/mesh-goldens.ts'
import { TemplateDesk, type TemplateDeskComponents } from '../plant/templates/template-desk.ts'
import { TemplateLife, type TemplateLifeComponents } from '../plant/templates/template-life.ts'

export interface ComposedTemplatesComponents extends Omit<MarksComponents, 'uses' | 'records'>, Omit<TemplateDeskComponents, 'marks' | 'mesh'>, Omit<TemplateLifeComponents, 'self' | 'marks' | 'templates' | 'images' | 'records' | 'warehouse' | 'peers'> {
  records: MarksComponents['records'] & TemplateDeskComponents['records'] & TemplateLifeComponents['records']
  /** Other plants in view. */
  peers: () => PeerId[]
  images: MeshGoldens | undefined
  policy: Partial<LifePolicy> | undefined
}

/** Marks are read from the records before anybody orders by them. The life cycle is the caller's to start, once the mesh is in view. */
export async function startTemplates (c: ComposedTemplatesComponents, lifetime: Lifetime): Promise<{ templates: TemplateDesk, life: TemplateLife | undefined }> {
  const tagged: Marks = marks({ reliesOn: (by) => templates.relied.has(by) })({ ...c, uses: (goldenIds) => templates.usesOf(goldenIds) })
  const templates = new TemplateDesk({ ...c, marks: tagged, ...(c.images !== undefined && { mesh: c.images }) })
  const life = c.images && new TemplateLife({ ...c, self: c.transport.self, marks: tagged.view, templates, images: c.images }, { ...LIFE_DEFAULTS, ...c.policy })
  templates.onUse((goldenId) => { life?.used(goldenId) })
  lifetime.own(async () => tagged.stop())
  await tagged.start()
  lifetime.own(templates.start())
  return { templates, life }
}
