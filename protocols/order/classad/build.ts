/** Ads from plain data. */
import { ClassAd, Expression, UNDEFINED, boolean, integer, real, string, type Node } from './ast.ts'

/**
 * What an attribute can be given as. Safe integers become integers and other numbers reals (`adReal` makes a real of any); null is the
 * value undefined; attributes that are undefined are left out.
 */
export type AdInput = string | number | bigint | boolean | null | Expression | ClassAd | readonly AdInput[] | { readonly [name: string]: AdInput | undefined }

/** An ad with these attributes, in this order; names that differ only in case are one, and the last wins. */
export function adOf (record: { readonly [name: string]: AdInput | undefined }): ClassAd {
  return new ClassAd(Object.entries(record).flatMap(([name, input]) => input === undefined ? [] : [{ name, node: nodeOf(input) }]))
}

/** A real, also of a whole number: `Load = 0.0`. */
export function adReal (value: number): Expression {
  return new Expression({ kind: 'literal', value: real(value) })
}

function nodeOf (input: AdInput): Node {
  switch (typeof input) {
    case 'string': return { kind: 'literal', value: string(input) }
    case 'boolean': return { kind: 'literal', value: boolean(input) }
    case 'bigint': return { kind: 'literal', value: integer(input) }
    case 'number': return { kind: 'literal', value: Number.isSafeInteger(input) && !Object.is(input, -0) ? integer(input) : real(input) }
  }
  if (input === null) return { kind: 'literal', value: UNDEFINED }
  if (input instanceof Expression) return input.node
  if (input instanceof ClassAd) return { kind: 'ad', ad: input }
  if (isList(input)) return { kind: 'list', items: input.map(nodeOf) }
  return { kind: 'ad', ad: adOf(input) }
}

function isList (input: readonly AdInput[] | { readonly [name: string]: AdInput | undefined }): input is readonly AdInput[] {
  return Array.isArray(input)
}
