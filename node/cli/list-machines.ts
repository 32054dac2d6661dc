/** Every machine of the mesh that one may see. */
import type { MachineView } from '../../protocols/machine/index.ts'
import type { Context } from './context.ts'

/** Plants that do not answer are named on stderr: their machines may go on, unlisted. */
export async function listMachines (c: Context, all: boolean): Promise<{ machines: MachineView[], silent: string[] }> {
  const machines: MachineView[] = []
  const { silent } = await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'list', body: { all } }) }, (event) => {
    if (event['event'] === 'machines') machines.push(...event['machines'] as MachineView[])
  }, c.signal) as { silent: Array<{ plant: string, code: string }> }
  for (const { plant, code } of silent) c.out.note(`plant ${plant} did not answer (${code}): machines that it has are not in this list`)
  return { machines: machines.sort((a, b) => a.vmid < b.vmid ? -1 : 1), silent: silent.map(({ plant }) => plant) }
}
