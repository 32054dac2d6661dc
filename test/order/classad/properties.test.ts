import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ClassAd, evaluate, explain, formatAd, formatExpression, formatValue, holds, matches, parseAd, parseExpression, rankOf, type AdValue } from '../../../protocols/order/classad.ts'
import { PlantError } from '../../../protocols/kit/index.ts'
import { ads, expressions } from './arbitraries.ts'

/** Values of equal text are equal; NaN too. */
function same (left: AdValue, right: AdValue): void { expect(formatValue(left)).toBe(formatValue(right)) }

test('an expression that is written reads back with the same value and the same text', () => {
  fc.assert(fc.property(expressions, ads, (expression, my) => {
    const text = formatExpression(expression)
    const again = parseExpression(text)
    expect(formatExpression(again)).toBe(text)
    // unparse and string show parentheses, which writing adds where the tree needs them.
    if (!/unparse|string|strcat|join|toLower|str|size|eval|version|split/i.test(text)) same(evaluate(again, { my }), evaluate(expression, { my }))
  }), { numRuns: 500 })
})

test('an ad that is written reads back as the same text', () => {
  fc.assert(fc.property(ads, (ad) => { expect(formatAd(parseAd(formatAd(ad)))).toBe(formatAd(ad)) }), { numRuns: 300 })
})

test('a value that is written evaluates to itself', () => {
  fc.assert(fc.property(expressions, ads, (expression, my) => {
    const value = evaluate(expression, { my })
    same(evaluate(parseExpression(formatValue(value))), value)
  }), { numRuns: 500 })
})

test('evaluating, matching, ranking and explaining never throw', () => {
  fc.assert(fc.property(expressions, ads, ads, (expression, my, target) => {
    const value = evaluate(expression, { my, target })
    expect(typeof formatValue(value)).toBe('string')
    expect(typeof matches(my, target)).toBe('boolean')
    expect(rankOf(my, target).type).toBeTypeOf('string')
    const clauses = explain(expression, { my, target })
    expect(clauses.length).toBeGreaterThan(0)
    // All clauses hold exactly when nothing stands in the way of the whole.
    if (holds(value)) expect(clauses.every((clause) => clause.holds)).toBe(true)
  }), { numRuns: 500 })
})

test('broken text is read or refused with a place in it, never anything else', () => {
  const junk = fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), fc.array(fc.constantFrom(...'()[]{}.;,=?:"\'\\&|!<>+-*/%~^'.split(''), ' ', 'a', '1', '.5', '1e', 'is', 'true', '/*', '//', '\n'), { maxLength: 30 }).map((parts) => parts.join('')),
    fc.tuple(expressions, fc.nat(), fc.nat({ max: 5 })).map(([expression, at, cut]) => {
      const text = formatExpression(expression)
      return text.slice(0, at % (text.length + 1)) + text.slice(at % (text.length + 1) + cut)
    }))
  fc.assert(fc.property(junk, (text) => {
    for (const read of [parseExpression, parseAd]) {
      try {
        const result = read(text)
        if (!(result instanceof ClassAd)) evaluate(result)
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(PlantError)
        const { line, column } = (thrown as PlantError).details as { line: number, column: number }
        expect(line).toBeGreaterThan(0)
        expect(column).toBeGreaterThan(0)
        expect(text.split('\n')[line - 1]?.length ?? -1).toBeGreaterThanOrEqual(column - 1)
      }
    }
  }), { numRuns: 1000 })
})
