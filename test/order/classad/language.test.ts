import { describe, expect, test } from 'vitest'
import { adOf, adReal, evaluate, formatAd, formatValue, matches, parseAd, parseExpression, rankNumber, rankOf } from '../../../protocols/order/classad.ts'
import { PlantError } from '../../../protocols/kit/index.ts'

/** The value of an expression as text, in the scope of an ad and against a target. */
function value (expression: string, ad = '[]', target?: string): string {
  return formatValue(evaluate(parseExpression(expression), { my: parseAd(ad), target: target === undefined ? undefined : parseAd(target) }))
}

function problem (read: () => unknown): Record<string, unknown> {
  try {
    read()
  } catch (thrown) {
    if (thrown instanceof PlantError && thrown.code === 'EXPRESSION_INVALID') return thrown.details
    throw thrown
  }
  throw new Error('it was read')
}

describe('operators', () => {
  test.each([
    ['2 + 3 * 4 - 1', '13'],
    ['20 / 3', '6'], ['-20 / 3', '-6'], ['-20 % 3', '-2'], ['20 / 8.0', '2.5'], ['4.0', '4.0'],
    ['9223372036854775807 + 1', '-9223372036854775808'], ['3 % 0', 'error'], ['3 / 0.0', 'error'], ['3.5 % 2.0', 'error'],
    ['undefined + 1', 'undefined'], ['undefined + error', 'error'], ['"3" + 1', 'error'], ['{1} + 1', 'error'],
    ['5 & 6 | 8 ^ 1', '13'], ['1 << 10 >> 2', '256'], ['-1 >>> 60', '15'], ['~7', '-8'], ['5 & 1.0', 'error'],
    ['7 == 7.0', 'true'], ['"Plant" == "pLANT"', 'true'], ['"a" < "b"', 'true'], ['"7" == 7', 'error'], ['undefined == undefined', 'undefined'],
    ['7 =?= 7.0', 'false'], ['"Plant" =?= "pLANT"', 'false'], ['undefined is undefined', 'true'], ['1 isnt undefined', 'true'], ['{1} is {1}', 'error'],
    ['absent > 3 && false', 'false'], ['absent > 3 || true', 'true'], ['absent && true', 'undefined'], ['error || true', 'error'],
    ['true || error', 'true'], ['!absent', 'undefined'], ['"yes" && true', 'error'], ['2 && true', 'true'],
    ['true ? 1 : error', '1'], ['absent ? 1 : 2', 'undefined'], ['"x" ? 1 : 2', 'error'],
    ['absent ?: 4 + 1', '5'], ['1 ?: 4 + 1', '2'], ['error ?: 1', 'error'], ['absent ?: -1', '-1']
  ])('%s is %s', (expression, expected) => { expect(value(expression)).toBe(expected) })
})

