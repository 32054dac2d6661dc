/** create: the machines of an order file, or all machines of a topology. */
import { randomUUID } from 'node:crypto'
import { PlantError, asPlantError, keyIdOf, type KeyId, type VmId } from '../../protocols/kit/index.ts'
import type { MachineView } from '../../protocols/machine/index.ts'
import { topologyDigest, vmIdOf, type Order, type Topology } from '../../protocols/order/index.ts'
import type { Context } from './context.ts'
import { copiesToAskFor } from './copies.ts'
import { orderCredentials } from './domain-keys.ts'
import { listMachines } from './list-machines.ts'
import { machineText, machinesTable } from './machine-text.ts'
import { readOrders } from './order-files.ts'
import { printable } from './output.ts'

/** Machines that one create asks for at once; the rest follow as they end. */
const CREATE_AT_ONCE_MAX = 16
const COUNT_MAX = 10_000
/** What a signed order takes. */
const ID_CHARS_MAX = 253
const CLEAN_UP_TIMEOUT_MS = 15_000

export interface CreateOptions { file: string, count: number, id?: string, strict?: boolean }

/** One machine to ask for. */
interface Job { order: Order, documentIndex: number, copyIndex: number }
interface Failure { documentIndex: number, copyIndex: number, name?: string, error: ReturnType<PlantError['report']> }
interface Made { machines: MachineView[], failures: Failure[] }

/** The exit status: 1 when a machine failed, of several. Throws the failure of a single one, USAGE, ORDER_INVALID, INTERRUPTED. */
export async function create (c: Context, options: CreateOptions): Promise<number> {
  if (options.count > COUNT_MAX) throw new PlantError('USAGE', { option: '--count', found: options.count, allowed: `at most ${COUNT_MAX}` })
  if (options.id !== undefined && (options.id === '' || options.id.length > ID_CHARS_MAX)) throw new PlantError('USAGE', { option: '--id', allowed: `1 to ${ID_CHARS_MAX} characters` })
  const { orders, topology } = await readOrders(options.file)
  if (topology !== undefined) return await createTopology(c, options, topology, orders)
  const orderId = options.id ?? randomUUID()
  const jobs = orders.flatMap((order, documentIndex) => Array.from({ length: options.count }, (_, copyIndex) => ({ order, documentIndex, copyIndex })))
  const { machines, failures } = await askForAll(c, orderId, jobs, { single: jobs.length === 1, strict: options.strict === true, ours: options.id === undefined })
  if (jobs.length === 1) {
    c.out.answer(machines[0], machineText(machines[0] as MachineView))
    return 0
  }
  c.out.answer({ machines, failures }, [machinesTable(machines), ...failures.map(failureText)].join('\n'))
  return failures.length > 0 ? 1 : 0
}

/** The same document is the same order: machines of it that there are already are answered with, those that ended are made anew. */
async function createTopology (c: Context, options: CreateOptions, topology: Topology, orders: Order[]): Promise<number> {
  if (options.count > 1) throw new PlantError('USAGE', { option: '--count', found: options.count, allowed: '1 with a topology: another one has another name' })
  const { name } = topology.metadata
  const orderId = options.id ?? `${name}-${topologyDigest(topology).slice(0, 16)}`
  const owner = await ownerOf(c)
  const { machines: listed } = await listMachines(c, true)
  const idOf = (documentIndex: number, copyIndex: number): VmId => vmIdOf({ owner, domain: topology.domain, orderId, documentIndex, copyIndex })
  const copies = copiesToAskFor(idOf, orders.length, listed.filter((machine) => machine.orderId === orderId && machine.owner === owner))
  const jobs = orders.map((order, documentIndex) => ({ order, documentIndex, copyIndex: copies[documentIndex] ?? 0 }))
  const { machines, failures } = await askForAll(c, orderId, jobs, { single: false, strict: options.strict === true, ours: false })
  const hint = failures.length > 0 ? ['the others stay; asked again, what is missing is made'] : []
  c.out.answer({ topology: name, orderId, machines, failures }, [machinesTable(machines), ...failures.map(failureText), ...hint].join('\n'))
  return failures.length > 0 ? 1 : 0
}

/** With `single` the failure of its one machine is thrown, else failures are listed; machines as they stand in the document. */
async function askForAll (c: Context, orderId: string, jobs: Job[], { single, strict, ours }: { single: boolean, strict: boolean, ours: boolean }): Promise<Made> {
  const owner = await ownerOf(c)
  const begun: VmId[] = []
  const results: Array<{ machine: MachineView } | { failure: Failure }> = []
  let ended = 0
  if (!c.out.json) c.out.note(`order ${printable(orderId)}`)
  const queue = jobs.entries()
  const worker = async (): Promise<void> => {
    for (const [nth, { order, documentIndex, copyIndex }] of queue) {
      if (c.signal.aborted) return
      try {
        const signedOrder = await c.sign({ kind: 'order', body: { orderId, documentIndex, copyIndex, order, ...await orderCredentials(c, order.domain) } })
        begun.push(vmIdOf({ owner, domain: order.domain, orderId, documentIndex, copyIndex }))
        const machine = await c.api.lines('/v1/orders', { signedOrder, strict }, (event) => {
          if (single && event['event'] === 'progress') c.out.progress(printable(String(event['step'])), Number(event['share']))
        }, c.signal) as MachineView
        results[nth] = { machine }
      } catch (error) {
        if (c.signal.aborted) return
        if (single) throw error
        const { name } = order.metadata
        results[nth] = { failure: { documentIndex, copyIndex, ...(name !== undefined && { name }), error: asPlantError(error).report() } }
      }
      ended++
      if (!single) c.out.progress(`${ended} of ${jobs.length} machines`, ended / jobs.length)
    }
  }
  await Promise.all(Array.from({ length: Math.min(CREATE_AT_ONCE_MAX, jobs.length) }, worker))
  if (c.signal.aborted) throw new PlantError('INTERRUPTED', { orderId, ...await cleanUp(c, begun, ours) })
  return { machines: results.flatMap((one) => 'machine' in one ? one.machine : []), failures: results.flatMap((one) => 'failure' in one ? one.failure : []) }
}

async function ownerOf (c: Context): Promise<KeyId> { return keyIdOf((await c.signer()).publicKey) }

function failureText ({ name, documentIndex, copyIndex, error }: Failure): string {
  return `failed: ${name === undefined ? '' : `${printable(name)}, `}document ${documentIndex}, copy ${copyIndex}: ${error.message} (${error.code})`
}

/**
 * After an interruption (CONTRACT.md: 130, after cleaning up): machines of an order whose id this run made are collected, as nobody else
 * knows of it; those of an id that the user gave, or that follows from a topology, stay, to be asked for again, and are named.
 */
async function cleanUp (c: Context, begun: VmId[], ours: boolean): Promise<Record<string, unknown>> {
  if (!ours) return { machines: begun }
  const limit = AbortSignal.timeout(CLEAN_UP_TIMEOUT_MS)
  const left: VmId[] = []
  await Promise.all(begun.map(async (vmId) => {
    try {
      await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'collect', vmId, body: {} }) }, () => {}, limit)
    } catch (error) {
      if (asPlantError(error).code !== 'VM_UNKNOWN') left.push(vmId) // Unknown: it was never begun.
    }
  }))
  return left.length === 0 ? {} : { notCollected: left }
}
