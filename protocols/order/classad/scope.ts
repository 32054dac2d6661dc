/** What names mean where: the ads around an expression and the two sides of a match. */
import { NOWHERE, UNDEFINED, type ClassAd, type Env, type Node, type Value } from './ast.ts'

/** The ads an expression is evaluated between: `my` holds it (or would), `target` is the other side of the match. */
export interface Sides { my?: ClassAd | undefined, target?: ClassAd | undefined }

/** Where an expression of `my` is evaluated. */
export function envOf ({ my, target }: Sides): Env {
  return { frame: my === undefined ? undefined : { ad: my, outer: undefined }, my, target }
}

/** The expression behind a name, where it is evaluated and the ad that holds it. */
export interface Lookup { readonly node: Node, readonly env: Env, readonly holder: ClassAd }

/** From inside the target the sides are exchanged. */
export function targetEnv (env: Env): Env {
  return env.target === undefined ? NOWHERE : { frame: { ad: env.target, outer: undefined }, my: env.target, target: env.my }
}

/** The names of the two sides. `MY` is the innermost ad; what it lacks is looked for further out. */
export function scopeOf (name: string, env: Env): Value | undefined {
  switch (name.toLowerCase()) {
    case 'my': case 'self': return env.frame === undefined ? UNDEFINED : { type: 'ad', ad: env.frame.ad, env: { ...env, frame: env.frame.outer } }
    case 'target': case 'other': return env.target === undefined ? UNDEFINED : { type: 'ad', ad: env.target, env: { frame: undefined, my: env.target, target: env.my } }
    default: return undefined
  }
}
