/** Every network of the mesh that one may see. */
import { asPlantError } from '../../protocols/kit/index.ts'
import type { NetworkTold } from '../../protocols/machine/index.ts'
import type { NetworkId } from '../../protocols/tunnel/index.ts'
import type { Context } from './context.ts'
import type { MeshNetwork } from './network-text.ts'
import { printable } from './output.ts'

/** The networks that this key may see, or one of them in full, as all plants in view have them. Plants that do not answer are named on stderr. */
export async function toldOf (c: Context, network?: NetworkId): Promise<MeshNetwork[]> {
  const networks = new Map<string, MeshNetwork>()
  const { silent } = await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'networks', body: { ...(network !== undefined && { network }) } }) }, (event) => {
    for (const told of event['event'] === 'networks' ? event['networks'] as NetworkTold[] : []) {
      const { name, domain, domainKey, addressing } = told
      const id = told.id as NetworkId
      networks.set(id, { id, name, domain, domainKey, addressing, plants: [...networks.get(id)?.plants ?? [], told] })
    }
  }, c.signal) as { silent: Array<{ plant: string, code: string }> }
  for (const { plant, code } of silent) c.out.note(`plant ${plant} did not answer (${code}): networks that it is on may be missing`)
  return [...networks.values()].sort((a, b) => `${a.domain} ${a.name} ${a.id}` < `${b.domain} ${b.name} ${b.id}` ? -1 : 1)
}

/** A network that has no machines is joined like any other: tells who joined one by a wrong name. Never rejects. */
export async function tellIfEmpty (c: Context, network: { id: string, name: string, domain: string }): Promise<void> {
  try {
    const [told] = await toldOf(c, network.id as NetworkId)
    if (told?.plants.some(({ machines }) => machines > 0) === true || c.signal.aborted) return
    c.out.note(`no machine that can be seen is on the network ${printable(network.name)} of the domain ${printable(network.domain)} yet (plantmesh network list shows those that have some)`)
  } catch (error) {
    if (!c.signal.aborted) c.out.note(`whether machines are on the network could not be asked (${asPlantError(error).code})`)
  }
}
