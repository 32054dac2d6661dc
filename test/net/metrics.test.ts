/** Metrics of networks, as a scraper reads them. */
import { expect, test } from 'vitest'
import { networkMetrics } from '../../node/portal/metrics.ts'
import type { KeyId, PeerId } from '../../protocols/kit/index.ts'
import type { NetworkId, NetworkView } from '../../protocols/tunnel/index.ts'

const view: NetworkView = {
  id: '1'.repeat(32) as NetworkId, network: { domainKey: 'k' as KeyId, domain: 'a "domain"\\\n', name: 'lan' }, addressing: 'mesh',
  members: [{ peer: 'p2' as PeerId, state: 'up', relayed: false, queuedBytes: 7 }],
  stations: [{ mac: 'm1', addresses: ['10.192.0.2'], at: 'p1' as PeerId }],
  ports: [{ kind: 'machine', name: 'v', framesIn: 1, bytesIn: 60, framesOut: 2, bytesOut: 120, drops: { spoofed: 3 } }]
}

test('metrics have each port, drops by reason and each member; names cannot break out of their quotes', () => {
  const lines = networkMetrics([view]).split('\n')
  const labels = `network="${'1'.repeat(32)}",name="lan",domain="a \\"domain\\"\\\\\\n"`
  for (const line of [
    `plantmesh_network_bytes_out_total{${labels},kind="machine",port="v"} 120`,
    `plantmesh_network_drops_total{${labels},kind="machine",port="v",reason="spoofed"} 3`,
    `plantmesh_network_stations{${labels}} 1`,
    `plantmesh_network_member_up{${labels},peer="p2"} 1`,
    `plantmesh_network_member_queued_bytes{${labels},peer="p2"} 7`
  ]) expect(lines).toContain(line)
  for (const line of lines.filter((one) => one !== '')) expect(line).toMatch(/^(?:# (?:HELP|TYPE) plantmesh_network_[a-z_]+ .+|plantmesh_network_[a-z_]+\{(?:[a-z]+="(?:[^"\\]|\\.)*",?)+\} \d+)$/)
})

test('a plant without networks has metrics without figures', () => {
  expect(networkMetrics([]).split('\n').filter((line) => line !== '').every((line) => line.startsWith('# '))).toBe(true)
})
