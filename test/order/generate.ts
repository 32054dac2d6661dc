/** Arbitrary valid orders, and small DAGs, for the property tests. */
import fc from 'fast-check'
import type { Action, Order } from '../../protocols/order/order.ts'

const NAME_CHARS = [...'abcdefghijklmnopqrstuvwxyzABCXYZ0123456789']
export const names = fc.string({ unit: fc.constantFrom(...NAME_CHARS), minLength: 1, maxLength: 12 })

/** Text that forms like to spoil: indentation, line ends, quotes, markup, what looks like other types. `xml` leaves out what XML cannot hold. */
export function texts (xml: boolean): fc.Arbitrary<string> {
  const pieces = ['\n', '\n\n', '  ', '\t', '\r', '\r\n', ' \n', '&', '<', '>', '"', '\'', ']]>', '<![CDATA[', '<!--', '-->', '---', '\n---\n', '...', '# x', ': ', '- ', '|', '{', '}', '[', '%YAML', '!!str', '*a', '&a',
    'true', '123', '1e3', 'null', '~', 'é', '😀', '\u2028', '\u0085', '\ufeff', '\u00a0', '&amp;', '&#10;', '$(id)', '\\', '\\n', '<?x?>', 'a'.repeat(90), ...(xml ? [] : ['\u0001', '\u001b', '\u007f', '\ufffe'])]
  return fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'grapheme', maxLength: 6 }).filter((text) => !xml || !hasControl(text))), { maxLength: 12 })
    .map((parts) => parts.join('')).filter((text) => !text.includes('\0') && text.isWellFormed())
}

function hasControl (text: string): boolean {
  return [...text].some((character) => (character < ' ' && !'\t\n\r'.includes(character)) || character === '\ufffe' || character === '\uffff')
}

function map (key: fc.Arbitrary<string>, xml: boolean): fc.Arbitrary<Record<string, string>> {
  return fc.dictionary(key, texts(xml).filter((text) => text.length < 250), { maxKeys: 3, noNullPrototype: true }).map((entries) => ({ ...entries }))
}

function actions (depth: number, xml: boolean): fc.Arbitrary<Action[]> {
  return fc.uniqueArray(names, { maxLength: depth === 0 ? 5 : 2 }).chain((ids) => fc.tuple(...ids.map((id, index) => action(id, ids.slice(0, index), depth, xml))))
    .chain((list) => fc.shuffledSubarray(list, { minLength: list.length }))
}

function action (id: string, earlier: string[], depth: number, xml: boolean): fc.Arbitrary<Action> {
  const guest = fc.record({
    run: fc.constant('guest' as const),
    script: texts(xml).map((text) => `#${text}`).chain((text) => fc.constantFrom(text, text + '\n', '  ' + text, '\n\t' + text)),
    parameters: map(names.map((name) => `V_${name}`), xml),
    files: map(fc.oneof(names, fc.constantFrom('a b', 'é', 'x"y', 'x&<y', 'k: v')).map((name) => `/etc/${name}`), xml)
  })
  const host = fc.record({ run: fc.constant('host' as const), use: names, with: map(names, xml), parameters: fc.constant({}), files: fc.constant({}) })
    .map(({ with: args, ...rest }) => Object.keys(args).length === 0 ? rest : { ...rest, with: args })
  const onError = depth >= 2 ? fc.constant({}) : fc.oneof({ weight: 3, arbitrary: fc.constant({}) },
    fc.record({ actions: actions(depth + 1, xml), then: fc.constantFrom('continue' as const, 'fail' as const) }).map((graph) => ({ onError: graph })))
  return fc.tuple(fc.oneof({ weight: 3, arbitrary: guest }, host), fc.subarray(earlier), fc.integer({ min: 1, max: 86_400_000 }), onError)
    .map(([what, after, timeoutMs, error]) => ({ id, after, timeoutMs, ...what, ...error }))
}

export function orders (xml = true): fc.Arbitrary<Order> {
  const optional = <T extends object>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<Partial<T>> => fc.oneof(fc.constant({}), arbitrary)
  return fc.record({
    apiVersion: fc.constant('plantmesh/v1' as const),
    kind: fc.constant('Machine' as const),
    metadata: fc.tuple(optional(fc.record({ name: names })), map(names, xml)).map(([name, labels]) => ({ ...name, labels })),
    domain: names,
    hardware: fc.tuple(optional(fc.record({ isa: fc.constantFrom('x86_64', 'aarch64') })), fc.record({ cpus: fc.integer({ min: 1, max: 64 }), memoryMiB: fc.integer({ min: 8, max: 4096 }), diskMiB: fc.integer({ min: 1, max: 100_000 }) })).map(([isa, rest]) => ({ ...isa, ...rest })),
    software: fc.record({ os: names, channel: fc.constantFrom('agent' as const, 'iso' as const), actions: actions(0, xml) }),
    requirements: fc.constantFrom('true', 'FreeMemoryMiB >= 512 && Load < 0.5', 'Site == "a<b"')
  }).chain((order) => fc.tuple(optional(fc.record({ rank: fc.constantFrom('-Load', '1') })), networks())
    .map(([rank, network]) => ({ ...order, ...rank, ...network })))
}

/** No network, one, or several; names of several differ. */
function networks (): fc.Arbitrary<Pick<Order, 'network' | 'networks'>> {
  const octet = fc.nat(255)
  const address = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join('.'))
  const subnet = fc.tuple(address, fc.nat(32)).map(([quad, prefix]) => `${quad}/${prefix}`)
  const optional = { address: fc.oneof(address, subnet), proxy: fc.constant('/ip4/192.0.2.1/tcp/4001'), router: fc.constant(true) }
  // A way out needs an address of the network's own.
  const mesh = fc.record({ name: names, addressing: fc.constant('mesh' as const), ...optional, routes: fc.array(fc.record({ to: subnet, via: address }), { minLength: 1, maxLength: 3 }) }, { requiredKeys: ['name', 'addressing'] })
  const external = fc.record({ name: names, addressing: fc.constant('external' as const), ...optional }, { requiredKeys: ['name', 'addressing'] })
  const open = fc.record({ name: names, addressing: fc.constant('mesh' as const), address, egress: fc.constant(true as const) }, { requiredKeys: ['name', 'addressing', 'egress'] })
  const one = fc.oneof(mesh, external, open)
  return fc.oneof(fc.constant({}), fc.record({ network: one }), fc.record({ networks: fc.uniqueArray(one, { minLength: 1, maxLength: 8, selector: ({ name }) => name }) }))
}

/** A DAG of at most `max` actions over `scripts` scripts (0: each its own), so that some have the same digest; edges only from earlier to later, then shuffled. */
export function graphs (max: number, scripts: number): fc.Arbitrary<Action[]> {
  return fc.integer({ min: 0, max }).chain((count) => fc.tuple(
    fc.tuple(...Array.from({ length: count }, (_, index) => fc.tuple(fc.nat(Math.max(0, scripts - 1)), fc.subarray(Array.from({ length: index }, (_unused, i) => `n${i}`), { maxLength: Math.min(3, index) })))),
    fc.constant(count)
  )).chain(([nodes]) => {
    const list = nodes.map(([script, after], index): Action => ({ id: `n${index}`, after, run: 'guest', script: scripts === 0 ? `do n${index}` : `do ${script}`, parameters: {}, files: {}, timeoutMs: 1000 }))
    return fc.shuffledSubarray(list, { minLength: list.length })
  })
}
