import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PlantError } from '../../protocols/kit/index.ts'
import { checkOrder, formatOrders, ORDER_FORMATS, parseOrders, type Order, type OrderFormat, type Problem } from '../../protocols/order/index.ts'
import { orders } from './generate.ts'

const SAMPLE = readFileSync(new URL('../../node/cli/sample-order.yaml', import.meta.url), 'utf8')
const MINIMAL = { apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny' } }

function parse (text: string, format?: OrderFormat): Order[] {
  return parseOrders(text, format).map((document) => document.order)
}

function problemsOf (text: string, format?: OrderFormat): Problem[] {
  try {
    parseOrders(text, format)
  } catch (error) {
    expect(error).toBeInstanceOf(PlantError)
    expect((error as PlantError).code).toBe('ORDER_INVALID')
    return (error as PlantError).details['problems'] as Problem[]
  }
  throw new Error('the text was taken')
}

describe('the three forms', () => {
  test('give back an equal order, whatever texts it holds', () => {
    fc.assert(fc.property(orders(), (order) => {
      for (const format of ORDER_FORMATS) {
        expect(parse(formatOrders([order], format))).toEqual([order])
        expect(parse(formatOrders([order], format), format)).toEqual([order])
      }
    }), { numRuns: 300 })
  })

  test('give back equal orders through every chain of forms, several in a file', () => {
    fc.assert(fc.property(fc.array(orders(), { minLength: 2, maxLength: 3 }), fc.array(fc.constantFrom(...ORDER_FORMATS), { minLength: 2, maxLength: 4 }), (list, chain) => {
      let current: Order[] = list
      for (const format of chain) current = parse(formatOrders(current, format))
      expect(current).toEqual(list)
    }), { numRuns: 100 })
  })

  test('YAML and JSON hold control characters too', () => {
    fc.assert(fc.property(orders(false), (order) => {
      for (const format of ['yaml', 'json'] as const) expect(parse(formatOrders([order], format))).toEqual([order])
    }), { numRuns: 200 })
  })

  test('checking a checked order changes nothing', () => {
    fc.assert(fc.property(orders(false), (order) => { expect(checkOrder(order)).toEqual(order) }), { numRuns: 100 })
  })

  test('the sample order is the same document in all three', () => {
    const [order] = parse(SAMPLE)
    expect(order).toMatchObject({ domain: 'ufl.example', metadata: { name: 'workspace', labels: { course: 'phys101' } }, rank: '-Load', requirements: 'FreeMemoryMiB >= 512', network: { name: 'lan', addressing: 'mesh' } })
    expect(order?.software.actions.map((action) => [action.id, action.after, action.timeoutMs])).toEqual([['user', [], 60_000], ['motd', ['user'], 10_000]])
    expect(order?.software.actions[1]?.onError).toEqual({ then: 'continue', actions: [{ id: 'plainmotd', after: [], run: 'guest', script: 'echo hello > /etc/motd', parameters: {}, files: {}, timeoutMs: 60_000 }] })
    for (const format of ORDER_FORMATS) expect(parse(formatOrders([order as Order], format))).toEqual([order])
  })

  test('fill in the defaults of the contract', () => {
    expect(parse(JSON.stringify(MINIMAL))).toEqual([{
      ...MINIMAL, metadata: { labels: {} }, domain: 'default', hardware: { cpus: 1, memoryMiB: 256, diskMiB: 512 }, software: { os: 'tiny', channel: 'agent', actions: [] }, requirements: 'true'
    }])
  })

  test('read the XML of the contract, with labels, parameters and files in each way of writing them', () => {
    const xml = `<?xml version="1.0"?>
<!-- by hand --><Machine apiVersion="plantmesh/v1" domain="d"><metadata name="workspace"><labels course="123"><label name="term">a &lt; b</label></labels></metadata>
<hardware memoryMiB="128"/><software os="tiny"><actions><action id="user" run="guest"><script>  echo a &amp;&amp; b
<![CDATA[cat <<X & ]]>&#13;
</script><parameter name="PORT">80</parameter><files><file path="/etc/a b">x

</file></files></action>
<action id="iso" run="host" use="attach-iso"><with image="tools.iso"/></action>
<action id="motd" timeoutMs="5"><after> user </after><after>iso</after><script>x</script><onError then="continue"/></action></actions></software><requirements>Load &lt; 1</requirements></Machine>`
    const [order] = parse(xml)
    expect(order).toMatchObject({ metadata: { labels: { course: '123', term: 'a < b' } }, hardware: { memoryMiB: 128 }, requirements: 'Load < 1', domain: 'd' })
    expect(order?.software.actions[0]).toMatchObject({ script: '  echo a && b\ncat <<X & \r\n', parameters: { PORT: '80' }, files: { '/etc/a b': 'x\n\n' } })
    expect(order?.software.actions[1]).toMatchObject({ use: 'attach-iso', with: { image: 'tools.iso' } })
    expect(order?.software.actions[2]).toMatchObject({ after: ['user', 'iso'], timeoutMs: 5, onError: { actions: [], then: 'continue' } })
  })

  test('tell the document, the field and the line of every problem in the file', () => {
    const yaml = 'apiVersion: plantmesh/v1\nkind: Machine\nsoftware:\n  os: tiny\n---\napiVersion: plantmesh/v1\nkind: Machine\nhardware:\n  cpus: many\nsoftware:\n  os: tiny\n  actions:\n    - id: a\n      script: x\n      timeoutMs: 0\n'
    expect(problemsOf(yaml)).toEqual([
      { path: 'hardware.cpus', found: '"many"', allowed: 'a number', message: 'is of the wrong type', document: 1, line: 9 },
      { path: 'software.actions[0].timeoutMs', found: 'number 0', allowed: 'at least 1', message: 'is too small', document: 1, line: 15 }
    ])
    const json = JSON.stringify([MINIMAL, { ...MINIMAL, hardware: { cpus: 'many' } }], null, 1)
    expect(problemsOf(json)[0]).toMatchObject({ path: 'hardware.cpus', document: 1, line: json.slice(0, json.indexOf('"cpus"')).split('\n').length })
    const xml = '<Orders>\n<Machine apiVersion="plantmesh/v1"><software os="a"/></Machine>\n<Machine apiVersion="plantmesh/v1">\n<hardware\ncpus="many"/><software os="a"/></Machine></Orders>'
    expect(problemsOf(xml)[0]).toMatchObject({ path: 'hardware.cpus', document: 1, line: 4, found: '"many"' })
  })

  test('XML refuses to write what it cannot hold, and says where', () => {
    const order = checkOrder({ ...MINIMAL, software: { os: 'tiny', actions: [{ id: 'a', script: 'printf "\u001b[0m"' }] } })
    expect(() => formatOrders([order, order], 'xml')).toThrow(expect.objectContaining({ code: 'ORDER_INVALID', details: { problems: [expect.objectContaining({ path: 'software.actions[0].script', document: 0 }), expect.objectContaining({ document: 1 })] } }))
    expect(parse(formatOrders([order], 'yaml'))).toEqual([order])
  })
})

describe('hostile and broken files', () => {
  const machine = (inner: string): string => `<Machine apiVersion="plantmesh/v1">${inner}</Machine>`
  const bomb = 'a: &a [x,x,x,x,x,x,x,x,x]\n' + [...'bcdefghi'].map((letter, index) => `${letter}: &${letter} [${Array(9).fill(`*${'abcdefgh'[index]}`).join(',')}]\n`).join('')
  const cases: Array<[string, string, OrderFormat | undefined, RegExp]> = [
    ['an XML document type', '<!DOCTYPE a [<!ENTITY x "y">]><Machine/>', undefined, /document types and entities are refused/],
    ['a document type inside an element', '<Machine><!DOCTYPE a></Machine>', undefined, /document types/],
    ['an external entity', '<!DOCTYPE a SYSTEM "file:///etc/passwd"><Machine>&a;</Machine>', undefined, /document types/],
    ['an unknown entity', machine('<software os="&nbsp;"/>'), undefined, /is not an entity/],
    ['a character reference that XML does not allow', machine('<software os="&#0;"/>'), undefined, /is not an entity/],
    ['XML that is cut off', '<Machine apiVersion="plantmesh/v1"><software', undefined, /not well-formed XML/],
    ['an attribute given twice', '<Machine domain="a" domain="b"/>', undefined, /not well-formed XML/],
    ['another root element', '<order/>', undefined, /root element/],
    ['two root elements', '<Machine/><Machine/>', undefined, /one root element/],
    ['XML nested without end', '<a>'.repeat(100_000), undefined, /not well-formed|too large/],
    ['XML of a million elements', `<Machine>${'<a/>'.repeat(200_000)}</Machine>`, undefined, /too large/],
    ['a name of the prototype', '<Machine __proto__="x"/>', undefined, /not well-formed|not allowed/],
    ['text where none belongs', machine('<software os="tiny">hello</software>'), undefined, /holds no text/],
    ['an element given twice', machine('<software os="a"/><software os="b"/>'), undefined, /twice/],
    ['elements in a script', machine('<software os="a"><actions><action id="a"><script>x<b/></script></action></actions></software>'), undefined, /holds text and no elements/],
    ['a YAML alias bomb', bomb, undefined, /aliases cannot be resolved/],
    ['YAML nested without end', '['.repeat(50_000), 'yaml', /not valid YAML/],
    ['YAML maps nested without end', 'a: {'.repeat(20_000), 'yaml', /not valid YAML/],
    ['a YAML field given twice', 'kind: Machine\nkind: Machine\n', undefined, /not valid YAML/],
    ['a YAML tag of a program', 'apiVersion: !!js/function "x"\n', undefined, /not valid YAML/],
    ['YAML with a tab for indentation', 'software:\n\tos: x\n', undefined, /not valid YAML/],
    ['too many YAML documents', '---\n'.repeat(10_000), undefined, /too many documents/],
    ['JSON that is cut off', '{"apiVersion": "plantmesh/v1",', undefined, /not valid JSON/],
    ['a JSON field given twice', `{"apiVersion":"plantmesh/v1","kind":"Machine","software":{"os":"a","os":"b"}}`, undefined, /twice/],
    ['JSON nested without end', '['.repeat(100_000) + ']'.repeat(100_000), undefined, /nested too deeply|too many documents/],
    ['JSON maps nested without end', '{"a":'.repeat(50_000) + '1' + '}'.repeat(50_000), undefined, /nested too deeply/],
    ['a list of a million', `{"apiVersion":[${'1,'.repeat(200_000)}1]}`, undefined, /too large/],
    ['thousands of unknown fields', Array.from({ length: 30_000 }, (_, index) => `f${index}: 1\n`).join(''), undefined, /unknown field/],
    ['thousands of actions that wait for each other', JSON.stringify({ ...MINIMAL, software: { os: 'tiny', actions: Array.from({ length: 9000 }, (_, index) => ({ id: `a${index}`, after: [`a${index ^ 1}`] })) } }), undefined, /too many actions|too large/],
    ['nothing', '', undefined, /no order/],
    ['white space', '\n \n', undefined, /no order/],
    ['an empty list', '[]', undefined, /no order/],
    ['a scalar', 'hello', undefined, /wrong type/],
    ['10 MiB', 'x'.repeat(10 * 1024 * 1024), undefined, /file is too large/],
    ['1 MiB of characters that are more bytes', 'é'.repeat(600_000), undefined, /file is too large/]
  ]
  test.each(cases)('%s is refused clearly', (_name, text, format, message) => {
    const start = performance.now()
    const problems = problemsOf(text, format)
    expect(problems.map((problem) => problem.message).join('\n')).toMatch(message)
    expect(JSON.stringify(problems).length).toBeLessThan(100_000)
    expect(performance.now() - start).toBeLessThan(5000)
  })

  test('any text ends in an order or in ORDER_INVALID', () => {
    const spoiled = fc.tuple(fc.constantFrom(...ORDER_FORMATS), fc.nat(), fc.nat(60), fc.string({ unit: 'binary', maxLength: 8 })).map(([format, at, length, patch]) => {
      const text = formatOrders(parse(SAMPLE), format)
      const place = at % text.length
      return text.slice(0, place) + patch + text.slice(place + length)
    })
    fc.assert(fc.property(fc.oneof(spoiled, fc.string({ unit: 'binary' }), fc.json()), fc.option(fc.constantFrom(...ORDER_FORMATS), { nil: undefined }), (text, format) => {
      try {
        parseOrders(text, format)
      } catch (error) {
        expect((error as PlantError).code).toBe('ORDER_INVALID')
      }
    }), { numRuns: 1500 })
  })
})