describe('functions', () => {
  test.each([
    ['isUndefined(absent)', 'true'], ['ISSTRING("x")', 'true'], ['isInteger(1.0)', 'false'], ['isClassAd([])', 'true'],
    ['int("41.9")', '41'], ['int(-2.9)', '-2'], ['int("4 1")', '4'], ['real("1e3")', '1000.0'], ['string(2.5)', '"2.500000000000000E+00"'], ['bool("True")', 'true'], ['bool("maybe")', 'undefined'],
    ['round(0.5)', '0'], ['round(1.5)', '2'], ['ceiling(-0.5)', '0'], ['floor(absent)', 'error'], ['pow(3, 4)', '81'], ['pow(-2, 3)', '-8'], ['pow(2, -2)', '0.25'],
    ['quantize(100, 64)', '128'], ['quantize(3, {2, 4})', '4'], ['quantize(9, {2, 4})', '12'],
    ['strcat("v", 1, ".", true)', '"v1.true"'], ['strcat("a", absent)', 'undefined'], ['substr("plantmesh", -4, 2)', '"me"'], ['substr("plant", 1, -1)', '"lan"'],
    ['toUpper("mesh-1")', '"MESH-1"'], ['strcmp("b", "a")', '1'], ['stricmp("A", "a")', '0'], ['size("plant")', '5'], ['size({1, 2})', '2'], ['size(7)', 'error'],
    ['split("a, b,,c")', '{"a", "b", "", "c"}'], ['join("-", {"a", absent, 2})', '"a-2"'], ['join("-", "a", "b")', '"a-b"'],
    ['member("KVM", {"tcg", "kvm"})', 'true'], ['member(1, {"1", 1.0})', 'true'], ['identicalMember(1, {1.0})', 'false'], ['member(1, absent)', 'undefined'],
    ['sum({1, absent, 2.5})', '3.5'], ['sum({})', '0'], ['avg({1, 2})', '1.5'], ['min({3, 1.5})', '1.5'], ['max({2, 1.5})', '2.0'], ['max({})', 'undefined'], ['sum({"x"})', 'error'],
    ['anyCompare(">", {1, 5}, 4)', 'true'], ['allCompare(">", {1, 5}, 4)', 'false'], ['allCompare("<", {}, 4)', 'true'],
    ['ifThenElse(true, 1, error)', '1'], ['ifThenElse(absent, 1, 2)', 'undefined'],
    ['stringListMember("b", "a, b")', 'true'], ['stringListIMember("B", "a;b", ";")', 'true'], ['stringListSize("a,,b c")', '3'], ['stringListSum("1, 2.5")', '3.5'], ['stringListSubsetMatch("a", "b,a")', 'true'],
    ['regexp("^g[0-9]+$", "g12")', 'true'], ['regexp("G", "g", "i")', 'true'], ['regexp("(", "x")', 'error'], ['regexp("a b # c", "ab", "x")', 'true'], ['regexp("(?=a)", "a")', 'error'],
    ['regexps("v([0-9]+)", "v12", "\\\\1.0")', '"12.0"'], ['replaceAll("o", "foo", "0")', '"f00"'], ['replaceAll("x*", "ab", "-")', '"-a-b-"'],
    ['versioncmp("1.9", "1.10") < 0', 'true'], ['versionGE("25.1", "25.1")', 'true'], ['version_in_range("2.5", "2.0", "3")', 'true'],
    ['interval(93784)', '"1+02:03:04"'], ['splitSlotName("s1@host")', '{"s1", "host"}'], ['eval("1 + " + absent)', 'error'], ['eval(strcat("1", "+2"))', '3'],
    ['int(absTime("1970-01-02T00:00:00Z"))', '86400'], ['splitTime(absTime("2020-02-29T12:30:00+02:00")).hours', '12'], ['formatTime(0, "%F %T")', '"1970-01-01 00:00:00"'],
    ['absTime("2020-01-01T00:00:10Z") - absTime("2020-01-01T00:00:00Z") == relTime(10)', 'true'], ['real(relTime("1d2h"))', '93600.0'],
    ['noSuchFunction(1)', 'error'], ['size()', 'error']
  ])('%s is %s', (expression, expected) => { expect(value(expression)).toBe(expected) })

  test('unparse gives the expression behind an attribute', () => {
    expect(value('unparse(Need)', '[Need = Cpus * (2 + 1)]')).toBe('"Cpus * (2 + 1)"')
  })

  test('an expression is counted and evaluated in each ad of a list', () => {
    const ad = '[Disks = {[Size = 10], [Size = 30], 5}; Big = Size > 20]'
    expect(value('countMatches(Big, Disks)', ad)).toBe('1')
    expect(value('evalInEachContext(Size * 2, Disks)', ad)).toBe('{20, 60, error}')
  })
})

describe('references', () => {
  const plant = '[Cpus = 8; Nested = [Cpus = 2; Both = Cpus + Only]; Only = 100; Inner = Nested.Both]'
  test.each([
    ['Inner', '102'], ['cPUS', '8'], ['Nested["cpus"]', '2'], ['Nested.Only', '100'], ['Nested["Only"]', 'undefined'], ['.Cpus', '8'], ['absent.more', 'undefined'], ['Cpus.more', 'error'],
    ['{[a = 1], [b = 2], 3}.a', '{1, undefined, error}'], ['{1, 2}[1]', '2'], ['{1, 2}[2]', 'error'], ['{1, 2}[-1]', 'error']
  ])('%s is %s', (expression, expected) => { expect(value(expression, plant)).toBe(expected) })

  test('bare names fall through to the target, MY and TARGET do not', () => {
    const [order, target] = ['[MemoryMiB = 256; Need = FreeMiB - MY.MemoryMiB]', '[FreeMiB = 300; MemoryMiB = 4096; Theirs = MemoryMiB - TARGET.MemoryMiB]']
    expect(value('Need', order, target)).toBe('44')
    expect(value('MY.FreeMiB', order, target)).toBe('undefined')
    expect(value('TARGET.MemoryMiB', order, target)).toBe('4096')
    expect(value('other.Theirs', order, target)).toBe('3840')
    expect(value('TARGET.Need', order, target)).toBe('undefined')
  })

  test('an attribute that comes back to itself is error', () => {
    expect(value('a', '[a = b + 1; b = a]')).toBe('error')
    expect(value('a', '[a = TARGET.b]', '[b = TARGET.a]')).toBe('error')
  })
})

