/** What a built-in function is, and how it gets at its arguments. */
import type { RE2JS } from 're2js'
import type { Env, Node, Scalar, Value } from '../ast.ts'
import type { Lookup } from '../scope.ts'

/** What a function may ask of the evaluation it is part of. All of it may end the evaluation when a bound is passed. */
export interface Evaluator {
  /** How many calls of `eval` are under way. */
  evals: number
  /** What was compiled in this evaluation, by pattern and options; as many as the steps allow to compile. */
  readonly patterns: Map<string, RE2JS | undefined>
  value (node: Node, env: Env): Value
  find (name: string, env: Env): Lookup | undefined
  /** Counts work, in steps. */
  charge (steps: number): void
  /** Counts the characters of a text that is read or written, and refuses one that is too long. */
  chargeText (chars: number): void
  chargeValue (value: Value): void
  /** A string that the function made. */
  made (text: string): Scalar
  /** A tree written out. */
  text (node: Node): string
}

export interface Context { readonly evaluation: Evaluator, readonly env: Env }

/** A call with fewer or more arguments is error. */
export interface Builtin {
  readonly min: number
  readonly max: number
  run (args: readonly Node[], context: Context): Value
}

export type Builtins = Readonly<Record<string, Builtin>>

/** A function of values: all arguments are evaluated first, from left to right. */
export function ofValues (min: number, max: number, run: (values: readonly Value[], context: Context) => Value): Builtin {
  return {
    min,
    max,
    run: (args, context) => run(args.map((arg) => {
      const value = context.evaluation.value(arg, context.env)
      context.evaluation.chargeValue(value)
      return value
    }), context)
  }
}

/** The values of a list's items, one at a time. */
export function * itemsOf (list: Extract<Value, { type: 'list' }>, { evaluation }: Context): Generator<Value> {
  for (const item of list.items) {
    const value = evaluation.value(item, list.env)
    evaluation.chargeValue(value)
    yield value
  }
}

/** The text of a string value. */
export function textOf (value: Value | undefined): string | undefined {
  return value?.type === 'string' ? value.value : undefined
}
