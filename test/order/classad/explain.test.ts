import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { adOf, adReal, evaluate, explain, holds, parseExpression, type AdInput, type AdValue, type Expression } from '../../../protocols/order/classad.ts'

const plant = adOf({ Isa: 'x86_64', FreeMemoryMiB: 300, FreeCpus: 3, Load: adReal(0.5), GoldenMachines: ['tiny'] })

/** The changes that would mend requirements, in words; clauses without one as `-`, those that hold as `ok`. */
function changes (requirements: string, my = adOf({ MemoryMiB: 256 })): string[] {
  return explain(parseExpression(requirements), { my, target: plant }).map((clause) => clause.holds ? 'ok' : clause.mends.map((mend) => mend.map(({ text }) => text).join(' and ')).join(' or ') || '-')
}

describe('an explanation', () => {
  test.each([
    ['FreeMemoryMiB >= 512', ['FreeMemoryMiB from 300 to 512']],
    ['512 <= TARGET.FreeMemoryMiB', ['FreeMemoryMiB from 300 to 512']],
    ['FreeMemoryMiB > 512 && (FreeCpus < 3.5 && FreeCpus >= 3.5)', ['FreeMemoryMiB from 300 to 513', 'ok', 'FreeCpus from 3 to 4']],
    ['Load < 0.25', ['Load from 0.5 to below 0.25']],
    ['Load <= 0.25', ['Load from 0.5 to 0.25']],
    ['Isa == "arm64" && Isa != "X86_64"', ['Isa from "x86_64" to "arm64"', 'Isa from "x86_64" to other than "X86_64"']],
    ['!(FreeCpus < 8)', ['FreeCpus from 3 to 8']],
    ['HasKvm && !(HasTcg == true)', ['HasKvm from undefined to true', 'HasTcg from undefined to other than true']],
    ['Gpus >= 1', ['Gpus from undefined to 1']],
    ['FreeMemoryMiB >= MY.MemoryMiB * 2', ['FreeMemoryMiB from 300 to 512']],
    ['FreeMemoryMiB >= MemoryMiB + 100', ['FreeMemoryMiB from 300 to 356']],
    ['FreeCpus > FreeMemoryMiB', ['-']],
    ['MemoryMiB >= 512', ['-']],
    ['member("big", GoldenMachines) && Isa == "x86_64"', ['-', 'ok']],
    ['Isa == "a" || FreeCpus > 1000 || FreeCpus > 4', ['FreeCpus from 3 to 5 or FreeCpus from 3 to 1001 or Isa from "x86_64" to "a"']],
    ['FreeCpus > 2 && Isa == "a" || FreeCpus > 1000', ['FreeCpus from 3 to 1001 or Isa from "x86_64" to "a"']],
    ['(FreeMemoryMiB >= 512 && Isa == "a") || Gpus >= 1', ['Gpus from undefined to 1 or FreeMemoryMiB from 300 to 512 and Isa from "x86_64" to "a"']],
    ['!(FreeCpus < 8 || Isa == "x86_64")', ['FreeCpus from 3 to 8 and Isa from "x86_64" to other than "x86_64"']],
    ['Load || error || FreeCpus > 4', ['ok']],
    ['FreeCpus > 4 || error || FreeCpus > 3', ['FreeCpus from 3 to 5']],
    ['FreeCpus > 4 || strcat(Isa) == FreeMemoryMiB', ['FreeCpus from 3 to 5']]
  ])('of %s says %j', (requirements, expected) => { expect(changes(requirements)).toEqual(expected) })

  test('gives each clause with its text and value', () => {
    expect(explain(parseExpression('FreeCpus>=2 && absent'), { target: plant })).toMatchObject([
      { text: 'FreeCpus >= 2', value: { type: 'boolean', value: true }, holds: true },
      { text: 'absent', value: { type: 'undefined' }, holds: false, mends: [[{ attribute: 'absent', bound: 'to', needed: { type: 'boolean', value: true } }]] }
    ])
  })

  test('speaks of the ad itself when there is no other', () => {
    expect(explain(parseExpression('FreeCpus >= 4'), { my: plant })[0]?.mends[0]?.[0]?.text).toBe('FreeCpus from 3 to 4')
  })

  test('is bounded in clauses and text', () => {
    const clauses = explain(parseExpression(Array.from({ length: 200 }, (_, i) => `a${i} == "${'x'.repeat(500)}${i}"`).slice(0, 120).join(' && ')), { target: plant })
    expect(clauses).toHaveLength(100)
    expect(Math.max(...clauses.map((clause) => clause.text.length))).toBeLessThan(500)
  })
})

test('a change to what an explanation asks for is the least that mends the clause', () => {
  const number = fc.oneof(fc.integer({ min: -20, max: 20 }), fc.integer({ min: -80, max: 80 }).map((quarters) => quarters / 4))
  fc.assert(fc.property(fc.constantFrom('<', '<=', '>', '>=', '=='), number, fc.option(number, { nil: undefined }), fc.boolean(), (op, fixed, present, negated) => {
    const clause = `x ${op} ${fixed < 0 ? `(${fixed})` : fixed}`
    const requirements = parseExpression(negated ? `!(${clause})` : clause)
    const verdict = (x: AdInput | undefined): boolean => holds(evaluate(requirements, { target: adOf({ x }) }))
    const [explained] = explain(requirements, { target: adOf({ x: present }) })
    if (explained?.holds !== false) return
    const { bound, needed } = explained.mends[0]?.[0] ?? expect.fail('no change')
    const to = numberOf(needed)
    if (bound === 'to') expect(verdict(inputOf(needed))).toBe(true)
    else expect(verdict(bound === 'above' ? to + 1e-9 : to - 1e-9)).toBe(true)
    if (bound !== 'to' || present === undefined || op === '==') return
    // One step back towards the present value must not do.
    const step = Number.isInteger(present) ? 1 : 1e-9
    expect(verdict(adReal(to + (present < to ? -step : step)))).toBe(false)
  }), { numRuns: 500 })
})

function numberOf (value: AdValue): number {
  return value.type === 'integer' || value.type === 'real' ? Number(value.value) : expect.fail(`${value.type} is no number`)
}

function inputOf (value: AdValue): bigint | Expression {
  return value.type === 'integer' ? value.value : adReal(numberOf(value))
}
