/**
 * The disk behind a machine's own. One that was served while it was arriving is replaced by its file while the machine runs: the file is opened beside
 * it, and the machine's disk is told to have that behind it (`blockdev-reopen`, QEMU 6.1 and later), between two of the guest's reads.
 *
 *     served --blockdev-add--> served, file open --blockdev-reopen--> file        A plant may end anywhere; what QEMU has is what counts.
 */
import { LOCAL_BASE_NODE, SERVED_BASE_NODE, baseNode, diskOnLocalBase } from './command-line.ts'
import { SWITCH_WITHIN_MS } from './limits.ts'
import type { Qmp } from './qmp.ts'

/** Names of all of a machine's block nodes. */
export async function blockNodes (qmp: Qmp): Promise<string[]> {
  const nodes = await qmp.execute('query-named-block-nodes', { flat: true })
  return (Array.isArray(nodes) ? nodes as Array<Record<string, unknown>> : []).map((node) => String(node['node-name']))
}

/** Whether a machine still reads from what is served. */
export async function needsServer (qmp: Qmp): Promise<boolean> {
  return (await blockNodes(qmp)).includes(SERVED_BASE_NODE)
}

/** Switches a machine to a file; done when it was before. Waits for reads that are under way. Throws VM_STATE or VM_DIED: to be asked again. */
export async function switchToFile (qmp: Qmp, path: string): Promise<void> {
  const nodes = await blockNodes(qmp)
  if (!nodes.includes(SERVED_BASE_NODE)) return
  // Opened by a plant that ended before it went on; and perhaps another file.
  if (nodes.includes(LOCAL_BASE_NODE)) await qmp.execute('blockdev-del', { 'node-name': LOCAL_BASE_NODE })
  await qmp.execute('blockdev-add', baseNode({ path }))
  // What was served goes with its last user.
  await qmp.execute('blockdev-reopen', { options: [diskOnLocalBase()] }, { timeoutMs: SWITCH_WITHIN_MS })
}