describe('reading', () => {
  test.each(['1.', '1.e5', '12ab', '"open', 'a = 1', '1 +', '(1', '{1; 2}', 'true = 1', 'f(1 2)', '/* open', '2 ** 3', 'x.error', '#', ''])('%s does not parse', (text) => {
    expect(problem(() => parseExpression(text))).toMatchObject({ line: 1 })
  })

  test('a problem is told with line and column', () => {
    expect(problem(() => parseAd('[\n  a = 1;\n  b = 2 @ 3\n]'))).toMatchObject({ line: 3, column: 9 })
    expect(problem(() => parseAd('[a = 1 b = 2]'))).toMatchObject({ line: 1, column: 8 })
  })

  test('comments, blanks, quoted names, escapes and joined strings are read', () => {
    expect(value('"a\\t\\"\\101" /* and */ "b" // end')).toBe('"a\\t\\"Ab"')
    expect(value("'odd name' + 'true'", "[;; 'odd name' = 1; 'true' = 2;]")).toBe('3')
    expect(value('x', '[X = 1; x = 2]')).toBe('2')
  })
})

describe('ads', () => {
  test('are built from plain data and read back the same', () => {
    const ad = adOf({ Name: 'a "b"\n', Cpus: 2, Load: adReal(0), Half: 0.5, Big: 2n ** 40n, On: true, None: null, 'odd name': { is: [1, { deep: 'x' }] }, Need: parseExpression('Cpus*2') })
    expect(formatAd(ad)).toBe('[ Name = "a \\"b\\"\\n"; Cpus = 2; Load = 0.0; Half = 0.5; Big = 1099511627776; On = true; None = undefined; ' +
      "'odd name' = [ 'is' = {1, [ deep = \"x\" ]} ]; Need = Cpus * 2 ]")
    expect(formatAd(parseAd(formatAd(ad)))).toBe(formatAd(ad))
    expect(formatAd(adOf({}))).toBe('[]')
  })

  test.each([[1e300, '1e+300'], [5e-324, '5e-324'], [-0, '-0.0'], [1e21, '1e+21'], [NaN, 'real("NaN")'], [-Infinity, 'real("-INF")'], [123456789012345680, '123456789012345680.0']])('the real %d is written %s and reads back', (number, text) => {
    expect(formatAd(adOf({ x: adReal(number) }))).toBe(`[ x = ${text} ]`)
    const read = evaluate(parseExpression(text))
    expect(read.type === 'real' && Object.is(read.value, number)).toBe(true)
  })

  test('match when both sides hold', () => {
    const plant = parseAd('[FreeMiB = 512; Requirements = TARGET.MemoryMiB <= FreeMiB]')
    const order = (memoryMiB: number, requirements: string) => adOf({ MemoryMiB: memoryMiB, Requirements: parseExpression(requirements) })
    expect(matches(order(256, 'FreeMiB >= 300'), plant)).toBe(true)
    expect(matches(plant, order(256, '1'))).toBe(true)
    expect(matches(order(1024, 'true'), plant)).toBe(false)
    expect(matches(order(256, 'absent'), plant)).toBe(false)
    expect(matches(order(256, 'error'), plant)).toBe(false)
    expect(matches(adOf({ MemoryMiB: 1 }), plant)).toBe(false)
  })

  test('rank each other, and what is no number ranks as 0', () => {
    const order = adOf({ Rank: parseExpression('-Load') })
    expect(rankNumber(rankOf(order, adOf({ Load: 0.5 })))).toBe(-0.5)
    expect(rankOf(adOf({}), order)).toEqual({ type: 'undefined' })
    expect([{ type: 'undefined' }, { type: 'string', value: 'high' }, { type: 'boolean', value: true }, { type: 'real', value: NaN }].map((v) => rankNumber(v as Parameters<typeof rankNumber>[0]))).toEqual([0, 0, 1, 0])
  })
})
