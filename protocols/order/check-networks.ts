/** What the shape of an order does not say of its networks: one way of naming them, each once, and no routes where addresses are others' matter. */
import { foundText, type Path, type RawProblem } from './problems.ts'

/** The problems of a document's `network` and `networks`, whatever they are; their shapes are told by the schema. */
export function networkProblems (document: Record<string, unknown> | undefined): RawProblem[] {
  const { network, networks } = document ?? {}
  const listed = Array.isArray(networks) ? networks : []
  const problems: RawProblem[] = []
  if (network !== undefined && networks !== undefined) {
    problems.push({ path: ['networks'], found: `network, and ${foundText(networks)} of networks`, allowed: 'one of the two', message: 'network is there too: list every network here' })
  }
  const seen = new Set<string>()
  for (const [index, one] of listed.entries()) {
    const name = fieldOf(one, 'name')
    if (typeof name !== 'string') continue
    if (seen.has(name)) problems.push({ path: ['networks', index, 'name'], found: foundText(name), allowed: 'each network once', message: 'the network is there twice' })
    seen.add(name)
  }
  for (const [one, path] of [[network, ['network']], ...listed.map((one, index) => [one, ['networks', index]])] as Array<[unknown, Path]>) problems.push(...routeProblems(one, path), ...egressProblems(one, path))
  return problems
}

function routeProblems (network: unknown, path: Path): RawProblem[] {
  const routes = fieldOf(network, 'routes')
  if (routes === undefined || fieldOf(network, 'addressing') !== 'external') return []
  return [{ path: [...path, 'routes'], found: foundText(routes), allowed: 'no routes with addressing: external', message: 'the client\'s own LAN gives addresses and routes' }]
}

/** The way out is the gateway's, which is in the network's own range of addresses. */
function egressProblems (network: unknown, path: Path): RawProblem[] {
  if (fieldOf(network, 'egress') !== true) return []
  const address = fieldOf(network, 'address')
  const problem = (message: string, allowed: string): RawProblem[] => [{ path: [...path, 'egress'], found: 'true', allowed, message }]
  if (fieldOf(network, 'addressing') === 'external') return problem('the client\'s own LAN has its own way out', 'no egress with addressing: external')
  return typeof address === 'string' && /[/:]/.test(address) ? problem('there is no gateway in the subnet of this address', 'no address, or one without a prefix') : []
}

function fieldOf (value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}
