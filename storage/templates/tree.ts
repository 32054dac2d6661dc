/** The tree of templates: what each is made from, for people. */
import type { Template } from './template.ts'

export interface TreeNode { template: Template, children: TreeNode[] }

/** All trees, or those parts that `under` is at the root of. A base that is not known makes a root of its child. */
export function treeOf (templates: readonly Template[], under?: (template: Template) => boolean): TreeNode[] {
  const nodes = new Map(templates.map((template) => [template, { template, children: [] as TreeNode[] }]))
  const roots: TreeNode[] = []
  for (const node of nodes.values()) {
    const parent = node.template.base === undefined ? undefined : nodes.get(node.template.base)
    if (parent === undefined) roots.push(node)
    else parent.children.push(node)
  }
  return under === undefined ? roots : [...nodes.values()].filter(({ template }) => under(template) && !(template.base !== undefined && under(template.base)))
}

/** Templates that are made from this one, directly or not. */
export function descendantsOf (templates: readonly Template[], of: Template): Template[] {
  const within = new Set([of])
  // By depth, so that a base is looked at before what is made from it.
  for (const template of templates.toSorted((a, b) => a.depth - b.depth)) if (template.base !== undefined && within.has(template.base)) within.add(template)
  within.delete(of)
  return [...within]
}
