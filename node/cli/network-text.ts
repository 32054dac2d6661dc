/** Networks, for people. */
import type { NetworkTold } from '../../protocols/machine/index.ts'
import type { NetworkId } from '../../protocols/tunnel/index.ts'
import { printable, table } from './output.ts'

/** A network as all plants that told of it have it. */
export interface MeshNetwork extends Pick<NetworkTold, 'name' | 'domain' | 'domainKey' | 'addressing'> { id: NetworkId, plants: NetworkTold[] }

/** One row a network; `stations` is what the plant knows that knows most. */
export function networksTable (networks: MeshNetwork[]): string {
  if (networks.length === 0) return 'no networks'
  return table([['NETWORK', 'DOMAIN', 'MACHINES', 'STATIONS', 'PLANTS', 'ADDRESSES', 'ID'], ...networks.map(({ id, name, domain, addressing, plants }) => [
    printable(name), printable(domain), String(plants.reduce((sum, { machines }) => sum + machines, 0)), String(Math.max(...plants.map(({ stations }) => stations))), String(plants.length),
    addressing === 'mesh' ? 'by the mesh' : 'of its LAN', id
  ])])
}

/** Stations, and what each plant has: members, ports, counters, drops. */
export function networkText ({ id, name, domain, domainKey, addressing, plants }: MeshNetwork): string {
  const stations = new Map(plants.flatMap(({ detail }) => detail?.stations ?? []).map((station) => [station.mac, station]))
  return [
    `network    ${printable(name)}  (${id})`,
    `domain     ${printable(domain)}  ${printable(domainKey)}`,
    `addresses  ${addressing === 'mesh' ? 'given by the mesh' : 'of the client\'s own LAN'}`,
    '',
    table([['STATION', 'ADDRESS', 'MAC', 'VMID', 'PLANT'], ...[...stations.values()].map(({ mac, addresses, vmid, name: host, router, plant }) =>
      [printable(host ?? '-') + (router === true ? ' (router)' : ''), printable(addresses.join(' ') || '-'), printable(mac), printable(vmid ?? '-'), printable(plant)])]),
    ...plants.flatMap(plantLines)
  ].join('\n')
}

function plantLines ({ plant, detail }: NetworkTold): string[] {
  const { members = [], ports = [] } = detail ?? {}
  return [
    '',
    `on ${printable(plant)}`,
    ...members.map(({ peer, state, relayed, queuedBytes }) => `  member ${printable(peer)}: ${printable(state)}${relayed ? ', through a relay' : ''}${queuedBytes > 0 ? `, ${queuedBytes} bytes wait` : ''}`),
    table([['  PORT', 'NAME', 'FRAMES IN', 'BYTES IN', 'FRAMES OUT', 'BYTES OUT', 'DROPPED'], ...ports.map(({ kind, name, framesIn, bytesIn, framesOut, bytesOut, drops }) =>
      [`  ${printable(kind)}`, printable(name), ...[framesIn, bytesIn, framesOut, bytesOut].map(String), dropsText(drops)])])
  ]
}

function dropsText (drops: Record<string, number>): string {
  return Object.entries(drops).filter(([, count]) => count > 0).map(([reason, count]) => `${count} ${printable(reason)}`).join(', ') || '0'
}
