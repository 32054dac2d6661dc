/** What passes on a plant's networks, in the text format that Prometheus and its kin read. Pure. */
import type { NetworkView } from '../../protocols/tunnel/index.ts'

/** Of the text (Prometheus, Exposition formats). */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

type Port = NetworkView['ports'][number]

const OF_PORTS: ReadonlyArray<readonly [name: string, help: string, value: (port: Port) => number]> = [
  ['frames_in', 'Frames that came in by a port of the switch.', ({ framesIn }) => framesIn],
  ['bytes_in', 'Bytes of frames that came in by a port.', ({ bytesIn }) => bytesIn],
  ['frames_out', 'Frames that went out by a port.', ({ framesOut }) => framesOut],
  ['bytes_out', 'Bytes of frames that went out by a port.', ({ bytesOut }) => bytesOut]
]

/** One line a figure. Networks are bounded by the plant's capacity, ports by its machines, members and proxies. */
export function networkMetrics (views: readonly NetworkView[]): string {
  const ports = views.flatMap((view) => view.ports.map((port) => ({ port, labels: { ...labelsOf(view), kind: port.kind, port: port.name } })))
  return [
    ...OF_PORTS.flatMap(([name, help, value]) => family(`${name}_total`, 'counter', help, ports.map(({ port, labels }) => [labels, value(port)]))),
    ...family('drops_total', 'counter', 'Frames that were dropped at a port, by reason.', ports.flatMap(({ port, labels }) => Object.entries(port.drops).map(([reason, count]) => [{ ...labels, reason }, count] as const))),
    ...family('stations', 'gauge', 'Machines and clients that are known on a network.', views.map((view) => [labelsOf(view), view.stations.length])),
    ...family('member_up', 'gauge', 'Whether the tunnel to another plant of a network carries frames.', views.flatMap((view) => view.members.map(({ peer, state }) => [{ ...labelsOf(view), peer }, state === 'up' ? 1 : 0] as const))),
    ...family('member_queued_bytes', 'gauge', 'What waits for the tunnel to another plant.', views.flatMap((view) => view.members.map(({ peer, queuedBytes }) => [{ ...labelsOf(view), peer }, queuedBytes] as const)))
  ].map((line) => line + '\n').join('')
}

type Labels = Readonly<Record<string, string>>

function labelsOf ({ id, network: { name, domain } }: NetworkView): Labels { return { network: id, name, domain } }

function family (name: string, kind: 'counter' | 'gauge', help: string, values: ReadonlyArray<readonly [Labels, number]>): string[] {
  const full = `plantmesh_network_${name}`
  return [`# HELP ${full} ${help}`, `# TYPE ${full} ${kind}`, ...values.map(([labels, value]) => `${full}{${Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`).join(',')}} ${value}`)]
}

/** Names are their users' to choose. */
function escaped (text: string): string { return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') }
