/** A machine's record as others see it: attributes, classad, JSON (CONTRACT.md, "A machine, as JSON" and "Machine's ad"). */
import type { PeerId } from '../../protocols/kit/index.ts'
import type { MachineView } from '../../protocols/machine/index.ts'
import { adOf, formatAd } from '../../protocols/order/classad.ts'
import { versionName } from '../../protocols/order/versions.ts'
import type { MachineRecord } from '../../storage/records/records.ts'
import type { MachineStats } from '../lines/line.ts'

/** `stats` are the newest that monitoring has, where the machine runs. */
export function viewOf (record: MachineRecord, plant: PeerId, stats?: MachineStats): MachineView {
  const attributes: MachineView['attributes'] = {
    // Outputs first: what a guest says must not pass for what the plant knows.
    ...record.attributes,
    VMID: record.vmId,
    Name: record.name,
    Owner: record.owner,
    Domain: record.domain,
    DomainKey: record.domainKey,
    Plant: plant,
    State: record.state,
    Cpus: record.lease.cpus,
    MemoryMiB: record.lease.memoryMiB,
    DiskMiB: record.lease.diskMiB,
    ...networkAttributes(record),
    ...(record.plan?.goldenVersion !== undefined && { Golden: versionName({ name: record.plan.goldenName, version: record.plan.goldenVersion }) }),
    ...(stats !== undefined && { OverlayBytes: stats.overlayBytes, PrivateMemoryBytes: stats.privateMemoryBytes })
  }
  return {
    vmid: record.vmId,
    name: record.name,
    state: record.state,
    plant,
    owner: record.owner,
    domain: record.domain,
    orderId: record.orderId,
    labels: record.labels,
    ...(record.provisional && { provisional: true }),
    attributes,
    classad: formatAd(adOf(attributes)),
    ...(record.plan !== undefined && { golden: { name: record.plan.goldenName, ...(record.plan.goldenVersion !== undefined && { version: record.plan.goldenVersion }), actionsDone: record.plan.actionsDone, actionsRun: record.plan.actionsRun, ...(record.plan.actionsMended !== undefined && { actionsMended: record.plan.actionsMended }) } }),
    ...(record.outputsDropped !== undefined && { outputsDropped: record.outputsDropped }),
    phasesMs: record.phasesMs,
    ...(record.error !== undefined && { error: record.error })
  }
}

/** The first of its networks and its address there; where there are several, all of them. */
function networkAttributes ({ networks = [] }: MachineRecord): MachineView['attributes'] {
  const [on] = networks
  const address = on?.station.addresses[0]
  const all = networks.map(({ name, station }) => [name, ...station.addresses].join(' ')).join(', ')
  return { ...(on !== undefined && { Network: on.name }), ...(address !== undefined && { Address: address }), ...(networks.length > 1 && { Networks: all }) }
}
